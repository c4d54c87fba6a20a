//! How streams meet: listen(2), connect(2), accept4(2).
//!
//! Knows streams and names. In both families the connection is complete, and can be written
//! to, before it is accepted.

use super::name::{destination, fits, named, nameless, source};
use super::options::Options;
use super::socket::{BYTES_CAME, Protocol, Socket, State};
use super::tcp::Attempt;
use super::world::{ANYTHING, FileId, Later, Node, Result, World};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{Fd, Kind};

impl World {
    /// Two that share a port by `SO_REUSEADDR` cannot both listen.
    ///
    /// Reference: net/ipv4/af_inet.c: `inet_listen`, net/unix/af_unix.c: `unix_listen`
    pub(super) fn listen(&mut self, file: FileId, backlog: u32) -> Result<()> {
        let backlog = backlog.min(self.config.backlog_max);
        let socket = self.socket(file);
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let is_nameless = socket.is_unix() && socket.local.is_none();
        if is_nameless || !matches!(socket.state, State::Closed | State::Listening) {
            return Err(Errno::EINVAL);
        }
        if !socket.is_unix() {
            self.bind_any(file, None)?;
            let local = self.socket(file).local;
            if local.is_some_and(|local| self.is_taken(file, &local)) {
                return Err(Errno::EADDRINUSE);
            }
        }
        let socket = self.socket(file);
        (socket.state, socket.backlog) = (State::Listening, backlog as usize);
        Ok(())
    }

    pub(super) fn connect(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        match self.socket(file).protocol() {
            Protocol::Tcp => self.connect_tcp(file, addr),
            Protocol::Udp => self.connect_udp(file, addr),
            Protocol::UnixStream => self.connect_unix(file, addr),
            Protocol::UnixDatagram => self.connect_unix_datagram(file, addr),
        }
    }

