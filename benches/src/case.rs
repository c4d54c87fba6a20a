//! The named loads: what is asked of an echo server. It does not know how the asking is done.

use serde::{Deserialize, Serialize};

pub use crate::schema::Transport;

/// One kind of load: a closed loop, so a new message leaves only when an answer has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The name on the command line and in the table.
    pub name: String,
    /// One line for the help text and the report.
    pub what: String,
    /// Through what.
    pub transport: Transport,
    /// How many connections are busy at once.
    pub connections: usize,
    /// How many more are open, have spoken once, and are silent.
    pub idle: usize,
    /// How many messages of one connection may be under way at once.
    pub depth: usize,
    /// Bytes in one message.
    pub size_bytes: usize,
    /// A new connection for every message: connect, one message, half-close, wait for the end.
    pub churn: bool,
    /// UDP only: all that may leave leaves in one call, cut up by the kernel (`UDP_SEGMENT`).
    pub gso: bool,
}

/// Every case, in the order of the table.
#[must_use]
pub fn all() -> Vec<Case> {
    let silent = "64 busy connections, 64 bytes, beside 10,000 silent ones";
    vec![
        tcp("ping", "one connection, 64 bytes to and fro", 1, 1, 64),
        tcp("c64", "64 connections, 64 bytes", 64, 1, 64),
        tcp("c1000", "1000 connections, 64 bytes", 1000, 1, 64),
        tcp("p16", "64 connections, 16 messages of 64 bytes under way in each", 64, 16, 64),
        tcp("16k", "64 connections, 16 KiB", 64, 1, 16 * 1024),
        // Two under way, so that the pipe does not run dry at the end of a message.
        tcp("stream", "4 connections, 1 MiB, two under way in each", 4, 2, 1024 * 1024),
        Case { idle: 10_000, ..tcp("idle10k", silent, 64, 1, 64) },
        Case { churn: true, ..tcp("churn", "16 at once: connect, 64 bytes, close", 16, 1, 64) },
        udp("udp", "one datagram of 64 bytes to and fro", 1),
        udp("udp16", "16 datagrams of 64 bytes under way", 16),
        Case { gso: true, ..udp("gso16", "16 datagrams of 64 bytes in one send", 16) },
        Case {
            transport: Transport::Unix,
            ..tcp("unix", "one Unix stream connection, 64 bytes to and fro", 1, 1, 64)
        },
    ]
}

impl Case {
    /// Finds a case by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        all().into_iter().find(|case| case.name == name)
    }

    /// `connections` of them, 64 bytes to and fro: what the server models are compared by.
    #[must_use]
    pub fn of_connections(connections: usize) -> Self {
        let what = format!("connections: {connections}; 64 bytes to and fro in each");
        tcp(&format!("c{connections}"), &what, connections, 1, 64)
    }
}

fn tcp(name: &str, what: &str, connections: usize, depth: usize, size_bytes: usize) -> Case {
    Case {
        name: name.to_owned(),
        what: what.to_owned(),
        transport: Transport::Tcp,
        connections,
        idle: 0,
        depth,
        size_bytes,
        churn: false,
        gso: false,
    }
}

fn udp(name: &str, what: &str, depth: usize) -> Case {
    Case { transport: Transport::Udp, ..tcp(name, what, 1, depth, 64) }
}
