//! Sockets: what all have, what is so of one, and each verb handed to the protocol that knows it.
//!
//! Knows four protocols by name; their rules stand in `tcp.rs`, `udp.rs`, `unix.rs` and
//! `unix_datagram.rs`.
//!
//! ```text
//!   Closed ── listen ──> Listening
//!     │ ^
//!     │ └─ refused ─┐
//!     └─ connect ─> Connecting ─> Open ── both ends said (TCP), or reset ──> Closed
//! ```

use alloc::collections::VecDeque;

use super::config::Config;
use super::letter::Letter;
use super::options::Options;
use super::tcp::Tcp;
use super::version::Version;
use super::world::{ANYTHING, FileId, Later, Node, Result, World, bit};
use crate::addr::{Addr, Family, PacketInfo};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use crate::kernel::{Kind, Message, Shut, SocketOption};

/// The key of the wake-up for bytes: it says nothing to who waits for an end only.
///
/// Reference: net/core/sock.c: `sock_def_readable`
pub(super) const BYTES_CAME: u32 = EPOLLIN | EPOLLPRI;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    UnixStream,
    UnixDatagram,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// New, or over.
    Closed,
    Listening,
    /// `SYN_SENT`.
    Connecting,
    /// Datagram sockets always are.
    Open,
}

pub(super) struct Socket {
    pub(super) family: Family,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) local: Option<Addr>,
    pub(super) remote: Option<Addr>,
    /// Others find it under its name. An accepted socket has the name of its listener, and is
    /// not found under it.
    pub(super) is_bound: bool,
    /// Whether bind(2) asked for this very address, and for this very port.
    ///
    /// Reference: include/net/sock.h: `SOCK_BINDADDR_LOCK`, `SOCK_BINDPORT_LOCK`
    pub(super) keeps_ip: bool,
    pub(super) keeps_port: bool,
    /// The error that the next to ask is told: one slot.
    pub(super) error: Option<Errno>,
    /// `RCV_SHUTDOWN`: the peer has ended, or we have.
    pub(super) read_shut: bool,
    /// `SEND_SHUTDOWN`.
    pub(super) write_shut: bool,
    /// Somebody found no room, and is to be told of it (`SOCK_NOSPACE`).
    pub(super) wants_room: bool,
    pub(super) options: Options,
    /// Whom it is connected to. UDP knows an address only, and a cut cable leads to nobody.
    pub(super) peer: Option<FileId>,
    /// What has arrived and is unread; TCP's lies in `tcp.inbox`.
    pub(super) letters: VecDeque<Letter>,
    /// Unix only: what our letters cost us that others have not read.
    pub(super) unread_cost: usize,
    /// Unix datagrams only: our peer's queue was full, and we are to be told when it is not.
    pub(super) waits_for_peer: bool,
    pub(super) tcp: Tcp,
    /// Of a listener: who waits to be accepted, and how many may besides the first.
    pub(super) queue: VecDeque<FileId>,
    pub(super) backlog: usize,
}

impl Socket {
    pub(super) fn new(family: Family, kind: Kind, config: &Config) -> Self {
        Self {
            family,
            kind,
            state: if kind == Kind::Stream { State::Closed } else { State::Open },
            local: None,
            remote: None,
            is_bound: false,
            keeps_ip: false,
            keeps_port: false,
            error: None,
            read_shut: false,
            write_shut: false,
            wants_room: false,
            options: Options::new(family, config),
            peer: None,
            letters: VecDeque::new(),
            unread_cost: 0,
            waits_for_peer: false,
            tcp: Tcp::default(),
            queue: VecDeque::new(),
            backlog: 0,
        }
    }

    pub(super) fn shut(&mut self, read: bool, write: bool) {
        self.read_shut |= read;
        self.write_shut |= write;
    }

    pub(super) fn is_unix(&self) -> bool {
        self.family == Family::Unix
    }

    pub(super) fn protocol(&self) -> Protocol {
        match (self.kind, self.is_unix()) {
            (Kind::Stream, false) => Protocol::Tcp,
            (Kind::Stream, true) => Protocol::UnixStream,
            (Kind::Datagram, false) => Protocol::Udp,
            (Kind::Datagram, true) => Protocol::UnixDatagram,
        }
    }

    pub(super) fn unread_bytes(&self) -> usize {
        let letters = self.letters.iter().map(|letter| letter.bytes.len()).sum::<usize>();
        self.tcp.inbox.len() + letters
    }

