//! The named cases: what load is put on an echo server. How it is done is not known here.

use serde::{Deserialize, Serialize};

/// The transport of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP on loopback.
    Tcp,
    /// UDP on loopback.
    Udp,
    /// A Unix stream socket.
    Unix,
}

/// A closed-loop load: a new message is sent only when a response has arrived. As a part of a
/// record it has these names there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The name on the command line and in the table.
    pub name: String,
    /// One line for the help text and the report.
    pub what: String,
    /// The transport.
    pub transport: Transport,
    /// Number of busy connections (UDP: sockets).
    pub connections: usize,
    /// Number of additional connections that have sent one message and are idle.
    #[serde(rename = "idle_connections")]
    pub idle: usize,
    /// Maximum number of messages in flight per connection.
    pub depth: usize,
    /// Bytes in one message.
    pub size_bytes: usize,
    /// One connection per message: connect, one message, half-close, wait for EOF.
    pub churn: bool,
    /// UDP only: all datagrams of the window are sent in one call, segmented by the kernel
    /// (`UDP_SEGMENT`).
    #[serde(default)]
    pub gso: bool,
}

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    let idle = "64 busy connections, 64 bytes, and 10,000 idle ones";
    vec![
        tcp("ping", "one connection, 64 bytes", 1, 1, 64),
        tcp("c64", "64 connections, 64 bytes", 64, 1, 64),
        tcp("c1000", "1000 connections, 64 bytes", 1000, 1, 64),
        tcp("p16", "64 connections, 16 messages of 64 bytes in flight in each", 64, 16, 64),
        tcp("16k", "64 connections, 16 KiB", 64, 1, 16 * 1024),
        // Messages of whole pages: here the place of the receive buffer matters most.
        tcp("16k8", "8 connections, 16 KiB", 8, 1, 16 * 1024),
        // Two in flight, so that the connection is not idle at the end of a message.
        tcp("stream", "4 connections, 1 MiB, two in flight in each", 4, 2, 1024 * 1024),
        Case { idle: 10_000, ..tcp("idle10k", idle, 64, 1, 64) },
        Case { churn: true, ..tcp("churn", "16 concurrent: connect, 64 bytes, close", 16, 1, 64) },
        udp("udp", "one datagram of 64 bytes", 1),
        udp("udp16", "16 datagrams of 64 bytes in flight", 16),
        Case { gso: true, ..udp("gso16", "16 datagrams of 64 bytes in one send", 16) },
        Case { gso: true, ..udp("gso512", "512 datagrams of 64 bytes, 64 in one send", 512) },
        unix("unix", "one Unix stream connection, 64 bytes"),
    ]
}

impl Case {
    /// Looks up one of `cases` by its name.
    ///
    /// # Errors
    /// The known names, as a sentence.
    pub fn find(cases: Vec<Self>, name: &str) -> Result<Self, String> {
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        let unknown = format!("the cases are {}", names.join(", "));
        cases.into_iter().find(|case| case.name == name).ok_or(unknown)
    }

    /// The case with this many connections and 64 bytes, used to compare server models.
    pub fn of_connections(connections: usize) -> Self {
        let what = format!("connections: {connections}; 64 bytes in each");
        tcp(&format!("c{connections}"), &what, connections, 1, 64)
    }
}

pub(crate) fn tcp(
    name: &str,
    what: &str,
    connections: usize,
    depth: usize,
    size_bytes: usize,
) -> Case {
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

pub(crate) fn udp(name: &str, what: &str, depth: usize) -> Case {
    Case { transport: Transport::Udp, ..tcp(name, what, 1, depth, 64) }
}

pub(crate) fn unix(name: &str, what: &str) -> Case {
    Case { transport: Transport::Unix, ..tcp(name, what, 1, 1, 64) }
}
