//! The program's argument parsing modules, arranged as in its `main.rs`.

#[path = "../../../src/bin/epollite/args/mod.rs"]
pub(crate) mod args;
#[path = "../../../src/bin/epollite/exit.rs"]
pub(crate) mod exit;
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
#[path = "../../../src/bin/epollite/writable.rs"]
mod writable;

/// Parsing opens no descriptors.
mod models {
    pub(crate) const OPEN_NONBLOCKING: i32 = 0o4000;

    pub(crate) fn standard_stream(_: i32) -> core::mem::ManuallyDrop<std::fs::File> {
        unreachable!("nothing is written")
    }
}
