//! Sockets: their common state, their readiness, and the dispatch of each call to a protocol.
//!
//! Knows four protocols by name; their rules are in `tcp.rs`, `udp.rs`, `unix_stream.rs` and
//! `unix_datagram.rs`.
//!
//! ```text
//!   Closed ── listen ──> Listening
//!     │ ^
//!     │ └─ refused ─┐
//!     └─ connect ─> Connecting ─> Open ── both FINs (TCP), or reset ──> Closed
//! ```

use alloc::collections::VecDeque;

use super::config::SimConfig;
use super::packet::Packet;
use super::sockopt::SocketOptions;
use super::state::{Deferred, FileId, FileKind, KernelState, Result, WAKE_ALL, mask_if};
use super::tcp::Tcp;
use super::version::Version;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use crate::kernel::{ReceivedDatagram, Shutdown, SocketOption, SocketType};
use crate::net::{Addr, AddressFamily, PacketInfo};

/// The key of the wake-up for data: it does not match interest in `EPOLLRDHUP` alone.
///
/// Reference: net/core/sock.c: `sock_def_readable`
pub(super) const WAKE_READABLE: u32 = EPOLLIN | EPOLLPRI;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// New, or closed.
    Closed,
    Listening,
    /// `SYN_SENT`.
    Connecting,
    /// Always, for datagram sockets.
    Open,
}

pub(super) struct Socket {
    pub(super) family: AddressFamily,
    pub(super) kind: SocketType,
    pub(super) state: State,
    pub(super) local: Option<Addr>,
    pub(super) remote: Option<Addr>,
    /// Whether it is found under its local address. An accepted socket has the address of its
    /// listener, and is not found under it.
    pub(super) is_bound: bool,
    /// Whether bind(2) requested this specific address, and this specific port.
    ///
    /// Reference: include/net/sock.h: `SOCK_BINDADDR_LOCK`, `SOCK_BINDPORT_LOCK`
    pub(super) addr_locked: bool,
    pub(super) port_locked: bool,
    /// The pending error, returned by the next call: one slot.
    pub(super) error: Option<Errno>,
    /// `RCV_SHUTDOWN`: the peer has half-closed, or this side was shut down for reading.
    pub(super) read_shut: bool,
    /// `SEND_SHUTDOWN`.
    pub(super) write_shut: bool,
    /// A writer found the buffer full, and is to be woken (`SOCK_NOSPACE`).
    pub(super) nospace: bool,
    pub(super) options: SocketOptions,
    /// The connected peer. UDP has an address only; with a dropped link there is no peer.
    pub(super) peer: Option<FileId>,
    /// Received and unread; TCP uses `tcp.recv_queue`.
    pub(super) packets: VecDeque<Packet>,
    /// Unix only: the memory charged to this sender for packets unread by receivers.
    pub(super) wmem_alloc: usize,
    /// Unix datagrams only: the peer's queue was full, and this socket waits for room in it.
    pub(super) peer_full_waiter: bool,
    pub(super) tcp: Tcp,
    /// Of a listener: connections to be accepted, and how many may wait besides the first.
    pub(super) accept_queue: VecDeque<FileId>,
    pub(super) backlog: usize,
}

impl Socket {
    pub(super) fn new(family: AddressFamily, kind: SocketType, config: &SimConfig) -> Self {
        Self {
            family,
            kind,
            state: if kind == SocketType::Stream { State::Closed } else { State::Open },
            local: None,
            remote: None,
            is_bound: false,
            addr_locked: false,
            port_locked: false,
            error: None,
            read_shut: false,
            write_shut: false,
            nospace: false,
            options: SocketOptions::new(family, config),
            peer: None,
            packets: VecDeque::new(),
            wmem_alloc: 0,
            peer_full_waiter: false,
            tcp: Tcp::default(),
            accept_queue: VecDeque::new(),
            backlog: 0,
        }
    }

    pub(super) fn mark_shutdown(&mut self, read: bool, write: bool) {
        self.read_shut |= read;
        self.write_shut |= write;
    }

    pub(super) fn is_unix(&self) -> bool {
        self.family == AddressFamily::Unix
    }

    pub(super) fn protocol(&self) -> Protocol {
        match (self.kind, self.is_unix()) {
            (SocketType::Stream, false) => Protocol::Tcp,
            (SocketType::Stream, true) => Protocol::UnixStream,
            (SocketType::Datagram, false) => Protocol::Udp,
            (SocketType::Datagram, true) => Protocol::UnixDatagram,
        }
    }

    pub(super) fn unread_bytes(&self) -> usize {
        let packets = self.packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
        self.tcp.recv_queue.len() + packets
    }

    /// Whether there is enough data to wake a reader. Only TCP observes `SO_RCVLOWAT`.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_ready`
    pub(super) fn is_readable(&self) -> bool {
        if self.protocol() != Protocol::Tcp {
            return !self.packets.is_empty();
        }
        // An urgent byte at the front is not readable as normal data.
        let is_inline = self.options.has(SocketOption::OutOfBandInline(true));
        let urgent = usize::from(self.tcp.urgent_at == Some(0) && !is_inline);
        self.tcp.recv_queue.len() >= self.options.recv_low_watermark + urgent
    }

