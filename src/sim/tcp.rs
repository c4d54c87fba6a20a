//! TCP's rules: send, receive, the two ends of a connection, and how it breaks.
//!
//! Knows streams. Between two sockets there is no network: a segment, an end (FIN) or a reset
//! (RST) has arrived when the call that sent it returns.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::socket::{BYTES_CAME, Socket, State};
use super::world::{ANYTHING, FileId, Result, World, take};
use crate::errno::Errno;
use crate::event::EPOLLERR;
use crate::kernel::SocketOption;

/// What the caller of connect(2) knows of it.
///
/// Reference: include/uapi/linux/net.h: `socket_state`
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Attempt {
    /// There was none, or its end is known.
    #[default]
    None,
    /// It has begun: to ask again tells how it ended.
    Begun,
    /// It failed, and the socket was shut before anybody asked: it connects no more.
    Spoilt,
}

/// What TCP sockets alone have.
#[derive(Default)]
pub(super) struct Tcp {
    pub(super) inbox: VecDeque<u8>,
    /// Taken from the sender, without room at the receiver.
    pub(super) outbox: VecDeque<u8>,
    /// Where in the inbox the urgent byte stands.
    pub(super) urgent_at: Option<usize>,
    pub(super) attempt: Attempt,
    /// Our end is to follow the outbox.
    end_follows: bool,
    /// Our end has been delivered.
    end_sent: bool,
    /// The peer's kernel has not answered our end yet (`FIN_WAIT1`).
    end_unanswered: bool,
    /// The peer's end has come (`SOCK_DONE`).
    pub(super) ended: bool,
    /// Closed by its owner, with bytes still to deliver.
    is_orphan: bool,
}

impl Tcp {
    /// Bytes that the peer's kernel has not acknowledged; our end counts as one until it has gone.
    /// (Linux counts it until it is acknowledged, some 40 ms later.)
    pub(super) fn unanswered(&self) -> usize {
        self.outbox.len() + usize::from(self.end_follows)
    }
}

impl World {
    /// Takes as many bytes as the peer and then our own buffer have room for.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_sendmsg_locked`, net/core/stream.c:
    /// `sk_stream_wait_connect`, `sk_stream_error`
    pub(super) fn send_tcp(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let socket = self.socket(file);
        let refusal = match socket.state {
            State::Open if socket.error.is_none() && !socket.write_shut => None,
            State::Connecting => Some(Errno::EAGAIN),
            State::Open | State::Closed | State::Listening => Some(Errno::EPIPE),
        };
        if let Some(errno) = refusal {
            return Err(socket.error.take().unwrap_or(errno));
        }
        let room_here = socket.options.send_bytes.saturating_sub(socket.tcp.outbox.len());
        let peer = socket.peer;
        let len = buf.len().min(room_here + self.room_at(peer));
        let socket = self.socket(file);
        socket.tcp.outbox.extend(&buf[..len]);
        socket.wants_room |= len < buf.len();
        if len == 0 && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        self.deliver(file);
        Ok(len)
    }

    /// Reads what is there; an end is told for ever, an error once, and before either all
    /// bytes. An end that came before the error hides it.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_recvmsg_locked`
    pub(super) fn recv_tcp(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        let socket = self.socket(file);
        if socket.state == State::Listening {
            return Err(Errno::ENOTCONN);
        }
        if socket.tcp.urgent_at == Some(0) && !buf.is_empty() {
            socket.tcp.urgent_at = None;
            // The urgent byte itself is no part of what is read plainly, unless it was asked for.
            if !socket.options.has(SocketOption::OutOfBandInline(true)) {
                socket.tcp.inbox.pop_front();
                self.pull(file);
            }
        }
        let socket = self.socket(file);
        if socket.tcp.inbox.is_empty() {
            return end_of_tcp(socket);
        }
        // A read stops short at the urgent byte.
        let there = socket.tcp.urgent_at.unwrap_or(usize::MAX);
        let room = buf.len().min(there);
        let len = take(&mut socket.tcp.inbox, &mut buf[..room]);
        socket.tcp.urgent_at = socket.tcp.urgent_at.map(|at| at - len);
        self.pull(file);
        Ok(len)
    }

