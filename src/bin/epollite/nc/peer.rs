//! The state of one connection of nc. Values only: they are used in `stream.rs`.

use epollite::Addr;
use epollite::collections::WriteBuffer;

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: Addr,
    /// Its number in a chat.
    pub(super) number: u64,
    pub(super) output: WriteBuffer,
    /// Bytes not yet sent at the last idle timeout.
    pub(super) unsent_bytes: usize,
    /// Whether data may still be received.
    pub(super) can_read: bool,
    /// Whether data may still be sent.
    pub(super) can_write: bool,
    /// Whether to shut down the sending side once the write buffer is flushed.
    pub(super) shutdown_pending: bool,
    /// Whether the peer has sent FIN and the connection stays open while the input has data.
    pub(super) half_closed: bool,
    /// The incomplete line received so far, in a chat.
    pub(super) line: Vec<u8>,
}