    /// Whether there is as much as a reader wants to be woken for. Only TCP minds
    /// `SO_RCVLOWAT`.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_data_ready`
    pub(super) fn is_worth_reading(&self) -> bool {
        if self.protocol() != Protocol::Tcp {
            return !self.letters.is_empty();
        }
        // The urgent byte at the very front is not there for who reads plainly.
        let is_inline = self.options.has(SocketOption::OutOfBandInline(true));
        let urgent = usize::from(self.tcp.urgent_at == Some(0) && !is_inline);
        self.tcp.inbox.len() >= self.options.low_bytes + urgent
    }

    /// Whether there is as much room as a writer wants to be woken for: of TCP's buffer a
    /// third, of a Unix socket's three quarters. UDP has always room.
    ///
    /// Reference: include/net/sock.h: `sk_stream_is_writeable`,
    /// net/unix/af_unix.c: `unix_writable`
    fn has_room(&self) -> bool {
        match self.protocol() {
            Protocol::Tcp => self.tcp.outbox.len() * 3 <= self.options.send_bytes * 2,
            Protocol::Udp => true,
            Protocol::UnixStream | Protocol::UnixDatagram => {
                let is_listener = self.state == State::Listening;
                !is_listener && (self.unread_cost + 1) * 4 <= self.options.send_bytes
            }
        }
    }
}

impl World {
    /// What is so now. A stream that was never connected hangs up; a TCP listener knows nothing
    /// but its queue, and TCP's writing end stays "room" when shut, so that the writer meets the
    /// error.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_poll`, net/core/datagram.c: `datagram_poll`,
    /// net/unix/af_unix.c: `unix_poll`, `unix_dgram_poll`
    pub(super) fn poll_socket(&mut self, file: FileId) -> u32 {
        let is_peer_full = self.is_peer_full(file);
        let socket = self.socket(file);
        let is_tcp = socket.protocol() == Protocol::Tcp;
        if socket.state == State::Listening && is_tcp {
            return bit(!socket.queue.is_empty(), EPOLLIN);
        }
        let (read_shut, write_shut) = (socket.read_shut, socket.write_shut);
        let mut so = bit(socket.error.is_some(), EPOLLERR);
        so |= bit(read_shut, EPOLLIN | EPOLLRDHUP);
        so |= bit(read_shut && write_shut || socket.state == State::Closed, EPOLLHUP);
        if socket.state == State::Connecting {
            return so;
        }
        so |= bit(socket.is_worth_reading() || !socket.queue.is_empty(), EPOLLIN);
        let is_urgent = socket.letters.iter().any(|letter| letter.is_urgent);
        so |= bit(socket.tcp.urgent_at.is_some() || is_urgent, EPOLLPRI);
        let has_room = socket.has_room() && !is_peer_full;
        // Who was told that there is no room is to be told when there is.
        socket.wants_room |= !has_room && !write_shut;
        so |= bit(has_room || write_shut && is_tcp, EPOLLOUT);
        so
    }

    /// Tells who found no room that there is some, once there is enough of it. A Unix socket
    /// is told each time that a letter of his is read, whether or not he was ever short of room.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_check_space`,
    /// net/unix/af_unix.c: `unix_write_space`
    pub(super) fn room_came_free(&mut self, file: FileId) {
        if let Some(socket) = self.find_socket(file)
            && socket.has_room()
            && (socket.is_unix() || socket.wants_room)
        {
            socket.wants_room = false;
            self.wake(file, EPOLLOUT);
        }
    }

