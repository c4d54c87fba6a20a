//! Unix streams' rules: the same verbs as TCP's, without a network between.
//!
//! Knows letters. What is sent lies in the peer's inbox at once and is charged to the sender
//! until it is read; an end or a close changes both sockets at once.

use super::letter::{LINEAR_BYTES_MAX, Letter};
use super::socket::{BYTES_CAME, Protocol, Socket, State};
use super::world::{ANYTHING, FileId, Result, World, take};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::kernel::SocketOption;

/// The most that a piece has in pages of its own.
///
/// Reference: net/unix/af_unix.c: `UNIX_SKB_FRAGS_SZ`
const PAGED_BYTES_MAX: usize = 32_768;

impl Socket {
    /// What a read finds that finds no byte.
    fn end_of_unix(&mut self) -> Result<usize> {
        match self.error.take() {
            Some(errno) => Err(errno),
            None if self.read_shut => Ok(0),
            None => Err(Errno::EAGAIN),
        }
    }
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
    ) -> Result<usize> {
        let socket = self.socket(file);
        let peer = socket.peer.ok_or(Errno::ENOTCONN)?;
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        let send_bytes = socket.options.send_bytes;
        let piece_max =
            (send_bytes / 2).saturating_sub(64).clamp(1, LINEAR_BYTES_MAX + PAGED_BYTES_MAX);
        let mut sent = 0;
        for piece in buf.chunks(piece_max) {
            if self.socket(file).unread_cost >= send_bytes {
                break;
            }
            if self.socket(peer).read_shut {
                // He shut his reading before we met. The piece was in our buffer for a moment:
                // that there is room again is an edge.
                self.room_came_free(file);
                return if sent > 0 { Ok(sent) } else { Err(Errno::EPIPE) };
            }
            let mut letter = Letter::new(file, Addr::Unspec, piece);
            letter.has_rights = has_rights && sent == 0;
            self.post(peer, letter);
            sent += piece.len();
        }
        if sent == 0 && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        Ok(sent)
    }

    /// Sends one byte out of band. Whatever was so before is an ordinary byte from then on.
    ///
    /// Reference: net/unix/af_unix.c: `queue_oob`
    pub(super) fn send_urgent_unix(&mut self, file: FileId, byte: u8) -> Result<()> {
        self.send_unix(file, &[byte], false)?;
        if let Some(peer) = self.socket(file).peer
            && let Some(far) = self.find_socket(peer)
        {
            let last = far.letters.len().saturating_sub(1);
            for (at, letter) in far.letters.iter_mut().enumerate() {
                letter.is_urgent = at == last;
            }
        }
        Ok(())
    }

    /// Sends a page of a pipe, as Linux before 6.5 does. A Unix stream appends it to the last piece
    /// of ours that the peer has unread, whether or not there is room.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_sendpage`; net/core/sock.c: `sock_no_sendpage`
    pub(super) fn send_page(&mut self, file: FileId, page: &[u8]) -> Result<usize> {
        let socket = self.socket(file);
        let is_stream = socket.protocol() == Protocol::UnixStream;
        let peer = socket.peer.filter(|_| is_stream && !socket.write_shut);
        if let Some(peer) = peer
            && let Some(far) = self.find_socket(peer).filter(|far| !far.read_shut)
            && let Some(last) = far.letters.back_mut()
            && last.sender == file
            && !last.has_rights
            && !last.is_urgent
        {
            last.bytes.extend(page);
            last.cost += page.len();
            self.socket(file).unread_cost += page.len();
            self.wake(peer, BYTES_CAME);
            return Ok(page.len());
        }
        self.write_any(file, page)
    }

    /// Reads across pieces, not past one that descriptors came with. The sender is told of
    /// room for each piece that is read to its end. Bytes come before an error, an error
    /// before the end.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_read_generic`
    pub(super) fn recv_unix(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        let socket = self.socket(file);
        if socket.state != State::Open {
            return Err(Errno::EINVAL);
        }
        if socket.letters.is_empty() {
            return socket.end_of_unix();
        }
        let is_inline = socket.options.has(SocketOption::OutOfBandInline(true));
        let mut count = 0;
        while count < buf.len()
            && let Some(mut letter) = self.socket(file).letters.pop_front()
        {
            if letter.is_urgent && count > 0 {
                self.socket(file).letters.push_front(letter);
                break;
            }
            if letter.is_urgent && !is_inline {
                // Reference: net/unix/af_unix.c: `manage_oob`, which throws it away
                self.refund(letter.sender, letter.cost);
                continue;
            }
            letter.is_urgent = false;
            count += take(&mut letter.bytes, &mut buf[count..]);
            if !letter.bytes.is_empty() {
                self.socket(file).letters.push_front(letter);
                break;
            }
            self.refund(letter.sender, letter.cost);
            if letter.has_rights {
                break;
            }
        }
        let socket = self.socket(file);
        if count == 0 && !buf.is_empty() {
            return socket.end_of_unix();
        }
        if socket.letters.is_empty() && count < socket.options.low_bytes.min(buf.len()) {
            // It went on to look for more, met the error, and tells the bytes instead.
            socket.error = None;
        }
        Ok(count)
    }

    /// The peer's both directions end; when we leave bytes unread, or were never accepted, it
    /// is told ECONNRESET. A listener's queue goes with it.
    ///
    /// Reference: net/unix/af_unix.c: `unix_release_sock`
    pub(super) fn close_unix(&mut self, file: FileId, is_unaccepted: bool) {
        let socket = self.socket(file);
        let (peer, is_unread) = (socket.peer, !socket.letters.is_empty());
        let queue = core::mem::take(&mut socket.queue);
        self.files.remove(&file);
        if let Some(peer) = peer
            && let Some(far) = self.find_socket(peer)
        {
            far.shut(true, true);
            if is_unread || is_unaccepted {
                far.error = Some(Errno::ECONNRESET);
            }
            far.unread_cost = 0;
            self.wake(peer, ANYTHING);
        }
        for child in queue {
            self.close_unix(child, true);
        }
    }
}