    /// Whether there is enough room to wake a writer: a third of TCP's buffer, three quarters of
    /// a Unix socket's. UDP always has room.
    ///
    /// Reference: include/net/sock.h: `sk_stream_is_writeable`,
    /// net/unix/af_unix.c: `unix_writable`
    fn is_writable(&self) -> bool {
        match self.protocol() {
            Protocol::Tcp => self.tcp.send_queue.len() * 3 <= self.options.send_bytes * 2,
            Protocol::Udp => true,
            Protocol::UnixStream | Protocol::UnixDatagram => {
                let is_listener = self.state == State::Listening;
                !is_listener && (self.wmem_alloc + 1) * 4 <= self.options.send_bytes
            }
        }
    }
}

impl KernelState {
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

    /// Wakes a writer that found the buffer full, once there is enough room. A Unix socket is woken
    /// each time a packet of its own is read, whether or not its buffer was full.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_check_space`,
    /// net/unix/af_unix.c: `unix_write_space`
    pub(super) fn wake_writers(&mut self, file: FileId) {
        if let Some(socket) = self.find_socket(file)
            && socket.is_writable()
            && (socket.is_unix() || socket.nospace)
        {
            socket.nospace = false;
            self.wake(file, EPOLLOUT);
        }
    }

    /// Receives one message: its length, its sender and its destination. A stream returns no
    /// addresses.
    pub(super) fn recvmsg(&mut self, file: FileId, buf: &mut [u8]) -> Result<ReceivedDatagram> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        if socket.kind == SocketType::Datagram {
            return self.recv_datagram(file, buf);
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
        Ok(ReceivedDatagram { len_bytes: count, from: Addr::Unspecified, packet_info: None })
    }

    /// As [`recvmsg`](Self::recvmsg), without the destination address.
    pub(super) fn recv(&mut self, file: FileId, buf: &mut [u8]) -> Result<(usize, Addr)> {
        self.recvmsg(file, buf).map(|message| (message.len_bytes, message.from))
    }

    /// Reads as much as fits `buf`.
    pub(super) fn recv_bytes(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        self.recv(file, buf).map(|(len, _)| len.min(buf.len()))
    }

    /// Sends one message, to `addr` if given, otherwise to the peer.
    pub(super) fn send(&mut self, file: FileId, buf: &[u8], addr: Option<&Addr>) -> Result<usize> {
        self.sendmsg(file, buf, addr, None)
    }

    /// As [`send`](Self::send); a UDP datagram uses `info` as its source. Others ignore it.
    pub(super) fn sendmsg(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
        info: Option<PacketInfo>,
    ) -> Result<usize> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        match protocol {
            Protocol::Udp => return self.send_udp(file, buf, addr, info),
            Protocol::UnixDatagram => return self.send_unix_datagram(file, buf, addr),
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
            _ => self.send_unix(file, &buf[..len], false),
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
        if protocol == Protocol::UnixStream
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
        let version = self.config.version;
        match &self.file_mut(file).kind {
            FileKind::Socket(socket) => match (socket.protocol(), socket.state) {
                (Protocol::Tcp, State::Listening) => Err(Errno::EINVAL),
                (Protocol::Tcp, _) => Ok(socket.tcp.unacked_bytes()),
                (Protocol::UnixStream | Protocol::UnixDatagram, _) => Ok(socket.wmem_alloc),
                // It has been delivered when the call that sent it returns.
                (Protocol::Udp, _) => Ok(0),
            },
            // Since Linux 6.9 an epoll has ioctls of its own, and rejects others with EINVAL.
            // Reference: fs/eventpoll.c: `ep_eventpoll_ioctl`
            FileKind::Epoll(_) if version >= Version::LINUX_6_9 => Err(Errno::EINVAL),
            _ => Err(Errno::ENOTTY),
        }
    }

    pub(super) fn close_socket(&mut self, file: FileId) {
        match self.socket(file).protocol() {
            Protocol::Tcp => self.close_tcp(file),
            Protocol::UnixStream => self.close_unix(file, false),
            Protocol::Udp | Protocol::UnixDatagram => {
                self.purge(file);
                self.files.remove(&file);
            }
        }
    }

    /// The socket, which the caller has checked to be one.
    pub(super) fn socket(&mut self, file: FileId) -> &mut Socket {
        self.find_socket(file).expect("the caller has checked that it is a socket")
    }

    /// The socket, which may have been closed (the peer's, for example).
    pub(super) fn find_socket(&mut self, file: FileId) -> Option<&mut Socket> {
        match &mut self.files.get_mut(&file)?.kind {
            FileKind::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (FileId, &Socket)> {
        self.files.iter().filter_map(|(id, file)| match &file.kind {
            FileKind::Socket(socket) => Some((*id, &**socket)),
            _ => None,
        })
    }
}
