//! What is counted, and for which servers. Pure data: how it is counted is not known here.

use crate::case::{Case, tcp, udp, unix};

/// The default servers: epollite in each mode, coroutines on the same reactor, and the C programs
/// as the lower bound.
pub(super) const SERVERS: [&str; 6] =
    ["epoll-level", "epoll-edge", "epoll-oneshot", "coroutine", "C level", "C edge"];

/// Every case, in the order of the baseline. All messages of a window are ready when the server
/// wakes up.
pub(super) fn all() -> Vec<Case> {
    vec![
        tcp("ping", "one loop iteration per message", 1, 1, 64),
        tcp("busy64", "one loop iteration for 64 connections", 64, 1, 64),
        // Accept and close are counted too.
        Case { churn: true, ..tcp("life", "connect, one message, EOF", 1, 1, 64) },
        udp("udp", "one datagram", 1),
        udp("udp16", "16 datagrams", 16),
        unix("unix", "one message"),
    ]
}

/// Looks up a case for the command line.
pub(super) fn by_name(name: &str) -> Result<Case, String> {
    Case::find(all(), name)
}
