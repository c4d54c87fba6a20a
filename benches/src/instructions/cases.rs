//! What is counted, and for which servers. Pure data: how it is counted is not known here.

use crate::case::{Case, Transport};

/// The default servers: epollite in each mode, coroutines on the same reactor, and the C programs
/// as the lower bound.
pub(super) const SERVERS: [&str; 6] =
    ["epoll-level", "epoll-edge", "epoll-oneshot", "coroutine", "C level", "C edge"];

/// A case whose instructions are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CountedCase {
    /// The name on the command line and in the baseline.
    pub(super) name: &'static str,
    /// The transport.
    pub(super) transport: Transport,
    /// Messages that are ready when the server wakes up.
    pub(super) batch: usize,
    /// One connection per message: accept and close are counted too.
    pub(super) per_connection: bool,
}

/// Every case, in the order of the baseline.
pub(super) fn all() -> Vec<CountedCase> {
    let case = |name, transport, batch, per_connection| CountedCase {
        name,
        transport,
        batch,
        per_connection,
    };
    vec![
        // One connection, one message: one loop iteration per message.
        case("ping", Transport::Tcp, 1, false),
        // 64 connections are ready at the same time: one loop iteration for all.
        case("busy64", Transport::Tcp, 64, false),
        // Connect, one message, EOF: the whole cost of a connection.
        case("life", Transport::Tcp, 1, true),
        case("udp", Transport::Udp, 1, false),
        case("udp16", Transport::Udp, 16, false),
        case("unix", Transport::Unix, 1, false),
    ]
}

/// Looks up a case for the command line.
pub(super) fn by_name(name: &str) -> Result<CountedCase, String> {
    all().into_iter().find(|case| case.name == name).ok_or_else(|| {
        let known: Vec<&str> = all().iter().map(|case| case.name).collect();
        format!("the cases are {}", known.join(", "))
    })
}

impl CountedCase {
    /// The equivalent load case, which selects the server's command.
    pub(super) fn load(&self) -> Case {
        Case { transport: self.transport, ..Case::of_connections(self.batch) }
    }
}