    /// Reads one message: how much of it there was, who sent it, and where to. A stream says no
    /// names.
    pub(super) fn recvmsg(&mut self, file: FileId, buf: &mut [u8]) -> Result<Message> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        if socket.kind == Kind::Datagram {
            return self.recv_datagram(file, buf);
        }
        // What chance withholds arrives later.
        let there = socket.unread_bytes().min(buf.len());
        let mut room = buf.len();
        if there > 1 && self.chance.happens(self.config.odds.short_recv) {
            room = 1 + self.chance.below(there - 1);
            self.later.push(Later::Readable(file));
        }
        let buf = &mut buf[..room];
        let count = match protocol {
            Protocol::Tcp => self.recv_tcp(file, buf)?,
            _ => self.recv_unix(file, buf)?,
        };
        Ok(Message { len_bytes: count, from: Addr::Unspec, packet_info: None })
    }

    /// As [`recvmsg`](Self::recvmsg), without the address it was sent to.
    pub(super) fn recv(&mut self, file: FileId, buf: &mut [u8]) -> Result<(usize, Addr)> {
        self.recvmsg(file, buf).map(|message| (message.len_bytes, message.from))
    }

    /// Reads what `buf` has room for.
    pub(super) fn recv_bytes(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        self.recv(file, buf).map(|(len, _)| len.min(buf.len()))
    }

    /// Sends one message, to `addr` if there is one, or to the peer.
    pub(super) fn send(&mut self, file: FileId, buf: &[u8], addr: Option<&Addr>) -> Result<usize> {
        self.sendmsg(file, buf, addr, None)
    }

    /// As [`send`](Self::send); a UDP datagram leaves from where `info` says. Others pass it over.
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
            // A stream has one peer: TCP ignores the address, Unix minds it.
            Protocol::UnixStream if addr.is_some() => {
                let is_connected = socket.peer.is_some();
                return Err(if is_connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
            }
            Protocol::Tcp | Protocol::UnixStream => {}
        }
        let mut len = buf.len();
        if len > 1 && self.chance.happens(self.config.odds.short_send) {
            len = 1 + self.chance.below(len - 1);
            // As if the buffer had been full just now: the writer is to be told of room.
            self.socket(file).wants_room = true;
            self.later.push(Later::Writable(file));
        }
        match protocol {
            Protocol::Tcp => self.send_tcp(file, &buf[..len]),
            _ => self.send_unix(file, &buf[..len], false),
        }
    }

    /// UDP minds being unconnected, and shuts all the same. Of a Unix stream both ends know at
    /// once; one without a peer can be shut too.
    ///
    /// Reference: net/ipv4/af_inet.c: `inet_shutdown`, net/unix/af_unix.c: `unix_shutdown`
    pub(super) fn shutdown(&mut self, file: FileId, how: Shut) -> Result<()> {
        let (read, write) = (how != Shut::Write, how != Shut::Read);
        let socket = self.socket(file);
        let protocol = socket.protocol();
        if protocol == Protocol::Tcp {
            return self.shutdown_tcp(file, read, write);
        }
        socket.shut(read, write);
        let (peer, is_connected) = (socket.peer, socket.remote.is_some());
        self.wake(file, ANYTHING);
        if protocol == Protocol::UnixStream
            && let Some(peer) = peer
            && let Some(far) = self.find_socket(peer)
        {
            far.shut(write, read);
            self.wake(peer, ANYTHING);
        }
        if protocol == Protocol::Udp && !is_connected { Err(Errno::ENOTCONN) } else { Ok(()) }
    }

    /// What was sent and is still on our side.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_ioctl`, net/unix/af_unix.c: `unix_ioctl`,
    /// net/ipv4/udp.c: `udp_ioctl`
    pub(super) fn outq(&mut self, file: FileId) -> Result<usize> {
        let version = self.config.version;
        match &self.at(file).node {
            Node::Socket(socket) => match (socket.protocol(), socket.state) {
                (Protocol::Tcp, State::Listening) => Err(Errno::EINVAL),
                (Protocol::Tcp, _) => Ok(socket.tcp.unanswered()),
                (Protocol::UnixStream | Protocol::UnixDatagram, _) => Ok(socket.unread_cost),
                // It has left when the call that sent it returns.
                (Protocol::Udp, _) => Ok(0),
            },
            // Since Linux 6.9 an epoll knows requests, and refuses others in its own words.
            // Reference: fs/eventpoll.c: `ep_eventpoll_ioctl`
            Node::Epoll(_) if version >= Version::LINUX_6_9 => Err(Errno::EINVAL),
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

    /// The socket, which the caller has seen to be one.
    pub(super) fn socket(&mut self, file: FileId) -> &mut Socket {
        self.find_socket(file).expect("whoever calls has seen that it is a socket")
    }

    /// The socket at the other end say, which may be gone.
    pub(super) fn find_socket(&mut self, file: FileId) -> Option<&mut Socket> {
        match &mut self.files.get_mut(&file)?.node {
            Node::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (FileId, &Socket)> {
        self.files.iter().filter_map(|(id, file)| match &file.node {
            Node::Socket(socket) => Some((*id, &**socket)),
            _ => None,
        })
    }
}
