//! Streams: the bytes on their way, and what is so of a TCP and of a Unix socket.
//!
//! Knows what both have in common; where they differ stands in `tcp.rs` and `unix.rs`.
//!
//! ```text
//!   Closed ── listen ──> Listening
//!     │ ^
//!     │ └─ refused ─┐
//!     └─ connect ─> Connecting ─> Open ── both ends said (TCP), or reset ──> Closed
//! ```

use alloc::collections::VecDeque;

use super::socket::Common;
use super::world::{FileId, Later, World};
use crate::addr::Family;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};

/// The key of the wake-up for bytes: it says nothing to who waits for an end only.
///
/// Reference: net/core/sock.c: `sock_def_readable`
pub(super) const BYTES_CAME: u32 = EPOLLIN | EPOLLPRI;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// New, or over.
    Closed,
    Listening,
    /// `SYN_SENT`.
    Connecting,
    Open,
}

/// What the caller of connect(2) knows of it.
///
/// Reference: include/uapi/linux/net.h: `socket_state`
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// There was none, or its end is known.
    None,
    /// It has begun: to ask again tells how it ended.
    Begun,
    /// It failed, and the socket was shut before anybody asked: it connects no more.
    Spoilt,
}

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Far {
    /// Nobody, or nobody any more: to speak to him is answered by a reset.
    Nobody,
    Peer(FileId),
    /// A cut cable: nothing is answered.
    Void,
}

/// How the bytes lie in a Unix socket's inbox: in the pieces they were sent in.
pub(super) struct Piece {
    /// What is left of it.
    pub(super) bytes: usize,
    /// What it costs its sender until its last byte is read.
    pub(super) cost: usize,
    /// A descriptor came with it (`SCM_RIGHTS`): a read goes no further.
    pub(super) has_rights: bool,
}

pub(super) struct Stream {
    pub(super) common: Common,
    pub(super) state: State,
    pub(super) far: Far,
    pub(super) inbox: VecDeque<u8>,
    /// Unix only: the pieces of `inbox`.
    pub(super) pieces: VecDeque<Piece>,
    /// Unix only: what the unread pieces in the peer's inbox cost us.
    pub(super) unread_cost: usize,
    /// TCP only: taken from the sender, without room at the receiver.
    pub(super) outbox: VecDeque<u8>,
    /// TCP only: our end is to follow the outbox.
    pub(super) end_follows: bool,
    /// TCP only: our end has been delivered.
    pub(super) end_sent: bool,
    /// TCP only: the peer's kernel has not answered our end yet (`FIN_WAIT1`).
    pub(super) end_unanswered: bool,
    /// TCP only: the peer's end has come (`SOCK_DONE`).
    pub(super) ended: bool,
    /// TCP only: somebody found no room, and is to be told of it (`SOCK_NOSPACE`).
    pub(super) wants_room: bool,
    /// TCP only: where in the inbox the urgent byte stands.
    pub(super) urgent_at: Option<usize>,
    /// TCP only.
    pub(super) attempt: Attempt,
    /// TCP only: closed by its owner, with bytes still to deliver.
    pub(super) is_orphan: bool,
    /// Of a listener: who waits to be accepted, and how many may besides the first.
    pub(super) queue: VecDeque<FileId>,
    pub(super) backlog: usize,
}

impl Stream {
    pub(super) fn new(family: Family) -> Self {
        Self {
            common: Common::new(family),
            state: State::Closed,
            far: Far::Nobody,
            inbox: VecDeque::new(),
            pieces: VecDeque::new(),
            unread_cost: 0,
            outbox: VecDeque::new(),
            end_follows: false,
            end_sent: false,
            end_unanswered: false,
            ended: false,
            wants_room: false,
            urgent_at: None,
            attempt: Attempt::None,
            is_orphan: false,
            queue: VecDeque::new(),
            backlog: 0,
        }
    }

    pub(super) fn is_unix(&self) -> bool {
        self.common.family == Family::Unix
    }

