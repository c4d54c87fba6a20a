//! The named loads: what is asked of an echo server. It does not know how the asking is done.

use crate::load::{Config, Sizes, Target};

/// One kind of load: a closed loop, so a new message leaves only when an answer has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The name on the command line and in the table.
    pub name: &'static str,
    /// One line for the help text and the report.
    pub what: &'static str,
    /// How many connections are busy at once.
    pub connections: u32,
    /// How many messages of one connection may be under way at once.
    pub depth: u32,
    /// Bytes in one message.
    pub size_bytes: u32,
    /// A new connection for every message: connect, one message, half-close, wait for the end.
    pub churn: bool,
}

/// Every case, in the order of the table.
pub const CASES: [Case; 7] = [
    steady("ping", "one connection, 64 bytes to and fro", 1, 1, 64),
    steady("c64", "64 connections, 64 bytes", 64, 1, 64),
    steady("c1000", "1000 connections, 64 bytes", 1000, 1, 64),
    steady("p16", "64 connections, 16 messages of 64 bytes under way in each", 64, 16, 64),
    steady("16k", "64 connections, 16 KiB", 64, 1, 16 * 1024),
    // Two under way, so that the pipe does not run dry at the end of a message.
    steady("stream", "4 connections, 1 MiB, two under way in each", 4, 2, 1024 * 1024),
    Case { churn: true, ..steady("churn", "16 at once: connect, 64 bytes, close", 16, 1, 64) },
];

impl Case {
    /// Finds a case by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CASES.into_iter().find(|case| case.name == name)
    }

    /// The load of this case on `target`.
    #[must_use]
    pub fn config(&self, target: Target) -> Config {
        Config {
            connections: self.connections,
            depth: Some(self.depth),
            sizes: Sizes::Fixed(self.size_bytes),
            churn: self.churn,
            ..Config::new(target)
        }
    }
}

const fn steady(
    name: &'static str,
    what: &'static str,
    connections: u32,
    depth: u32,
    size_bytes: u32,
) -> Case {
    Case { name, what, connections, depth, size_bytes, churn: false }
}
