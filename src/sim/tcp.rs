//! TCP's rules: send, receive, closing either direction, and resets.
//!
//! Knows streams. There is no network between two sockets: a segment, a FIN or a RST has arrived
//! when the call that sent it returns.

use alloc::vec::Vec;
use core::mem;

use super::file::{FileId, Result, WAKE_ALL, WAKE_READABLE, drain_into, err_if};
use super::net::Net;
use super::socket::{Socket, State};
use super::tcb::{ConnectState, Tcb};
use crate::errno::Errno;
use crate::event::EPOLLERR;
use crate::kernel::SocketOption;

impl Net {
    /// Takes as many bytes as fit the peer's receive buffer and then the own send buffer.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_sendmsg_locked`, net/core/stream.c:
    /// `sk_stream_wait_connect`, `sk_stream_error`
    pub(super) fn send_tcp(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let socket = self.socket(file);
        let error = match socket.state {
            State::Open if socket.error.is_none() && !socket.write_shut => None,
            State::Connecting => Some(Errno::EAGAIN),
            State::Open | State::Closed | State::Listening => Some(Errno::EPIPE),
        };
        if let Some(errno) = error {
            return Err(socket.error.take().unwrap_or(errno));
        }
        let local_room = socket.options.send_bytes.saturating_sub(socket.tcp.send_queue.len());
        let peer = socket.peer;
        let len = buf.len().min(local_room + self.recv_space(peer));
        let socket = self.socket(file);
        socket.tcp.send_queue.extend(&buf[..len]);
        socket.nospace |= len < buf.len();
        err_if(len == 0 && !buf.is_empty(), Errno::EAGAIN)?;
        self.deliver(file);
        Ok(len)
    }

    /// Reads available bytes; an end of file is returned every time, an error once, and both after
    /// all bytes. A FIN that arrived before the error hides it.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_recvmsg_locked`
    pub(super) fn recv_tcp(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        let socket = self.socket(file);
        err_if(socket.state == State::Listening, Errno::ENOTCONN)?;
        if socket.tcp.urgent_at == Some(0) && !buf.is_empty() {
            socket.tcp.urgent_at = None;
            // The urgent byte itself is not part of the normal stream, unless requested inline.
            if !socket.options.has(SocketOption::OutOfBandInline(true)) {
                socket.tcp.recv_queue.pop_front();
                self.pull_from_peer(file);
            }
        }
        let socket = self.socket(file);
        if socket.tcp.recv_queue.is_empty() {
            return eof_or_error(socket);
        }
        // A read stops short at the urgent byte.
        let before_mark = socket.tcp.urgent_at.unwrap_or(usize::MAX);
        let room = buf.len().min(before_mark);
        let len = drain_into(&mut socket.tcp.recv_queue, &mut buf[..room]);
        socket.tcp.urgent_at = socket.tcp.urgent_at.map(|at| at - len);
        self.pull_from_peer(file);
        Ok(len)
    }

    /// How many of up to `len` bytes a splice takes from a socket. From TCP it takes none from the
    /// urgent byte on, inline or not: there it returns what a read of an empty queue does.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_splice_read`, `__tcp_read_sock`
    pub(super) fn splice_len(&mut self, file: FileId, len: usize) -> Result<usize> {
        match self.find_socket(file).map(|socket| (socket.tcp.urgent_at, socket)) {
            Some((Some(0), socket)) => eof_or_error(socket),
            Some((Some(at), _)) => Ok(len.min(at)),
            _ => Ok(len),
        }
    }

    /// Reference: net/ipv4/tcp_input.c: `tcp_urg`, `tcp_check_urg`
    pub(super) fn send_urgent(&mut self, file: FileId, byte: u8) -> Result<()> {
        self.send_tcp(file, &[byte])?;
        if let Some(peer) = self.socket(file).peer
            && let Some(far) = self.find_socket(peer)
            && let Some(last) = far.tcp.recv_queue.len().checked_sub(1)
        {
            far.tcp.urgent_at = Some(last);
            self.wake(peer, WAKE_READABLE);
        }
        Ok(())
    }