    /// What is so now. The two families differ in four places:
    ///
    /// * a socket that was never connected hangs up (both), a Unix listener is not writable
    ///   and a TCP listener knows nothing but its queue;
    /// * TCP's writing end stays "room" when shut, so that the writer meets the error; Unix
    ///   counts its room on;
    /// * TCP needs a third of its buffer free, Unix three quarters;
    /// * only TCP minds `SO_RCVLOWAT`.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_poll`, net/unix/af_unix.c: `unix_poll`
    pub(super) fn poll(&mut self, send_bytes_default: usize) -> u32 {
        let is_unix = self.is_unix();
        if self.state == State::Listening && !is_unix {
            return bit(!self.queue.is_empty(), EPOLLIN);
        }
        let Common { read_shut, write_shut, .. } = self.common;
        let mut so = bit(self.common.error.is_some(), EPOLLERR);
        so |= bit(read_shut, EPOLLIN | EPOLLRDHUP);
        so |= bit(read_shut && write_shut || self.state == State::Closed, EPOLLHUP);
        if self.state == State::Connecting {
            return so;
        }
        so |= bit(self.is_worth_reading() || !self.queue.is_empty(), EPOLLIN);
        so |= bit(self.urgent_at.is_some(), EPOLLPRI);
        let has_room = self.has_room(send_bytes_default);
        // Who was told that there is no room is to be told when there is.
        self.wants_room |= !has_room && !write_shut;
        so |= bit(has_room || write_shut && !is_unix, EPOLLOUT);
        so
    }

    /// Whether there is as much as a reader wants to be woken for.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_ready`
    pub(super) fn is_worth_reading(&self) -> bool {
        if self.is_unix() {
            return !self.inbox.is_empty();
        }
        // The urgent byte at the very front is not there for who reads plainly.
        let urgent = usize::from(self.urgent_at == Some(0));
        self.inbox.len() >= self.common.options.low_bytes() + urgent
    }

    /// Whether there is as much room as a writer wants to be woken for.
    ///
    /// Reference: include/net/sock.h: `sk_stream_is_writeable`,
    /// net/unix/af_unix.c: `unix_writable`
    pub(super) fn has_room(&self, send_bytes_default: usize) -> bool {
        let send_bytes = self.common.options.send_bytes(send_bytes_default);
        if self.is_unix() {
            self.state != State::Listening && (self.unread_cost + 1) * 4 <= send_bytes
        } else {
            self.outbox.len() * 3 <= send_bytes * 2
        }
    }

    /// Takes from the front of the inbox.
    pub(super) fn take(&mut self, buf: &mut [u8]) {
        let count = buf.len();
        for (place, byte) in buf.iter_mut().zip(self.inbox.drain(..count)) {
            *place = byte;
        }
    }
}

/// `bit` when it `is` so.
pub(super) fn bit(is: bool, bit: u32) -> u32 {
    if is { bit } else { 0 }
}

impl World {
    pub(super) fn recv_stream(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize, Errno> {
        // What chance withholds arrives later.
        let there = self.stream(file).inbox.len().min(buf.len());
        let mut room = buf.len();
        if there > 1 && self.chance.happens(self.config.odds.short_recv) {
            room = 1 + self.chance.below(there - 1);
            self.later.push_back(Later::Readable(file));
        }
        let buf = &mut buf[..room];
        if self.stream(file).is_unix() {
            self.recv_unix(file, buf)
        } else {
            self.recv_tcp(file, buf)
        }
    }

    pub(super) fn send_stream(&mut self, file: FileId, buf: &[u8]) -> Result<usize, Errno> {
        let mut len = buf.len();
        if len > 1 && self.chance.happens(self.config.odds.short_send) {
            len = 1 + self.chance.below(len - 1);
            // As if the buffer had been full just now: the writer is to be told of room.
            self.stream(file).wants_room = true;
            self.later.push_back(Later::Writable(file));
        }
        let buf = &buf[..len];
        if self.stream(file).is_unix() {
            self.send_unix(file, buf, false)
        } else {
            self.send_tcp(file, buf)
        }
    }

    /// Tells who found no room that there is some, once there is enough of it. A Unix socket
    /// is told each time that a piece of his is read, whether or not he was ever short of room.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_check_space`,
    /// net/unix/af_unix.c: `unix_write_space`
    pub(super) fn room_came_free(&mut self, file: FileId) {
        let send_bytes = self.config.send_buffer_bytes;
        let Some(stream) = self.find_stream(file) else {
            return;
        };
        if stream.has_room(send_bytes) && (stream.is_unix() || stream.wants_room) {
            stream.wants_room = false;
            self.wake(file, EPOLLOUT);
        }
    }
}
