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
//! * What it observes later than 32 ms after a FIN is not judged: by then TCP may have sent a
//!   delayed ACK. A fast machine is done before; [`Verdict::TooSlow`] is counted.
//! * It raises no signal and sets no limit: those belong to the whole test process.
//! * It sees no number: no descriptor and no port.
//!
//! When the two differ Linux is run again, [`LINUX_TRIES`] times in all: its loopback hands packets
//! on in a softirq, which now and then runs late. One equal answer counts.

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
use program::{Observed, Program};

/// How often Linux is run before a difference counts: loopback packets are delivered by a softirq,
/// which now and then runs late.
const LINUX_TRIES: usize = 5;

/// What comparing the two kernels showed.
#[derive(Debug)]
pub enum Verdict {
    /// One run on Linux observed what the model did.
    Same,
    /// The same as far as Linux was quick enough to be judged.
    TooSlow,
    /// What they observe differently, and everything before it.
    Different(String),
}

/// Runs the program of `plan` on both kernels.
///
/// # Panics
/// If they observe different things.
pub fn any_program_sees_the_same(plan: &[u8]) {
    if let Verdict::Different(difference) = compare(plan) {
        panic!("the model is not Linux\nplan: {plan:?}\n{difference}");
    }
}

/// Runs the program of `plan` on both kernels, on Linux until it is the same, [`LINUX_TRIES`] times
/// at most.
pub fn compare(plan: &[u8]) -> Verdict {
    let expected = on_sim(plan).log;
    let mut verdict = Verdict::Same;
    for attempt in 0..LINUX_TRIES {
        let seen = match catch_unwind(|| on_linux(plan, attempt)) {
            Ok(seen) => seen,
            // An expected packet came too late.
            Err(_) if attempt + 1 < LINUX_TRIES => continue,
            Err(panic) => resume_unwind(panic),
        };
        if seen.log == expected {
            return Verdict::Same;
        }
        let same = seen.log.iter().zip(&expected).take_while(|(one, other)| one == other).count();
        if same >= seen.lines_in_time {
            verdict = Verdict::TooSlow;
        } else if !matches!(verdict, Verdict::TooSlow) {
            verdict = Verdict::Different(difference(&seen.log, &expected, same));
        }
    }
    verdict
}

/// Two logs that begin with `same` equal lines.
fn difference(linux: &[String], sim: &[String], same: usize) -> String {
    let line = |log: &[String]| log.get(same).cloned().unwrap_or_else(|| "(nothing)".into());
    format!("{}\n  Linux: {}\n  Sim:   {}", sim[..same].join("\n"), line(linux), line(sim))
}

fn on_linux(plan: &[u8], attempt: usize) -> Observed {
    let mut kernel = Linux;
    Program::new(Harness::real(&mut kernel, attempt), plan).run()
}

fn on_sim(plan: &[u8]) -> Observed {
    let mut sim = machine::model();
    Program::new(Harness::simulated(&mut sim), plan).run()
}
