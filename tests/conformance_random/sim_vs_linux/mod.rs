//! The property of the model: any program observes on `Sim` what it observes on Linux.
//!
//! A plan of bytes is a program of system calls on a handful of descriptors; it is run on both
//! kernels, and the two logs must be equal, line by line. The entry point is
//! [`any_program_sees_the_same`], used by proptest, the long run and the fuzzer.
//!
//! What a program does not do, because Linux leaves the result unspecified or dependent on
//! something else. This is the complete list of exceptions:
//!
//! * It fills no TCP buffer and no UDP queue: the capacity is up to Linux, and grows.
//!   (Unix buffers and pipes are filled: their arithmetic is the model's too.)
//! * It fills no pipe after a splice: how many pages that takes depends on the segments that
//!   the bytes came in.
//! * It does not run for 40 ms, after which TCP would send a delayed ACK for a FIN.
//! * It raises no signal and sets no limit: those belong to the whole test process.
//! * It sees no number: no descriptor and no port.
//! * When the two differ Linux is run again, [`LINUX_TRIES`] times in all: its loopback hands
//!   packets on in a softirq, which now and then runs late. One equal answer counts.

#[path = "../../conformance"]
mod conformance {
    pub(super) mod harness;
    pub(super) mod machine;
}
mod program;

use std::panic::{catch_unwind, resume_unwind};

use conformance::harness::Harness;
use conformance::machine;
use epollite::Linux;
use program::Program;

/// How often Linux is run before a difference counts: loopback packets are delivered by a softirq,
/// which now and then runs late.
const LINUX_TRIES: usize = 5;

/// Runs the program of `plan` on both kernels.
///
/// # Panics
/// If they observe different things.
pub fn any_program_sees_the_same(plan: &[u8]) {
    if let Some(difference) = difference(plan) {
        panic!("the model is not Linux\nplan: {plan:?}\n{difference}");
    }
}

/// What the two kernels observe differently in the program of `plan`, and everything before it.
pub fn difference(plan: &[u8]) -> Option<String> {
    let expected = on_sim(plan);
    let mut seen = Vec::new();
    for attempt in 0..LINUX_TRIES {
        seen = match catch_unwind(|| on_linux(plan, attempt)) {
            Ok(seen) => seen,
            // An expected packet came too late.
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
    Program::new(Harness::real(&mut kernel, attempt), plan).run()
}

fn on_sim(plan: &[u8]) -> Vec<String> {
    let mut sim = machine::model();
    Program::new(Harness::simulated(&mut sim), plan).run()
}
