//! The laws of the stream server, in a simulated world: a plan is a day, and every law is
//! checked at every step of it.
//!
//! The day is the very one that `epollite sim` lives; here its decisions come from bytes.

#[path = "../../src/bin/epollite/day/mod.rs"]
mod day;

use day::weather::{Dice, Weather};
use epollite::sim::Chance;

/// Lives a day as `plan` says: its weather, what clients do, what the kernel does.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises(plan: &[u8]) {
    live(plan, false);
}

/// The same with one system call failing, once or for ever.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises_under_faults(plan: &[u8]) {
    live(plan, true);
}

/// Either of the two, as the first byte says: for the fuzzer, and for what it has found.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises_either_way(plan: &[u8]) {
    match plan.split_first() {
        Some((first, rest)) if first % 2 == 1 => keeps_its_promises_under_faults(rest),
        Some((_, rest)) => keeps_its_promises(rest),
        None => {}
    }
}

fn live(plan: &[u8], has_faults: bool) {
    // A third is what the kernel does, the rest is what clients do.
    let (chance, decisions) = plan.split_at(plan.len() / 3);
    let mut dice = Planned(decisions.iter());
    let weather = Weather::draw(&mut dice, None, has_faults);
    if let Err(broken) = day::live(&weather, &mut dice, Chance::from_bytes(chance.into()), 10_000) {
        panic!("{broken}\nweather: {weather:?}\nplan: &{plan:?}");
    }
}

/// A byte a decision.
struct Planned<'a>(core::slice::Iter<'a, u8>);

impl Dice for Planned<'_> {
    fn pick(&mut self, end: usize) -> Option<usize> {
        self.0.next().map(|&byte| usize::from(byte) % end)
    }
}
