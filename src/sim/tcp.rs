//! TCP's rules: send, receive, the two ends of a connection, and how it breaks.
//!
//! Knows streams. Between two sockets there is no network: a segment, an end (FIN) or a reset
//! (RST) has arrived when the call that sent it returns.

use alloc::vec::Vec;

use super::stream::{Attempt, BYTES_CAME, Far, State, Stream};
use super::world::{ANYTHING, FileId, World};
use crate::errno::Errno;
use crate::event::EPOLLERR;
use crate::kernel::Shut;

impl World {
    /// Takes as many bytes as the peer and then our own buffer have room for.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_sendmsg_locked`, net/core/stream.c:
    /// `sk_stream_wait_connect`, `sk_stream_error`
    pub(super) fn send_tcp(&mut self, file: FileId, buf: &[u8]) -> Result<usize, Errno> {
        let send_bytes = self.config.send_buffer_bytes;
        let stream = self.stream(file);
        let common = &mut stream.common;
        let refusal = match stream.state {
            State::Open if common.error.is_none() && !common.write_shut => None,
            State::Connecting => Some(Errno::EAGAIN),
            State::Open | State::Closed | State::Listening => Some(Errno::EPIPE),
        };
        if let Some(errno) = refusal {
            return Err(common.error.take().unwrap_or(errno));
        }
        let far = stream.far;
        let send_bytes = stream.common.options.send_bytes(send_bytes);
        let room_here = send_bytes.saturating_sub(stream.outbox.len());
        let len = buf.len().min(room_here + self.room_at(far));
        let stream = self.stream(file);
        stream.outbox.extend(&buf[..len]);
        stream.wants_room |= len < buf.len();
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
    pub(super) fn recv_tcp(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize, Errno> {
        let stream = self.stream(file);
        if stream.state == State::Listening {
            return Err(Errno::ENOTCONN);
        }
        if stream.urgent_at == Some(0) && !buf.is_empty() {
            // The urgent byte itself is no part of what is read plainly.
            stream.inbox.pop_front();
            stream.urgent_at = None;
            self.pull(file);
        }
        let stream = self.stream(file);
        if stream.inbox.is_empty() {
            return end_of_tcp(stream);
        }
        // A read stops short at the urgent byte.
        let there = stream.urgent_at.unwrap_or(stream.inbox.len());
        let len = buf.len().min(there);
        stream.take(&mut buf[..len]);
        stream.urgent_at = stream.urgent_at.map(|at| at - len);
        self.pull(file);
        Ok(len)
    }

    /// Reference: net/ipv4/tcp_input.c: `tcp_urg`, `tcp_check_urg`
    pub(super) fn send_urgent(&mut self, file: FileId, byte: u8) -> Result<(), Errno> {
        self.send_tcp(file, &[byte])?;
        if let Far::Peer(peer) = self.stream(file).far
            && let Some(peer_stream) = self.find_stream(peer)
            && !peer_stream.inbox.is_empty()
        {
            peer_stream.urgent_at = Some(peer_stream.inbox.len() - 1);
            self.wake(peer, BYTES_CAME);
        }
        Ok(())
    }

    /// Reference: net/ipv4/af_inet.c: `inet_shutdown`, net/ipv4/tcp.c: `tcp_shutdown`
    pub(super) fn shutdown_tcp(&mut self, file: FileId, how: Shut) -> Result<(), Errno> {
        let stream = self.stream(file);
        let (read, write) = (how != Shut::Write, how != Shut::Read);
        let mut result = Ok(());
        match stream.state {
            State::Connecting => self.disconnect(file),
            State::Listening if read => self.disconnect(file),
            State::Listening => {}
            State::Closed | State::Open => {
                stream.attempt = match (stream.attempt, stream.state) {
                    (Attempt::Begun, State::Closed) => Attempt::Spoilt,
                    (Attempt::Begun, _) => Attempt::None,
                    (attempt, _) => attempt,
                };
                stream.common.read_shut |= read;
                let is_first = write && !stream.common.write_shut;
                stream.common.write_shut |= write;
                if stream.state == State::Closed {
                    result = Err(Errno::ENOTCONN);
                } else if is_first {
                    stream.end_follows = true;
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
        let stream = self.stream(file);
        // The reset that goes to the peer is an error here, too.
        if stream.state == State::Open {
            stream.common.error = Some(Errno::ECONNRESET);
        }
        stream.state = State::Closed;
        stream.far = Far::Nobody;
        (stream.common.read_shut, stream.common.write_shut) = (false, false);
        stream.common.part();
        (stream.ended, stream.end_sent, stream.end_follows) = (false, false, false);
        stream.end_unanswered = false;
        (stream.attempt, stream.urgent_at) = (Attempt::None, None);
        stream.inbox.clear();
        stream.outbox.clear();
        self.wake(file, EPOLLERR);
    }

    /// The owner is gone. Unread bytes, or a linger of zero, break the connection; else our
    /// end follows what is still to be delivered.
    ///
    /// Reference: net/ipv4/tcp.c: `__tcp_close`
    pub(super) fn close_tcp(&mut self, file: FileId) {
        self.reset_queue(file);
        let stream = self.stream(file);
        let is_rude = !stream.inbox.is_empty() || stream.common.options.lingers_zero();
        if stream.state != State::Open || is_rude {
            self.break_off(file);
            self.files.remove(&file);
            return;
        }
        stream.is_orphan = true;
        (stream.common.read_shut, stream.common.write_shut) = (true, true);
        stream.end_follows |= !stream.end_sent;
        self.deliver(file);
        // Later bytes of the peer find nobody and are answered by a reset.
        if self.find_stream(file).is_some_and(|stream| stream.outbox.is_empty()) {
            self.files.remove(&file);
        }
    }

    /// Those in the queue of a listener that goes are reset.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_csk_listen_stop`
    fn reset_queue(&mut self, file: FileId) {
        while let Some(child) = self.stream(file).queue.pop_front() {
            self.break_off(child);
            self.files.remove(&child);
        }
    }

    /// Sends a reset, when there is a connection to break.
    pub(super) fn break_off(&mut self, file: FileId) {
        let stream = self.stream(file);
        if stream.state == State::Open
            && let Far::Peer(peer) = stream.far
        {
            self.reset(peer);
        }
    }

    /// A reset comes in. Bytes that have arrived stay readable; those on their way out are
    /// lost. The error is ECONNRESET, or EPIPE for who had the peer's end and went on writing.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_reset`, net/ipv4/tcp.c: `tcp_done`
    pub(super) fn reset(&mut self, file: FileId) {
        let Some(stream) = self.find_stream(file) else {
            return;
        };
        if stream.is_orphan {
            self.files.remove(&file);
            return;
        }
        stream.common.error = Some(match stream.state {
            State::Closed | State::Listening => return,
            State::Connecting => Errno::ECONNREFUSED,
            State::Open if stream.ended && !stream.end_follows => Errno::EPIPE,
            State::Open => Errno::ECONNRESET,
        });
        stream.outbox.clear();
        stream.end_follows = false;
        self.finish(file);
        self.wake(file, EPOLLERR);
    }

    /// The connection is over, in order or not.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_done`
    fn finish(&mut self, file: FileId) {
        let stream = self.stream(file);
        stream.state = State::Closed;
        (stream.common.read_shut, stream.common.write_shut) = (true, true);
        self.wake(file, ANYTHING);
    }

    /// Moves what waits in the outbox to the peer as far as he has room, and our end behind
    /// it. Who speaks to nobody, or to one that has left, is answered by a reset.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_queue`, `tcp_rcv_state_process`
    pub(super) fn deliver(&mut self, file: FileId) {
        let far = self.stream(file).far;
        let room = self.room_at(far);
        let stream = self.stream(file);
        let Far::Peer(peer) = far else {
            stream.end_follows &= far == Far::Void;
            if far == Far::Nobody && !stream.outbox.is_empty() {
                self.reset(file);
            }
            return;
        };
        let len = room.min(stream.outbox.len());
        let bytes: Vec<u8> = stream.outbox.drain(..len).collect();
        let ends = stream.end_follows && stream.outbox.is_empty();
        let Some(peer_stream) = self.find_stream(peer) else {
            if len > 0 {
                self.reset(file);
            } else if ends {
                self.end_delivered(file);
            }
            return;
        };
        let has_left = peer_stream.common.read_shut && !peer_stream.ended;
        if len > 0 && has_left && (peer_stream.end_sent || peer_stream.end_follows) {
            // He has ended, and shut his reading too: nobody there will ever read this.
            self.reset(peer);
            self.reset(file);
            return;
        }
        if len > 0 {
            peer_stream.inbox.extend(bytes);
            let is_worth_it = peer_stream.is_worth_reading();
            if core::mem::take(&mut peer_stream.end_unanswered) {
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
        let stream = self.stream(file);
        (stream.end_follows, stream.end_sent) = (false, true);
        stream.end_unanswered = !stream.ended;
        if stream.ended {
            self.finish(file);
        }
    }

    /// The peer's end comes in, behind all bytes.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_fin`
    fn end_came(&mut self, file: FileId) {
        let stream = self.stream(file);
        stream.ended = true;
        stream.common.read_shut = true;
        if stream.is_orphan && stream.outbox.is_empty() {
            self.files.remove(&file);
        } else if stream.end_sent {
            self.finish(file);
        } else {
            self.wake(file, ANYTHING);
        }
    }

    /// Bytes were read: there is room for those that the peer has waiting.
    fn pull(&mut self, file: FileId) {
        let Far::Peer(peer) = self.stream(file).far else {
            return;
        };
        let Some(peer_stream) = self.find_stream(peer) else {
            return;
        };
        if peer_stream.outbox.is_empty() {
            return;
        }
        self.deliver(peer);
        self.room_came_free(peer);
        if self.find_stream(peer).is_some_and(|peer| peer.is_orphan && peer.outbox.is_empty()) {
            self.files.remove(&peer);
        }
    }

    fn room_at(&mut self, far: Far) -> usize {
        let default = self.config.receive_buffer_bytes;
        match far {
            Far::Peer(peer) => match self.find_stream(peer) {
                Some(peer) => {
                    let most = peer.common.options.receive_bytes(default);
                    most.saturating_sub(peer.inbox.len())
                }
                // It goes out all the same, and the answer comes from his kernel.
                None => usize::MAX / 2,
            },
            Far::Nobody | Far::Void => 0,
        }
    }
}

/// What a reader is told when no byte is there.
fn end_of_tcp(stream: &mut Stream) -> Result<usize, Errno> {
    if stream.ended {
        return Ok(0);
    }
    match (stream.common.error.take(), stream.state) {
        (Some(errno), _) => Err(errno),
        (None, _) if stream.common.read_shut => Ok(0),
        (None, State::Closed) => Err(Errno::ENOTCONN),
        (None, _) => Err(Errno::EAGAIN),
    }
}
