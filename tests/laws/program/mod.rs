//! The program's own files that read words, as its `main.rs` has them.

#[path = "../../../src/bin/epollite/args/mod.rs"]
pub(crate) mod args;
#[path = "../../../src/bin/epollite/failure.rs"]
pub(crate) mod failure;
#[path = "../../../src/bin/epollite/gate.rs"]
mod gate;
#[path = "../../../src/bin/epollite/help.rs"]
mod help;
#[path = "../../../src/bin/epollite/log.rs"]
mod log;
#[path = "../../../src/bin/epollite/model.rs"]
mod model;
#[path = "../../../src/bin/epollite/sink.rs"]
mod sink;
#[path = "../../../src/bin/epollite/units.rs"]
mod units;

/// What reads words opens nothing.
mod models {
    pub(crate) const OPEN_NONBLOCKING: i32 = 0o4000;

    pub(crate) fn standard_stream(_: i32) -> core::mem::ManuallyDrop<std::fs::File> {
        unreachable!("nothing is written")
    }
}
