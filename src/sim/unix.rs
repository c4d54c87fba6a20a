//! Unix streams' rules: the same verbs as TCP's, without a network between.
//!
//! Knows streams. What is sent lies in the peer's inbox at once and is charged to the sender
//! until it is read; an end or a close changes both sockets at once.

use super::stream::{BYTES_CAME, Far, Piece, State};
use super::world::{ANYTHING, FileId, World};
use crate::errno::Errno;
use crate::event::EPOLLOUT;
use crate::kernel::Shut;

/// The longest piece without pages of its own, and the most of those a piece has.
///
/// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`, `SKB_MAX_HEAD`, `UNIX_SKB_FRAGS_SZ`
const LINEAR_BYTES_MAX: usize = 3_776;
const PAGED_BYTES_MAX: usize = 32_768;
const PAGE_BYTES: usize = 4_096;
/// What stands beside the bytes of every piece: behind them, and apart.
///
/// Reference: include/linux/skbuff.h: `SKB_TRUESIZE`
const TRAILER_BYTES: usize = 320;
const HEADER_BYTES: usize = 256;
const LINEAR_COST_MIN: usize = 512;

/// What a piece costs its sender: memory comes in powers of two and in pages, so that a byte
/// alone costs 768, and a buffer of 208 KiB is full after 278 of them.
pub(super) fn cost(bytes: usize) -> usize {
    let beyond = bytes.saturating_sub(LINEAR_BYTES_MAX);
    let paged = beyond.next_multiple_of(PAGE_BYTES).min(bytes);
    let linear = (bytes - paged + TRAILER_BYTES).next_power_of_two();
    linear.max(LINEAR_COST_MIN) + HEADER_BYTES + paged.next_multiple_of(PAGE_BYTES)
}

impl World {
    /// Sends piece by piece, as long as the pieces unread cost less than the buffer is large:
    /// the last may go over it.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`,
    /// net/core/sock.c: `sock_alloc_send_pskb`
    pub(super) fn send_unix(
        &mut self,
        file: FileId,
        buf: &[u8],
        has_rights: bool,
    ) -> Result<usize, Errno> {
        let send_bytes = self.config.send_buffer_bytes;
        let stream = self.stream(file);
        let Far::Peer(peer) = stream.far else {
            return Err(Errno::ENOTCONN);
        };
        if stream.common.write_shut {
            return Err(Errno::EPIPE);
        }
        let send_bytes = stream.common.options.send_bytes(send_bytes);
        let piece_max =
            (send_bytes / 2).saturating_sub(64).clamp(1, LINEAR_BYTES_MAX + PAGED_BYTES_MAX);
        let mut sent = 0;
        for piece in buf.chunks(piece_max) {
            let stream = self.stream(file);
            if stream.unread_cost >= send_bytes {
                break;
            }
            if self.stream(peer).common.read_shut {
                // He shut his reading before we met. The piece was in our buffer for a moment:
                // that there is room again is an edge.
                self.room_came_free(file);
                return if sent > 0 { Ok(sent) } else { Err(Errno::EPIPE) };
            }
            let cost = cost(piece.len());
            let stream = self.stream(file);
            stream.unread_cost += cost;
            let peer_stream = self.stream(peer);
            peer_stream.inbox.extend(piece);
            peer_stream.pieces.push_back(Piece {
                bytes: piece.len(),
                cost,
                has_rights: has_rights && sent == 0,
            });
            sent += piece.len();
            self.wake(peer, BYTES_CAME);
        }
        if sent == 0 && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        Ok(sent)
    }

    /// Reads across pieces, not past one that descriptors came with. The sender is told of
    /// room for each piece that is read to its end. Bytes come before an error, an error
    /// before the end.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_read_generic`
    pub(super) fn recv_unix(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize, Errno> {
        let stream = self.stream(file);
        if stream.state != State::Open {
            return Err(Errno::EINVAL);
        }
        if stream.inbox.is_empty() {
            return match stream.common.error.take() {
                Some(errno) => Err(errno),
                None if stream.common.read_shut => Ok(0),
                None => Err(Errno::EAGAIN),
            };
        }
        let far = stream.far;
        let mut count = 0;
        while count < buf.len() {
            let stream = self.stream(file);
            let Some(piece) = stream.pieces.front_mut() else {
                break;
            };
            let len = piece.bytes.min(buf.len() - count);
            piece.bytes -= len;
            let is_read = piece.bytes == 0;
            let (cost, has_rights) = (piece.cost, piece.has_rights);
            stream.take(&mut buf[count..count + len]);
            count += len;
            if is_read {
                stream.pieces.pop_front();
                self.refund(far, cost);
            }
            if is_read && has_rights {
                break;
            }
        }
        let stream = self.stream(file);
        if stream.inbox.is_empty() && count < stream.common.options.low_bytes().min(buf.len()) {
            // It went on to look for more, met the error, and tells the bytes instead.
            stream.common.error = None;
        }
        Ok(count)
    }

    /// A piece is gone: its sender has room again.
    ///
    /// Reference: net/core/sock.c: `sock_wfree`
    fn refund(&mut self, sender: Far, cost: usize) {
        if let Far::Peer(sender) = sender
            && let Some(stream) = self.find_stream(sender)
        {
            stream.unread_cost -= cost;
            self.room_came_free(sender);
        }
    }

    /// Both ends know at once; a socket without a peer can be shut too.
    ///
    /// Reference: net/unix/af_unix.c: `unix_shutdown`
    pub(super) fn shutdown_unix(&mut self, file: FileId, how: Shut) {
        let (read, write) = (how != Shut::Write, how != Shut::Read);
        let stream = self.stream(file);
        stream.common.read_shut |= read;
        stream.common.write_shut |= write;
        let far = stream.far;
        self.wake(file, ANYTHING);
        if let Far::Peer(peer) = far
            && let Some(peer_stream) = self.find_stream(peer)
        {
            peer_stream.common.read_shut |= write;
            peer_stream.common.write_shut |= read;
            self.wake(peer, ANYTHING);
        }
    }

    /// The peer's both directions end; when we leave bytes unread, or were never accepted, it
    /// is told ECONNRESET. A listener's queue goes with it.
    ///
    /// Reference: net/unix/af_unix.c: `unix_release_sock`
    pub(super) fn close_unix(&mut self, file: FileId) {
        self.leave_unix(file, false);
    }

    fn leave_unix(&mut self, file: FileId, is_unaccepted: bool) {
        let stream = self.stream(file);
        let (far, is_unread) = (stream.far, !stream.inbox.is_empty());
        let queue = core::mem::take(&mut stream.queue);
        self.files.remove(&file);
        if let Far::Peer(peer) = far
            && let Some(peer_stream) = self.find_stream(peer)
        {
            (peer_stream.common.read_shut, peer_stream.common.write_shut) = (true, true);
            if is_unread || is_unaccepted {
                peer_stream.common.error = Some(Errno::ECONNRESET);
            }
            peer_stream.unread_cost = 0;
            self.wake(peer, ANYTHING);
            self.wake(peer, EPOLLOUT);
        }
        for child in queue {
            self.leave_unix(child, true);
        }
    }
}