    /// Reference: net/ipv4/af_inet.c: `inet_shutdown`, net/ipv4/tcp.c: `tcp_shutdown`
    pub(super) fn shutdown_tcp(&mut self, file: FileId, read: bool, write: bool) -> Result<()> {
        let socket = self.socket(file);
        let mut result = Ok(());
        match socket.state {
            State::Connecting => self.disconnect(file),
            State::Listening if read => self.disconnect(file),
            State::Listening => {}
            State::Closed => {
                if socket.tcp.connect_state == ConnectState::Connecting {
                    socket.tcp.connect_state = ConnectState::Failed;
                }
                socket.mark_shutdown(read, write);
                result = Err(Errno::ENOTCONN);
            }
            State::Open => {
                if socket.tcp.connect_state == ConnectState::Connecting {
                    socket.tcp.connect_state = ConnectState::None;
                }
                let is_first = write && !socket.write_shut;
                socket.mark_shutdown(read, write);
                if is_first {
                    socket.tcp.fin_queued = true;
                    self.deliver(file);
                }
            }
        }
        self.wake(file, WAKE_ALL);
        result
    }

    /// Back to a new socket; the peer receives a reset.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_disconnect`
    pub(super) fn disconnect(&mut self, file: FileId) {
        self.reset_queue(file);
        self.send_reset(file);
        let socket = self.socket(file);
        // The reset sent to the peer sets an error here, too.
        if socket.state == State::Open {
            socket.error = Some(Errno::ECONNRESET);
        }
        socket.disconnect_datagram();
        (socket.state, socket.peer) = (State::Closed, None);
        (socket.read_shut, socket.write_shut) = (false, false);
        socket.tcp = Tcb::default();
        self.wake(file, EPOLLERR);
    }

    /// The last descriptor was closed. With unread bytes, or a linger of zero, a reset is sent;
    /// otherwise a FIN follows the bytes still to be delivered.
    ///
    /// Reference: net/ipv4/tcp.c: `__tcp_close`
    pub(super) fn close_tcp(&mut self, file: FileId) {
        self.reset_queue(file);
        let socket = self.socket(file);
        let must_reset = !socket.tcp.recv_queue.is_empty()
            || socket.options.has(SocketOption::LingerSeconds(Some(0)));
        // A connection to itself has no other end that would be told.
        if socket.state != State::Open || must_reset || socket.peer == Some(file) {
            self.send_reset(file);
            self.remove(file);
            return;
        }
        socket.mark_shutdown(true, true);
        socket.tcp.is_orphan = true;
        socket.tcp.fin_queued |= !socket.tcp.fin_sent;
        self.deliver(file);
        // Later bytes of the peer find no socket and are answered with a reset.
        self.destroy(file);
    }

    /// Removes an orphan that has nothing left to send.
    fn destroy(&mut self, file: FileId) {
        let is_flushed = |tcp: &Tcb| tcp.is_orphan && tcp.send_queue.is_empty();
        if self.find_socket(file).is_some_and(|socket| is_flushed(&socket.tcp)) {
            self.remove(file);
        }
    }

    /// Resets the connections in the accept queue of a closing listener.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_csk_listen_stop`
    fn reset_queue(&mut self, file: FileId) {
        while let Some(child) = self.socket(file).accept_queue.pop_front() {
            self.send_reset(child);
            self.remove(child);
        }
    }

    /// Sends a reset, if there is a connection.
    pub(super) fn send_reset(&mut self, file: FileId) {
        let socket = self.socket(file);
        if socket.state == State::Open
            && let Some(peer) = socket.peer
        {
            self.receive_reset(peer);
        }
    }

    /// Receives a reset. Bytes that have arrived stay readable; those in the send queue are lost.
    /// The error is ECONNRESET, or EPIPE after the peer's FIN was received (`CLOSE_WAIT`).
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_reset`, net/ipv4/tcp.c: `tcp_done`
    pub(super) fn receive_reset(&mut self, file: FileId) {
        let Some(socket) = self.find_socket(file) else {
            return;
        };
        if socket.tcp.is_orphan {
            self.remove(file);
            return;
        }
        socket.error = Some(match socket.state {
            State::Closed | State::Listening => return,
            State::Connecting => Errno::ECONNREFUSED,
            State::Open if socket.tcp.fin_received && !socket.tcp.fin_queued => Errno::EPIPE,
            State::Open => Errno::ECONNRESET,
        });
        socket.tcp.send_queue.clear();
        socket.tcp.fin_queued = false;
        self.done(file);
        self.wake(file, EPOLLERR);
    }

    /// The connection is closed, in order or by a reset.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_done`
    fn done(&mut self, file: FileId) {
        let socket = self.socket(file);
        socket.state = State::Closed;
        socket.mark_shutdown(true, true);
        self.wake(file, WAKE_ALL);
    }

