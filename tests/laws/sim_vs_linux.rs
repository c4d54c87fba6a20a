//! The law that the model obeys: any program sees on `Sim` what it sees on Linux.
//!
//! A plan of bytes is a program of system calls on a handful of descriptors; it is run on both
//! kernels, and the two logs must be equal, line by line. Whoever has a plan calls
//! [`any_program_sees_the_same`]: proptest, the long run, the fuzzer.
//!
//! What a program does not do, because Linux leaves the answer open or to somebody else. This
//! is the list of exceptions; there are no others:
//!
//! * It fills no TCP buffer and no UDP queue: how much goes in is Linux' affair, and grows.
//!   (Unix buffers and pipes are filled: their arithmetic is the model's too.)
//! * It fills no pipe after a splice: how many pages that takes depends on the segments that
//!   the bytes came in.
//! * It does not take 40 ms, after which TCP would answer an end that nothing else answered.
//! * It raises no signal and sets no limit: those are the whole test process'.
//! * It sees no number and no name: not which descriptor, not which port.
//! * When the two differ Linux is asked again, [`LINUX_TRIES`] times in all: its loopback hands
//!   packets on in a softirq, which now and then runs late. One equal answer counts.

#[path = "../conformance/machine.rs"]
mod machine;
#[path = "sim_program.rs"]
mod program;
#[path = "../conformance/stage.rs"]
mod stage;

use std::panic::{catch_unwind, resume_unwind};

use epollite::Linux;
use program::Program;
use stage::Stage;

/// How often Linux is asked again before it counts as another answer: loopback packets are
/// handed on by a softirq, which now and then runs late.
const LINUX_TRIES: usize = 5;

/// Runs the program of `plan` on both kernels.
///
/// # Panics
/// They see different things.
pub fn any_program_sees_the_same(plan: &[u8]) {
    if let Some(difference) = difference(plan) {
        panic!("the model is not Linux\nplan: {plan:?}\n{difference}");
    }
}

/// What the two kernels see differently in the program of `plan`, and all before it.
pub fn difference(plan: &[u8]) -> Option<String> {
    let expected = on_sim(plan);
    let mut seen = Vec::new();
    for attempt in 0..LINUX_TRIES {
        seen = match catch_unwind(|| on_linux(plan, attempt)) {
            Ok(seen) => seen,
            // What was to be there came too late.
            Err(_) if attempt + 1 < LINUX_TRIES => continue,
            Err(panic) => resume_unwind(panic),
        };
        if seen == expected {
            return None;
        }
    }
    let same = seen.iter().zip(&expected).take_while(|(one, other)| one == other).count();
    let line = |log: &[String]| log.get(same).cloned().unwrap_or_else(|| "(nothing)".into());
    Some(format!(
        "{}\n  Linux: {}\n  Sim:   {}",
        expected[..same].join("\n"),
        line(&seen),
        line(&expected)
    ))
}

fn on_linux(plan: &[u8], attempt: usize) -> Vec<String> {
    let mut kernel = Linux;
    Program::new(Stage::real(&mut kernel, attempt), plan).run()
}

fn on_sim(plan: &[u8]) -> Vec<String> {
    let mut sim = machine::model();
    Program::new(Stage::simulated(&mut sim), plan).run()
}
