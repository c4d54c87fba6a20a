//! Each call on a socket, and its readiness: dispatched to the protocol that has the rules.
//!
//! Knows all protocols. Also decides where a stream transfers fewer bytes than it could.

use core::mem;

use super::file::{FileId, Result, WAKE_ALL, mask_if};
use super::net::{Deferred, Net};
use super::socket::{Protocol, State};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use crate::kernel::{ReceivedDatagram, Shutdown, SocketType};
use crate::net::{Addr, PacketInfo};

impl Net {
    /// The current readiness. A stream that was never connected reports a hang-up; a TCP listener
    /// reports its accept queue only, and TCP reports room after `SHUT_WR`, so that a writer gets
    /// the error.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_poll`, net/core/datagram.c: `datagram_poll`,
    /// net/unix/af_unix.c: `unix_poll`, `unix_dgram_poll`
    pub(super) fn poll_socket(&mut self, file: FileId) -> u32 {
        let is_peer_full = self.is_peer_full(file);
        let socket = self.socket(file);
        let is_tcp = socket.protocol() == Protocol::Tcp;
        if socket.state == State::Listening && is_tcp {
            return mask_if(!socket.accept_queue.is_empty(), EPOLLIN);
        }
        let (read_shut, write_shut) = (socket.read_shut, socket.write_shut);
        let mut mask = mask_if(socket.error.is_some(), EPOLLERR);
        mask |= mask_if(read_shut, EPOLLIN | EPOLLRDHUP);
        mask |= mask_if(read_shut && write_shut || socket.state == State::Closed, EPOLLHUP);
        if socket.state == State::Connecting {
            return mask;
        }
        mask |= mask_if(socket.is_readable() || !socket.accept_queue.is_empty(), EPOLLIN);
        let is_urgent = socket.packets.iter().any(|packet| packet.is_urgent);
        mask |= mask_if(socket.tcp.urgent_at.is_some() || is_urgent, EPOLLPRI);
        let has_room = socket.is_writable() && !is_peer_full;
        // A caller that was told that there is no room must be woken when there is.
        socket.nospace |= !has_room && !write_shut;
        mask |= mask_if(has_room || write_shut && is_tcp, EPOLLOUT);
        mask
    }

    /// Receives one message: its length, its sender and its destination. A stream returns no
    /// addresses.
    pub(super) fn recvmsg(&mut self, file: FileId, buf: &mut [u8]) -> Result<ReceivedDatagram> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        match socket.kind {
            SocketType::Datagram => return self.recv_datagram(file, buf),
            SocketType::SeqPacket => return self.recv_seqpacket(file, buf),
            SocketType::Stream => {}
        }
        // The withheld rest arrives later.
        let available = socket.unread_bytes().min(buf.len());
        let mut room = buf.len();
        if available > 1 && self.entropy.chance(self.config.probabilities.short_recv) {
            room = 1 + self.entropy.gen_below(available - 1);
            self.deferred.push(Deferred::Readable(file));
        }
        let buf = &mut buf[..room];
        let count = match protocol {
            Protocol::Tcp => self.recv_tcp(file, buf)?,
            _ => self.recv_unix(file, buf)?,
        };
        Ok(ReceivedDatagram {
            len_bytes: count,
            segment_bytes: 0,
            from: Addr::Unspecified,
            packet_info: None,
        })
    }

    /// Reads as much as fits `buf`.
    pub(super) fn recv_bytes(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        self.recvmsg(file, buf).map(|message| message.len_bytes.min(buf.len()))
    }

    /// Sends one message, to `addr` if given, otherwise to the peer. UDP uses `info` as its source
    /// and sends segments; others ignore both.
    pub(super) fn sendmsg(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
        info: Option<PacketInfo>,
        segment_bytes: u16,
    ) -> Result<usize> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        match protocol {
            Protocol::Udp => return self.send_udp(file, buf, addr, info, segment_bytes),
            Protocol::UnixDatagram => return self.send_unix_datagram(file, buf, addr),
            // Its address is ignored.
            Protocol::UnixSeqPacket => return self.send_seqpacket(file, buf),
            // A stream has one peer: TCP ignores the address, Unix rejects it.
            Protocol::UnixStream if addr.is_some() => {
                let is_connected = socket.peer.is_some();
                return Err(if is_connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
            }
            Protocol::Tcp | Protocol::UnixStream => {}
        }
        let mut len = buf.len();
        if len > 1 && self.entropy.chance(self.config.probabilities.short_send) {
            len = 1 + self.entropy.gen_below(len - 1);
            // As if the buffer had been full: the writer must be woken.
            self.socket(file).nospace = true;
            self.deferred.push(Deferred::Writable(file));
        }
        match protocol {
            Protocol::Tcp => self.send_tcp(file, &buf[..len]),
            _ => self.send_unix(file, &buf[..len]),
        }
    }

    /// UDP returns an error when not connected, and shuts down all the same. Both ends of a Unix
    /// stream are affected at once; one without a peer can be shut down too.
    ///
    /// Reference: net/ipv4/af_inet.c: `inet_shutdown`, net/unix/af_unix.c: `unix_shutdown`
    pub(super) fn shutdown(&mut self, file: FileId, how: Shutdown) -> Result<()> {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let socket = self.socket(file);
        let protocol = socket.protocol();
        if protocol == Protocol::Tcp {
            return self.shutdown_tcp(file, read, write);
        }
        socket.mark_shutdown(read, write);
        let (peer, is_connected) = (socket.peer, socket.remote.is_some());
        self.wake(file, WAKE_ALL);
        if matches!(protocol, Protocol::UnixStream | Protocol::UnixSeqPacket)
            && let Some(peer) = peer
            && let Some(far) = self.find_socket(peer)
        {
            far.mark_shutdown(write, read);
            self.wake(peer, WAKE_ALL);
        }
        if protocol == Protocol::Udp && !is_connected { Err(Errno::ENOTCONN) } else { Ok(()) }
    }

    /// Bytes that were sent and are still in the send buffer.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_ioctl`, net/unix/af_unix.c: `unix_ioctl`,
    /// net/ipv4/udp.c: `udp_ioctl`
    pub(super) fn outq(&mut self, file: FileId) -> Result<usize> {
        let socket = self.socket(file);
        match (socket.protocol(), socket.state) {
            (Protocol::Tcp, State::Listening) => Err(Errno::EINVAL),
            (Protocol::Tcp, _) => Ok(socket.tcp.unacked_bytes()),
            (Protocol::UnixStream | Protocol::UnixDatagram | Protocol::UnixSeqPacket, _) => {
                Ok(socket.wmem_alloc)
            }
            // It has been delivered when the call that sent it returns.
            (Protocol::Udp, _) => Ok(0),
        }
    }

    pub(super) fn close_socket(&mut self, file: FileId) {
        match self.socket(file).protocol() {
            Protocol::Tcp => self.close_tcp(file),
            Protocol::UnixStream | Protocol::UnixSeqPacket => self.close_unix(file, false),
            Protocol::Udp | Protocol::UnixDatagram => {
                self.purge(file);
                self.remove(file);
            }
        }
    }

    /// Performs the events that were put off. Called by every wait.
    pub(super) fn run_deferred(&mut self) {
        for deferred in mem::take(&mut self.deferred) {
            match deferred {
                Deferred::Readable(file) => self.wake(file, EPOLLIN),
                Deferred::Writable(file) => self.wake_writers(file),
                Deferred::Connect(file) => self.deliver_syn(file),
            }
        }
    }
}
