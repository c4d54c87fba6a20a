//! Shared by the tests of the running program: the program as a process, clients, tools, `/proc`.
//!
//! Does not use the library: everything here sees the program from outside.

pub(crate) mod client;
pub(crate) mod datagram;
pub(crate) mod deadline;
pub(crate) mod example;
pub(crate) mod json;
pub(crate) mod pattern;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod program;
pub(crate) mod scratch;
pub(crate) mod syscall_counts;
pub(crate) mod tool;
pub(crate) mod wait;

/// The three trigger modes. What holds in one must hold in all.
pub(crate) const TRIGGERS: [&str; 3] = ["level", "edge", "oneshot"];

/// Every server model.
pub(crate) const MODELS: [&str; 12] = [
    "blocking",
    "process",
    "thread",
    "nonblocking",
    "select",
    "poll",
    "coroutine",
    "epoll-level",
    "epoll-edge",
    "epoll-oneshot",
    "prefork",
    "reuseport",
];
