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
#[path = "conformance/interest.rs"]
mod interest;
#[path = "conformance/meeting.rs"]
mod meeting;
#[path = "conformance/messages.rs"]
mod messages;
#[path = "conformance/nested.rs"]
mod nested;
#[path = "conformance/others.rs"]
mod others;
#[path = "conformance/room.rs"]
mod room;
#[path = "conformance/stage.rs"]
mod stage;
#[path = "conformance/unasked.rs"]
mod unasked;
#[path = "conformance/wirings.rs"]
mod wirings;

use epollite::{Linux, Sim};
use stage::Stage;

/// How often Linux is asked: its loopback now and then hands a packet on too late to be seen.
const LINUX_TRIES: usize = 5;

/// Plays a scenario on both kernels. Both see `expected`.
fn same(play: impl Fn(&mut Stage<'_>), expected: &[&str]) {
    let mut sim = Sim::default();
    let mut stage = Stage::simulated(&mut sim);
    play(&mut stage);
    let on_sim = stage.log;
    let mut on_linux = Vec::new();
    for _ in 0..LINUX_TRIES {
        let mut linux = Linux;
        let mut stage = Stage::real(&mut linux);
        play(&mut stage);
        on_linux = stage.log;
        if on_linux == on_sim {
            break;
        }
    }
    assert_eq!(on_sim, on_linux, "the model (left) is not Linux (right)");
    assert_eq!(on_sim, expected, "both kernels see the left, the scenario says the right");
}
