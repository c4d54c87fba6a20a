//! Unix streams' rules: the same calls as TCP's, without a network in between.
//!
//! Knows packets. Sent bytes are in the peer's receive queue at once and are charged to the sender
//! until they are read; a shutdown or a close changes both sockets at once.

use core::mem;

use super::file::{FileId, Result, WAKE_ALL, WAKE_READABLE, drain_into, err_if};
use super::net::Net;
use super::packet::{LINEAR_BYTES_MAX, Packet};
use super::socket::{Protocol, Socket, State};
use crate::errno::Errno;
use crate::kernel::SocketOption;
use crate::net::Addr;

/// The most bytes of a packet that are in separately allocated pages.
///
/// Reference: net/unix/af_unix.c: `UNIX_SKB_FRAGS_SZ`
const PAGED_BYTES_MAX: usize = 32_768;

impl Socket {
    /// The result of a read that finds no byte.
    fn end_of_unix(&mut self) -> Result<usize> {
        match self.error.take() {
            Some(errno) => Err(errno),
            None if self.read_shut => Ok(0),
            None => Err(Errno::EAGAIN),
        }
    }
}

impl Net {
    /// Sends packet by packet, as long as the unread packets take less memory than the send
    /// buffer: the last one may exceed it.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`,
    /// net/core/sock.c: `sock_alloc_send_pskb`
    pub(super) fn send_unix(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let socket = self.socket(file);
        let peer = socket.peer.ok_or(Errno::ENOTCONN)?;
        err_if(socket.write_shut, Errno::EPIPE)?;
        let send_bytes = socket.options.send_bytes;
        let piece_max =
            (send_bytes / 2).saturating_sub(64).clamp(1, LINEAR_BYTES_MAX + PAGED_BYTES_MAX);
        let mut sent = 0;
        for piece in buf.chunks(piece_max) {
            if self.socket(file).wmem_alloc >= send_bytes {
                break;
            }
            if self.socket(peer).read_shut {
                // The peer was shut down for reading before. The packet was in the send buffer
                // for a moment: the room is an edge.
                self.wake_writers(file);
                return if sent > 0 { Ok(sent) } else { Err(Errno::EPIPE) };
            }
            self.enqueue_packet(peer, Packet::new(file, Addr::Unspecified, piece));
            sent += piece.len();
        }
        err_if(sent == 0 && !buf.is_empty(), Errno::EAGAIN)?;
        Ok(sent)
    }

    /// Sends one out-of-band byte. An earlier one becomes an ordinary byte.
    ///
    /// Reference: net/unix/af_unix.c: `queue_oob`
    pub(super) fn send_urgent_unix(&mut self, file: FileId, byte: u8) -> Result<()> {
        self.send_unix(file, &[byte])?;
        if let Some(peer) = self.socket(file).peer
            && let Some(far) = self.find_socket(peer)
        {
            let last = far.packets.len().saturating_sub(1);
            for (at, packet) in far.packets.iter_mut().enumerate() {
                packet.is_urgent = at == last;
            }
        }
        Ok(())
    }

    /// Sends a page of a pipe, as Linux before 6.5 does, if that is more than a send: a Unix stream
    /// appends it to its last packet that the peer has not read, whether or not there is room.
    /// Returns whether it was appended.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_sendpage`; net/core/sock.c: `sock_no_sendpage`
    pub(super) fn append_page(&mut self, file: FileId, page: &[u8]) -> bool {
        let socket = self.socket(file);
        let is_stream = socket.protocol() == Protocol::UnixStream;
        let peer = socket.peer.filter(|_| is_stream && !socket.write_shut);
        if let Some(peer) = peer
            && let Some(far) = self.find_socket(peer).filter(|far| !far.read_shut)
            && let Some(last) = far.packets.back_mut()
            && last.sender == file
            && !last.has_rights
            && !last.is_urgent
        {
            last.bytes.extend(page);
            last.truesize += page.len();
            self.socket(file).wmem_alloc += page.len();
            self.wake(peer, WAKE_READABLE);
            return true;
        }
        false
    }

    /// Reads across packets, not past one with descriptors. The sender is woken for each packet
    /// that is read to its end. Bytes come before an error, an error before the end of file.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_read_generic`
    pub(super) fn recv_unix(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        let socket = self.socket(file);
        err_if(socket.state != State::Open, Errno::EINVAL)?;
        if socket.packets.is_empty() {
            return socket.end_of_unix();
        }
        let is_inline = socket.options.has(SocketOption::OutOfBandInline(true));
        let mut count = 0;
        while count < buf.len()
            && let Some(mut packet) = self.socket(file).packets.pop_front()
        {
            if packet.is_urgent && count > 0 {
                self.socket(file).packets.push_front(packet);
                break;
            }
            if packet.is_urgent && !is_inline {
                // Reference: net/unix/af_unix.c: `manage_oob`, which discards it
                self.uncharge(packet.sender, packet.truesize);
                continue;
            }
            packet.is_urgent = false;
            count += drain_into(&mut packet.bytes, &mut buf[count..]);
            // The descriptors leave with the first byte: what stays is an ordinary packet.
            let has_rights = mem::take(&mut packet.has_rights);
            self.rights_received.append(&mut packet.rights);
            if !packet.bytes.is_empty() {
                self.socket(file).packets.push_front(packet);
                break;
            }
            self.uncharge(packet.sender, packet.truesize);
            if has_rights {
                break;
            }
        }
        let socket = self.socket(file);
        if count == 0 && !buf.is_empty() {
            return socket.end_of_unix();
        }
        if socket.packets.is_empty() && count < socket.options.recv_low_watermark.min(buf.len()) {
            // The read continued past the bytes, consumed the error, and returns the bytes.
            socket.error = None;
        }
        Ok(count)
    }

    /// Both directions of the peer are shut down; with bytes unread, or if never accepted, it gets
    /// ECONNRESET. The connections in a listener's accept queue are closed too.
    ///
    /// Reference: net/unix/af_unix.c: `unix_release_sock`
    pub(super) fn close_unix(&mut self, file: FileId, is_unaccepted: bool) {
        let socket = self.socket(file);
        let (peer, is_unread) = (socket.peer, !socket.packets.is_empty());
        let queue = mem::take(&mut socket.accept_queue);
        self.remove(file);
        if let Some(peer) = peer
            && let Some(far) = self.find_socket(peer)
        {
            far.mark_shutdown(true, true);
            if is_unread || is_unaccepted {
                far.error = Some(Errno::ECONNRESET);
            }
            far.wmem_alloc = 0;
            self.wake(peer, WAKE_ALL);
        }
        for child in queue {
            self.close_unix(child, true);
        }
    }
}