    /// A Unix connection is there at once or not at all. The socket that will be accepted is
    /// made here, and stands in the queue with what is sent meanwhile.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_connect`
    fn connect_unix(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let listener = self.find_unix(&named(addr)?, Kind::Stream)?;
        let door = self.socket(listener);
        if door.state != State::Listening || door.read_shut {
            return Err(Errno::ECONNREFUSED);
        }
        if door.queue.len() > door.backlog {
            return Err(Errno::EAGAIN);
        }
        match self.socket(file).state {
            State::Closed => self.join(file, listener),
            State::Open => return Err(Errno::EISCONN),
            State::Listening | State::Connecting => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// A non-blocking TCP connect is always begun only: writable tells that it is over,
    /// `SO_ERROR` how. To ask again tells that too.
    ///
    /// Reference: net/ipv4/af_inet.c: `__inet_stream_connect`
    fn connect_tcp(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        if *addr == Addr::Unspec {
            self.disconnect(file);
            return Ok(());
        }
        let socket = self.socket(file);
        match (socket.tcp.attempt, socket.state) {
            (Attempt::None, _) => {}
            (Attempt::Spoilt, _) => return Err(Errno::EINVAL),
            (Attempt::Begun, State::Connecting) => return Err(Errno::EALREADY),
            (Attempt::Begun, State::Open) => {
                socket.tcp.attempt = Attempt::None;
                return Ok(());
            }
            (Attempt::Begun, State::Closed | State::Listening) => {
                let errno = socket.error.take().unwrap_or(Errno::ECONNABORTED);
                self.disconnect(file);
                return Err(errno);
            }
        }
        if socket.state != State::Closed || socket.peer.is_some() {
            return Err(Errno::EISCONN);
        }
        fits(socket.family, addr)?;
        let target = destination(addr);
        let ip = target.ip().ok_or(Errno::EINVAL)?;
        if !self.has_address(ip) {
            return Err(self.no_way_to(ip));
        }
        self.bind_any(file, Some(source(ip)))?;
        let socket = self.socket(file);
        socket.remote = Some(target);
        (socket.tcp.attempt, socket.state) = (Attempt::Begun, State::Connecting);
        if self.chance.happens(self.config.odds.late_connect) {
            self.later.push(Later::Connect(file));
        } else {
            self.try_to_connect(file);
        }
        Err(Errno::EINPROGRESS)
    }

    /// The first segment arrives: at a listener, at a full queue (which drops it, and it comes
    /// again), or nowhere, which is answered by a reset.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_conn_request`, `tcp_rcv_synsent_state_process`
    pub(super) fn try_to_connect(&mut self, file: FileId) {
        let connecting = self.find_socket(file).filter(|it| it.state == State::Connecting);
        let Some(socket) = connecting else {
            return;
        };
        let (target, from) = (socket.remote, socket.local);
        let target = target.expect("a socket that connects knows where to");
        let Some(listener) = self.find_inet(&target, Kind::Stream, from) else {
            self.reset(file);
            return;
        };
        let door = self.socket(listener);
        if door.queue.len() > door.backlog {
            self.later.push(Later::Connect(file));
            return;
        }
        self.join(file, listener);
    }

    /// Makes the other end, and puts it in the listener's queue.
    fn join(&mut self, file: FileId, listener: FileId) {
        let door = self.socket(listener);
        let (family, name) = (door.family, door.local);
        // Only TCP hands a listener's options down.
        let heirloom = Some(door.options.clone()).filter(|_| family != Family::Unix);
        let near = self.socket(file);
        let (local, remote) = (near.local, near.remote.or(name));
        let options = heirloom.unwrap_or_else(|| Options::new(family, &self.config));
        let mut child = Socket::new(family, Kind::Stream, &self.config);
        (child.state, child.peer, child.options) = (State::Open, Some(file), options);
        child.local = remote;
        // A Unix socket without a name is a peer all the same.
        child.remote = Some(local.unwrap_or_else(|| nameless(family)));
        let child = self.add(Node::Socket(child.into()));
        let near = self.socket(file);
        (near.state, near.peer, near.remote) = (State::Open, Some(child), remote);
        if !near.is_unix() {
            self.wake(file, ANYTHING);
        }
        self.socket(listener).queue.push_back(child);
        self.wake(listener, BYTES_CAME);
    }

    /// The first of the queue gets a descriptor. The descriptor comes first: when there is
    /// none, nothing is taken, and nobody has looked whether anything was there.
    ///
    /// Reference: net/socket.c: `__sys_accept4_file`, net/ipv4/inet_connection_sock.c:
    /// `inet_csk_accept`, net/unix/af_unix.c: `unix_accept`
    pub(super) fn accept(&mut self, process: usize, file: FileId) -> Result<(Fd, Addr)> {
        self.room_for(process, 1)?;
        let is_aborted = self.chance.happens(self.config.odds.aborted);
        let socket = self.find_socket(file).ok_or(Errno::ENOTSOCK)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if socket.state != State::Listening {
            return Err(Errno::EINVAL);
        }
        let child = socket.queue.pop_front().ok_or(Errno::EAGAIN)?;
        let fd = self.install(process, child);
        if is_aborted {
            self.close(process, &fd);
            return Err(Errno::ECONNABORTED);
        }
        let remote = self.socket(child).remote;
        Ok((fd, remote.expect("who was joined knows its peer")))
    }

    /// Two Unix sockets back to back. Neither has a name.
    ///
    /// Reference: net/unix/af_unix.c: `unix_socketpair`
    pub(super) fn socketpair(&mut self, process: usize, kind: Kind) -> Result<(Fd, Fd)> {
        self.room_for(process, 2)?;
        let [one, other] = [(), ()].map(|()| {
            let mut socket = Socket::new(Family::Unix, kind, &self.config);
            socket.state = State::Open;
            socket.remote = Some(nameless(Family::Unix));
            self.add(Node::Socket(socket.into()))
        });
        self.socket(one).peer = Some(other);
        self.socket(other).peer = Some(one);
        Ok((self.install(process, one), self.install(process, other)))
    }
}
