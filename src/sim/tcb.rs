//! The transmission control block: what a TCP socket has besides the state of all sockets.
//!
//! Knows no rule of TCP.

use alloc::collections::VecDeque;

/// The state of connect(2) as its caller sees it.
///
/// Reference: include/uapi/linux/net.h: `socket_state`
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ConnectState {
    /// There was none, or its outcome has been reported.
    #[default]
    None,
    /// It is in progress: another connect(2) returns the outcome.
    Connecting,
    /// It failed, and the socket was shut down before the outcome was read: it connects no more.
    Failed,
}

/// State that only TCP sockets have.
#[derive(Default)]
pub(super) struct Tcb {
    pub(super) recv_queue: VecDeque<u8>,
    /// Accepted from the caller, while the peer's receive buffer is full.
    pub(super) send_queue: VecDeque<u8>,
    /// Position of the urgent byte in the receive queue.
    pub(super) urgent_at: Option<usize>,
    pub(super) connect_state: ConnectState,
    /// A FIN follows the send queue.
    pub(super) fin_queued: bool,
    /// This side's FIN has been delivered.
    pub(super) fin_sent: bool,
    /// The peer's kernel has not acknowledged this side's FIN yet (`FIN_WAIT1`).
    pub(super) fin_unacked: bool,
    /// The peer's FIN has been received (`SOCK_DONE`).
    pub(super) fin_received: bool,
    /// Closed by its process, with bytes still to deliver.
    pub(super) is_orphan: bool,
}

impl Tcb {
    /// Bytes that the peer's kernel has not acknowledged; a FIN counts as one until it is sent.
    /// (Linux counts it until it is acknowledged, some 40 ms later.)
    pub(super) fn unacked_bytes(&self) -> usize {
        self.send_queue.len() + usize::from(self.fin_queued)
    }
}