    /// Reference: net/ipv4/tcp_input.c: `tcp_urg`, `tcp_check_urg`
    pub(super) fn send_urgent(&mut self, file: FileId, byte: u8) -> Result<()> {
        self.send_tcp(file, &[byte])?;
        if let Some(peer) = self.socket(file).peer
            && let Some(far) = self.find_socket(peer)
            && let Some(last) = far.tcp.inbox.len().checked_sub(1)
        {
            far.tcp.urgent_at = Some(last);
            self.wake(peer, BYTES_CAME);
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
                if socket.tcp.attempt == Attempt::Begun {
                    socket.tcp.attempt = Attempt::Spoilt;
                }
                socket.shut(read, write);
                result = Err(Errno::ENOTCONN);
            }
            State::Open => {
                if socket.tcp.attempt == Attempt::Begun {
                    socket.tcp.attempt = Attempt::None;
                }
                let is_first = write && !socket.write_shut;
                socket.shut(read, write);
                if is_first {
                    socket.tcp.end_follows = true;
                    self.deliver(file);
                }
            }
        }
        self.wake(file, ANYTHING);
        result
    }

    /// Back to a new socket; who was at the other end meets a reset.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_disconnect`
    pub(super) fn disconnect(&mut self, file: FileId) {
        self.reset_queue(file);
        self.break_off(file);
        let socket = self.socket(file);
        // The reset that goes to the peer is an error here, too.
        if socket.state == State::Open {
            socket.error = Some(Errno::ECONNRESET);
        }
        socket.part();
        (socket.state, socket.peer) = (State::Closed, None);
        (socket.read_shut, socket.write_shut) = (false, false);
        socket.tcp = Tcp::default();
        self.wake(file, EPOLLERR);
    }

    /// The owner is gone. Unread bytes, or a linger of zero, break the connection; else our
    /// end follows what is still to be delivered.
    ///
    /// Reference: net/ipv4/tcp.c: `__tcp_close`
    pub(super) fn close_tcp(&mut self, file: FileId) {
        self.reset_queue(file);
        let socket = self.socket(file);
        let is_rude = !socket.tcp.inbox.is_empty()
            || socket.options.has(SocketOption::LingerSeconds(Some(0)));
        if socket.state != State::Open || is_rude {
            self.break_off(file);
            self.files.remove(&file);
            return;
        }
        socket.shut(true, true);
        socket.tcp.is_orphan = true;
        socket.tcp.end_follows |= !socket.tcp.end_sent;
        self.deliver(file);
        // Later bytes of the peer find nobody and are answered by a reset.
        self.bury(file);
    }

    /// Removes an orphan that has nothing more to say.
    fn bury(&mut self, file: FileId) {
        let has_said_all = |tcp: &Tcp| tcp.is_orphan && tcp.outbox.is_empty();
        if self.find_socket(file).is_some_and(|socket| has_said_all(&socket.tcp)) {
            self.files.remove(&file);
        }
    }

    /// Those in the queue of a listener that goes are reset.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_csk_listen_stop`
    fn reset_queue(&mut self, file: FileId) {
        while let Some(child) = self.socket(file).queue.pop_front() {
            self.break_off(child);
            self.files.remove(&child);
        }
    }

    /// Sends a reset, when there is a connection to break.
    pub(super) fn break_off(&mut self, file: FileId) {
        let socket = self.socket(file);
        if socket.state == State::Open
            && let Some(peer) = socket.peer
        {
            self.reset(peer);
        }
    }

    /// A reset comes in. Bytes that have arrived stay readable; those on their way out are
    /// lost. The error is ECONNRESET, or EPIPE for who had the peer's end and went on writing.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_reset`, net/ipv4/tcp.c: `tcp_done`
    pub(super) fn reset(&mut self, file: FileId) {
        let Some(socket) = self.find_socket(file) else {
            return;
        };
        if socket.tcp.is_orphan {
            self.files.remove(&file);
            return;
        }
        socket.error = Some(match socket.state {
            State::Closed | State::Listening => return,
            State::Connecting => Errno::ECONNREFUSED,
            State::Open if socket.tcp.ended && !socket.tcp.end_follows => Errno::EPIPE,
            State::Open => Errno::ECONNRESET,
        });
        socket.tcp.outbox.clear();
        socket.tcp.end_follows = false;
        self.finish(file);
        self.wake(file, EPOLLERR);
    }

    /// The connection is over, in order or not.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_done`
    fn finish(&mut self, file: FileId) {
        let socket = self.socket(file);
        socket.state = State::Closed;
        socket.shut(true, true);
        self.wake(file, ANYTHING);
    }

    /// Moves what waits in the outbox to the peer as far as he has room, and our end behind
    /// it. Who speaks to one that has left is answered by a reset.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_queue`, `tcp_rcv_state_process`
    pub(super) fn deliver(&mut self, file: FileId) {
        let Some(peer) = self.socket(file).peer else {
            // The cable is cut.
            return;
        };
        let room = self.room_at(Some(peer));
        let tcp = &mut self.socket(file).tcp;
        let len = room.min(tcp.outbox.len());
        let bytes: Vec<u8> = tcp.outbox.drain(..len).collect();
        let ends = tcp.end_follows && tcp.outbox.is_empty();
        let Some(far) = self.find_socket(peer) else {
            if len > 0 {
                self.reset(file);
            } else if ends {
                self.end_delivered(file);
            }
            return;
        };
        let has_left = far.read_shut && !far.tcp.ended;
        if len > 0 && has_left && (far.tcp.end_sent || far.tcp.end_follows) {
            // He has ended, and shut his reading too: nobody there will ever read this.
            self.reset(peer);
            self.reset(file);
            return;
        }
        if len > 0 {
            far.tcp.inbox.extend(bytes);
            let is_worth_it = far.is_worth_reading();
            if mem::take(&mut far.tcp.end_unanswered) {
                // With the bytes comes the answer to his end.
                self.wake(peer, ANYTHING);
            } else if is_worth_it {
                self.wake(peer, BYTES_CAME);
            }
        }
        if ends {
            self.end_came(peer);
            self.end_delivered(file);
        }
    }

    /// Our end has arrived. When the peer's had come before, all is said; else the peer's
    /// kernel takes its time (40 ms) to answer, unless it has bytes to send along. That answer
    /// wakes us once more.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_rcv_state_process`, `TCP_FIN_WAIT1`
    fn end_delivered(&mut self, file: FileId) {
        let tcp = &mut self.socket(file).tcp;
        (tcp.end_follows, tcp.end_sent) = (false, true);
        tcp.end_unanswered = !tcp.ended;
        if tcp.ended {
            self.finish(file);
        }
    }

    /// The peer's end comes in, behind all bytes.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_fin`
    fn end_came(&mut self, file: FileId) {
        let socket = self.socket(file);
        socket.tcp.ended = true;
        socket.read_shut = true;
        if socket.tcp.is_orphan && socket.tcp.outbox.is_empty() {
            self.files.remove(&file);
        } else if socket.tcp.end_sent {
            self.finish(file);
        } else {
            self.wake(file, ANYTHING);
        }
    }

    /// Bytes were read: there is room for those that the peer has waiting.
    fn pull(&mut self, file: FileId) {
        if let Some(peer) = self.socket(file).peer
            && self.find_socket(peer).is_some_and(|peer| !peer.tcp.outbox.is_empty())
        {
            self.deliver(peer);
            self.room_came_free(peer);
            self.bury(peer);
        }
    }

    fn room_at(&mut self, peer: Option<FileId>) -> usize {
        let Some(peer) = peer else { return 0 };
        match self.find_socket(peer) {
            Some(peer) => peer.options.receive_bytes.saturating_sub(peer.tcp.inbox.len()),
            // It goes out all the same, and the answer comes from his kernel.
            None => usize::MAX / 2,
        }
    }
}

/// What a reader is told when no byte is there.
fn end_of_tcp(socket: &mut Socket) -> Result<usize> {
    if socket.tcp.ended {
        return Ok(0);
    }
    match (socket.error.take(), socket.state) {
        (Some(errno), _) => Err(errno),
        (None, _) if socket.read_shut => Ok(0),
        (None, State::Closed) => Err(Errno::ENOTCONN),
        (None, _) => Err(Errno::EAGAIN),
    }
}