    /// Moves bytes of the send queue to the peer as far as they fit its buffer, then the FIN. Data
    /// for a closed peer is answered with a reset.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_queue`, `tcp_rcv_state_process`
    pub(super) fn deliver(&mut self, file: FileId) {
        let Some(peer) = self.socket(file).peer else {
            // The link was dropped.
            return;
        };
        let room = self.recv_space(Some(peer));
        let tcp = &mut self.socket(file).tcp;
        let len = room.min(tcp.send_queue.len());
        let bytes: Vec<u8> = tcp.send_queue.drain(..len).collect();
        let sends_fin = tcp.fin_queued && tcp.send_queue.is_empty();
        let Some(far) = self.find_socket(peer) else {
            if len > 0 {
                self.receive_reset(file);
            } else if sends_fin {
                self.fin_delivered(file);
            }
            return;
        };
        let is_read_shut = far.read_shut && !far.tcp.fin_received;
        if len > 0 && is_read_shut && (far.tcp.fin_sent || far.tcp.fin_queued) {
            // The peer has sent its FIN and shut its read side down: the bytes cannot be read.
            self.receive_reset(peer);
            self.receive_reset(file);
            return;
        }
        if len > 0 {
            far.tcp.recv_queue.extend(bytes);
            let is_readable = far.is_readable();
            if mem::take(&mut far.tcp.fin_unacked) {
                // The bytes also carry the acknowledgement of the peer's FIN.
                self.wake(peer, WAKE_ALL);
            } else if is_readable {
                self.wake(peer, WAKE_READABLE);
            }
        }
        if sends_fin {
            self.receive_fin(peer);
            self.fin_delivered(file);
        }
    }

    /// This side's FIN has arrived. If the peer's was received before, the connection is closed;
    /// otherwise the peer's kernel delays the acknowledgement (40 ms) unless it has bytes to send
    /// with it. That acknowledgement causes one more wake-up here.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_rcv_state_process`, `TCP_FIN_WAIT1`
    fn fin_delivered(&mut self, file: FileId) {
        let tcp = &mut self.socket(file).tcp;
        (tcp.fin_queued, tcp.fin_sent) = (false, true);
        tcp.fin_unacked = !tcp.fin_received;
        if tcp.fin_received {
            self.done(file);
        }
    }

    /// Receives the peer's FIN, after all bytes.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_fin`
    fn receive_fin(&mut self, file: FileId) {
        let socket = self.socket(file);
        socket.tcp.fin_received = true;
        socket.read_shut = true;
        if socket.tcp.is_orphan && socket.tcp.send_queue.is_empty() {
            self.remove(file);
        } else if socket.tcp.fin_sent {
            self.done(file);
        } else {
            self.wake(file, WAKE_ALL);
        }
    }

    /// Bytes were read: there is room for those in the peer's send queue.
    fn pull_from_peer(&mut self, file: FileId) {
        if let Some(peer) = self.socket(file).peer
            && self.find_socket(peer).is_some_and(|peer| !peer.tcp.send_queue.is_empty())
        {
            self.deliver(peer);
            self.wake_writers(peer);
            self.destroy(peer);
        }
    }

    fn recv_space(&mut self, peer: Option<FileId>) -> usize {
        let Some(peer) = peer else { return 0 };
        match self.find_socket(peer) {
            Some(peer) => peer.options.receive_bytes.saturating_sub(peer.tcp.recv_queue.len()),
            // It is sent all the same, and the peer's kernel answers with a reset.
            None => usize::MAX / 2,
        }
    }
}

/// The result of a read from an empty receive queue.
fn eof_or_error(socket: &mut Socket) -> Result<usize> {
    if socket.tcp.fin_received {
        return Ok(0);
    }
    match (socket.error.take(), socket.state) {
        (Some(errno), _) => Err(errno),
        (None, _) if socket.read_shut => Ok(0),
        (None, State::Closed) => Err(Errno::ENOTCONN),
        (None, _) => Err(Errno::EAGAIN),
    }
}
