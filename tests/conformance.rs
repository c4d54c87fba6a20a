//! The same scenarios on Linux and on the model: what is seen must be the same, and what the
//! scenario says it is.
//!
//! Here are the files that hold them. `same` plays one on both kernels.

#[path = "conformance/acts.rs"]
mod acts;
#[path = "conformance/arrivals.rs"]
mod arrivals;
#[path = "conformance/ends.rs"]
mod ends;
#[path = "conformance/guessed.rs"]
mod guessed;
#[path = "conformance/interest.rs"]
mod interest;
#[path = "conformance/local_addresses.rs"]
mod local_addresses;
#[path = "conformance/machine.rs"]
mod machine;
#[path = "conformance/meeting.rs"]
mod meeting;
#[path = "conformance/messages.rs"]
mod messages;
#[path = "conformance/misuse.rs"]
mod misuse;
#[path = "conformance/names.rs"]
mod names;
#[path = "conformance/nested.rs"]
mod nested;
#[path = "conformance/options.rs"]
mod options;
#[path = "conformance/others.rs"]
mod others;
#[path = "conformance/room.rs"]
mod room;
#[path = "conformance/send_queue.rs"]
mod send_queue;
#[path = "conformance/stage.rs"]
mod stage;
#[path = "conformance/trace.rs"]
mod trace;
#[path = "conformance/unasked.rs"]
mod unasked;
#[path = "conformance/urgent.rs"]
mod urgent;
#[path = "conformance/versions.rs"]
mod versions;
#[path = "conformance/wirings.rs"]
mod wirings;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use epollite::{Linux, Traced};
use stage::Stage;

/// How often Linux is asked: its loopback now and then hands a packet on too late to be seen.
const LINUX_TRIES: usize = 5;

/// Plays a scenario on both kernels. Both see `expected`, and every call comes out the same: the
/// traces are equal, but for the names that a kernel is free to choose.
fn same(play: impl Fn(&mut Stage<'_>), expected: &[&str]) {
    let mut sim = machine::model();
    let mut model = Traced::over(&mut sim);
    let seen = played(Stage::simulated(&mut model), &play);
    let trace = trace::renamed(model.take());
    let (mut on_linux, mut linux_trace) = (Vec::new(), Vec::new());
    for attempt in 0..LINUX_TRIES {
        let mut real = Linux;
        let mut linux = Traced::over(&mut real);
        let stage = Stage::real(&mut linux, attempt);
        match catch_unwind(AssertUnwindSafe(|| played(stage, &play))) {
            Ok(seen) => on_linux = seen,
            // What was to be there came too late.
            Err(_) if attempt + 1 < LINUX_TRIES => continue,
            Err(panic) => resume_unwind(panic),
        }
        linux_trace = trace::renamed(linux.take());
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
    assert_eq!(seen, expected, "both kernels see the left, the scenario says the right");
}

/// What is seen on `stage`.
fn played(mut stage: Stage<'_>, play: impl Fn(&mut Stage<'_>)) -> Vec<String> {
    play(&mut stage);
    stage.log
}
