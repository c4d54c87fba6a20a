//! The same scenarios on Linux and on the model: both must observe the same, and what the scenario
//! expects.
//!
//! The scenarios are in the modules. `same` runs one on both kernels.

mod actions;
mod connect;
mod datagrams;
mod epoll_selftests;
mod guessed;
mod harness;
mod interest;
mod local_addresses;
mod machine;
mod messages;
mod misuse;
mod names;
mod nested;
mod non_sockets;
mod options;
mod readiness;
mod segments;
mod send_queue;
mod seqpacket;
mod shutdown;
mod trace;
mod unmaskable;
mod urgent;
mod versions;
mod writability;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use epollite::Linux;
use epollite::instrument::Tracer;
use harness::Harness;

/// How often Linux is tried: its loopback now and then delivers a packet too late to be observed.
const LINUX_TRIES: usize = 5;

/// Runs a scenario on both kernels. Both must observe `expected`, and every call must have the same
/// result: the traces are equal, except for the names that a kernel is free to choose.
fn same(play: impl Fn(&mut Harness<'_>), expected: &[&str]) {
    let mut sim = machine::model();
    let mut model = Tracer::new(&mut sim);
    let seen = played(Harness::simulated(&mut model), &play);
    let trace = trace::renamed(model.drain());
    let (mut on_linux, mut linux_trace) = (Vec::new(), Vec::new());
    for attempt in 0..LINUX_TRIES {
        let mut real = Linux;
        let mut linux = Tracer::new(&mut real);
        let harness = Harness::real(&mut linux, attempt);
        match catch_unwind(AssertUnwindSafe(|| played(harness, &play))) {
            Ok(seen) => on_linux = seen,
            // An expected packet came too late.
            Err(_) if attempt + 1 < LINUX_TRIES => continue,
            Err(panic) => resume_unwind(panic),
        }
        linux_trace = trace::renamed(linux.drain());
        if on_linux == seen && linux_trace == trace {
            break;
        }
    }
    assert_eq!(seen, on_linux, "the model (left) is not Linux (right)");
    for (at, (model, linux)) in trace.iter().zip(&linux_trace).enumerate() {
        let before = &trace[at.saturating_sub(8)..at];
        assert_eq!(model, linux, "the model (left) is not Linux (right), after {before:#?}");
    }
    assert_eq!(trace.len(), linux_trace.len(), "the model makes more or fewer calls than Linux");
    assert_eq!(seen, expected, "both kernels show the left, the scenario expects the right");
}

/// What is observed on `harness`.
fn played(mut harness: Harness<'_>, play: impl Fn(&mut Harness<'_>)) -> Vec<String> {
    play(&mut harness);
    harness.log
}
