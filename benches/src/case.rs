//! The named cases: what load is put on an echo server. How it is done is not known here.

use serde::{Deserialize, Serialize};

pub use crate::schema::Transport;

/// A closed-loop load: a new message is sent only when a response has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The name on the command line and in the table.
    pub name: String,
    /// One line for the help text and the report.
    pub what: String,
    /// The transport.
    pub transport: Transport,
    /// Number of busy connections.
    pub connections: usize,
    /// Number of additional connections that have sent one message and are idle.
    pub idle: usize,
    /// Maximum number of messages in flight per connection.
    pub depth: usize,
    /// Bytes in one message.
    pub size_bytes: usize,
    /// One connection per message: connect, one message, half-close, wait for EOF.
    pub churn: bool,
    /// UDP only: all datagrams of the window are sent in one call, segmented by the kernel
    /// (`UDP_SEGMENT`).
    pub gso: bool,
}

/// Every case, in the order of the table.
#[must_use]
pub fn all() -> Vec<Case> {
    let idle = "64 busy connections, 64 bytes, and 10,000 idle ones";
    vec![
        tcp("ping", "one connection, 64 bytes", 1, 1, 64),
        tcp("c64", "64 connections, 64 bytes", 64, 1, 64),
        tcp("c1000", "1000 connections, 64 bytes", 1000, 1, 64),
        tcp("p16", "64 connections, 16 messages of 64 bytes in flight in each", 64, 16, 64),
        tcp("16k", "64 connections, 16 KiB", 64, 1, 16 * 1024),
        // Two in flight, so that the connection is not idle at the end of a message.
        tcp("stream", "4 connections, 1 MiB, two in flight in each", 4, 2, 1024 * 1024),
        Case { idle: 10_000, ..tcp("idle10k", idle, 64, 1, 64) },
        Case { churn: true, ..tcp("churn", "16 concurrent: connect, 64 bytes, close", 16, 1, 64) },
        udp("udp", "one datagram of 64 bytes", 1),
        udp("udp16", "16 datagrams of 64 bytes in flight", 16),
        Case { gso: true, ..udp("gso16", "16 datagrams of 64 bytes in one send", 16) },
        Case {
            transport: Transport::Unix,
            ..tcp("unix", "one Unix stream connection, 64 bytes", 1, 1, 64)
        },
    ]
}

impl Case {
    /// Finds a case by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        all().into_iter().find(|case| case.name == name)
    }

    /// The case with this many connections and 64 bytes, used to compare server models.
    #[must_use]
    pub fn of_connections(connections: usize) -> Self {
        let what = format!("connections: {connections}; 64 bytes in each");
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
