//! Properties of the stream server on the simulated kernel: a plan is a scenario, and every
//! invariant is checked at every step.
//!
//! The scenario is the one run by `epollite sim`; here its decisions come from bytes.

use epollite::sim::Entropy;

use crate::scenario;
use crate::scenario::config::{Choices, ScenarioConfig};
use crate::scenario::server::stream_server;

/// Runs the scenario of `plan`: its configuration, what clients do, what the kernel does.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants(plan: &[u8]) {
    run_plan(plan, false);
}

/// The same with one system call failing, once or persistently.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_under_faults(plan: &[u8]) {
    run_plan(plan, true);
}

/// Either of the two, selected by the first byte: for the fuzzer and its corpus.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_either_way(plan: &[u8]) {
    match plan.split_first() {
        Some((first, rest)) if first % 2 == 1 => check_invariants_under_faults(rest),
        Some((_, rest)) => check_invariants(rest),
        None => {}
    }
}

fn run_plan(plan: &[u8], has_faults: bool) {
    // A third is kernel randomness, the rest is client behaviour.
    let (chance, decisions) = plan.split_at(plan.len() / 3);
    let mut choices = PlannedChoices(decisions.iter());
    let config = ScenarioConfig::generate(&mut choices, None, has_faults);
    let entropy = Entropy::from_bytes(chance.into());
    if let Err(broken) = scenario::run(&config, &mut choices, entropy, 10_000, stream_server) {
        panic!("{broken}\nconfig: {config:?}\nplan: &{plan:?}");
    }
}

/// One byte per decision.
struct PlannedChoices<'a>(core::slice::Iter<'a, u8>);

impl Choices for PlannedChoices<'_> {
    fn choose(&mut self, end: usize) -> Option<usize> {
        self.0.next().map(|&byte| usize::from(byte) % end)
    }
}
