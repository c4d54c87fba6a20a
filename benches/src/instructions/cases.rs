//! What is counted, and of whom. Pure data: it does not know how the counting is done.

use crate::case::{Case, Transport};

/// Who is asked, unless somebody else is named: our server in each mode, straight-line code on the
/// same reactor, and the C programs that say how little it could be.
pub(super) const SERVERS: [&str; 6] =
    ["epoll-level", "epoll-edge", "epoll-oneshot", "coroutine", "C level", "C edge"];

/// One way to visit a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CountedCase {
    /// The name on the command line and in the baseline.
    pub(super) name: &'static str,
    /// Through what.
    pub(super) transport: Transport,
    /// Messages that are there when the server looks.
    pub(super) batch: usize,
    /// A connection for each message: its whole life is counted.
    pub(super) per_connection: bool,
}

/// Every case, in the order of the baseline.
pub(super) fn all() -> Vec<CountedCase> {
    let case = |name, transport, batch, per_connection| CountedCase {
        name,
        transport,
        batch: batch,
        per_connection: per_connection,
    };
    vec![
        // One connection, one message: a whole turn of the loop for each.
        case("ping", Transport::Tcp, 1, false),
        // 64 connections have something to say: a turn of the loop is shared.
        case("busy64", Transport::Tcp, 64, false),
        // Connect, a message, the end: all that a connection costs.
        case("life", Transport::Tcp, 1, true),
        case("udp", Transport::Udp, 1, false),
        case("udp16", Transport::Udp, 16, false),
        case("unix", Transport::Unix, 1, false),
    ]
}

/// For the command line.
pub(super) fn by_name(name: &str) -> Result<CountedCase, String> {
    all().into_iter().find(|case| case.name == name).ok_or_else(|| {
        let known: Vec<&str> = all().iter().map(|case| case.name).collect();
        format!("the cases are {}", known.join(", "))
    })
}

impl CountedCase {
    /// As the roster wants it, to say how a server is called for it.
    pub(super) fn load(&self) -> Case {
        Case { transport: self.transport, ..Case::of_connections(self.batch) }
    }
}
