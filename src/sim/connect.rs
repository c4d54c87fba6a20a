//! Connections: listen(2), connect(2), the accept queue, socketpair(2).
//!
//! Knows the protocols and addresses, and no descriptor. In both families a connection is complete,
//! and can be written to, before it is accepted.

use super::address::{dest_addr, family_matches, source_addr, unix_name, unspecified_addr};
use super::file::{FileId, Result, WAKE_ALL, WAKE_READABLE, err_if};
use super::net::{Deferred, Net};
use super::socket::{Protocol, Socket, State};
use super::socket_options::SocketOptions;
use super::tcb::ConnectState;
use crate::errno::Errno;
use crate::kernel::SocketType;
use crate::net::{Addr, AddressFamily};

impl Net {
    /// Two sockets that share a port by `SO_REUSEADDR` cannot both listen.
    ///
    /// Reference: net/ipv4/af_inet.c: `inet_listen`, net/unix/af_unix.c: `unix_listen`
    pub(super) fn listen(&mut self, file: FileId, backlog: u32) -> Result<()> {
        let backlog = backlog.min(self.config.backlog_max);
        let socket = self.socket(file);
        err_if(socket.kind == SocketType::Datagram, Errno::EOPNOTSUPP)?;
        let is_unnamed = socket.is_unix() && socket.local.is_none();
        err_if(
            is_unnamed || !matches!(socket.state, State::Closed | State::Listening),
            Errno::EINVAL,
        )?;
        if !socket.is_unix() {
            self.autobind_inet(file, None)?;
            let local = self.socket(file).local;
            err_if(local.is_some_and(|local| self.is_in_use(file, &local)), Errno::EADDRINUSE)?;
        }
        let socket = self.socket(file);
        (socket.state, socket.backlog) = (State::Listening, backlog as usize);
        Ok(())
    }

    pub(super) fn connect(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        match self.socket(file).protocol() {
            Protocol::Tcp => self.connect_tcp(file, addr),
            Protocol::Udp => self.connect_udp(file, addr),
            Protocol::UnixStream | Protocol::UnixSeqPacket => self.connect_unix(file, addr),
            Protocol::UnixDatagram => self.connect_unix_datagram(file, addr),
        }
    }

    /// A Unix connect completes at once or fails. The socket to be accepted is created here, and
    /// waits in the accept queue with whatever is sent until then.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_connect`
    fn connect_unix(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        let kind = self.socket(file).kind;
        let listener = self.find_unix(&unix_name(addr)?, kind)?;
        let listening = self.socket(listener);
        err_if(listening.state != State::Listening || listening.read_shut, Errno::ECONNREFUSED)?;
        err_if(listening.accept_queue.len() > listening.backlog, Errno::EAGAIN)?;
        match self.socket(file).state {
            State::Closed => self.create_peer(file, listener),
            State::Open => return Err(Errno::EISCONN),
            State::Listening | State::Connecting => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// A non-blocking TCP connect always returns EINPROGRESS: `EPOLLOUT` reports its completion,
    /// `SO_ERROR` the outcome. Another connect(2) returns the outcome too.
    ///
    /// Reference: net/ipv4/af_inet.c: `__inet_stream_connect`
    fn connect_tcp(&mut self, file: FileId, addr: &Addr) -> Result<()> {
        if *addr == Addr::Unspecified {
            self.disconnect(file);
            return Ok(());
        }
        let socket = self.socket(file);
        match (socket.tcp.connect_state, socket.state) {
            (ConnectState::None, _) => {}
            (ConnectState::Failed, _) => return Err(Errno::EINVAL),
            (ConnectState::Connecting, State::Connecting) => return Err(Errno::EALREADY),
            (ConnectState::Connecting, State::Open) => {
                socket.tcp.connect_state = ConnectState::None;
                return Ok(());
            }
            (ConnectState::Connecting, State::Closed | State::Listening) => {
                let errno = socket.error.take().unwrap_or(Errno::ECONNABORTED);
                self.disconnect(file);
                return Err(errno);
            }
        }
        err_if(socket.state != State::Closed || socket.peer.is_some(), Errno::EISCONN)?;
        family_matches(socket.family, addr)?;
        let target = dest_addr(addr);
        let ip = target.ip().ok_or(Errno::EINVAL)?;
        if !self.has_address(ip) {
            return Err(self.unreachable_errno(ip));
        }
        self.autobind_inet(file, Some(source_addr(ip)))?;
        let socket = self.socket(file);
        socket.remote = Some(target);
        (socket.tcp.connect_state, socket.state) = (ConnectState::Connecting, State::Connecting);
        if self.entropy.chance(self.config.probabilities.late_connect) {
            self.deferred.push(Deferred::Connect(file));
        } else {
            self.deliver_syn(file);
        }
        Err(Errno::EINPROGRESS)
    }

    /// The SYN arrives: at a listener, at a full accept queue (which drops it, and it is
    /// retransmitted), or nowhere, which is answered with a reset.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_conn_request`, `tcp_rcv_synsent_state_process`
    pub(super) fn deliver_syn(&mut self, file: FileId) {
        let connecting = self.find_socket(file).filter(|it| it.state == State::Connecting);
        let Some(socket) = connecting else {
            return;
        };
        let (target, from) = (socket.remote, socket.local);
        let target = target.expect("a connecting socket has a target");
        let Some(listener) = self.find_inet(&target, SocketType::Stream, from) else {
            // Both ends open at once when they are one: RFC 9293, 3.5.
            if from == Some(target) {
                let socket = self.socket(file);
                (socket.state, socket.peer) = (State::Open, Some(file));
                self.wake(file, WAKE_ALL);
            } else {
                self.receive_reset(file);
            }
            return;
        };
        let listening = self.socket(listener);
        if listening.accept_queue.len() > listening.backlog {
            self.deferred.push(Deferred::Connect(file));
            return;
        }
        self.create_peer(file, listener);
    }

    /// Creates the accepting end, and appends it to the listener's accept queue.
    fn create_peer(&mut self, file: FileId, listener: FileId) {
        let listening = self.socket(listener);
        let (family, name) = (listening.family, listening.local);
        // Only TCP sockets inherit a listener's options.
        let inherited_options =
            Some(listening.options.clone()).filter(|_| family != AddressFamily::Unix);
        let near = self.socket(file);
        let (local, remote, kind) = (near.local, near.remote.or(name), near.kind);
        let inherited_options =
            inherited_options.map(|options| options.of_accepted(family, &near.options, local));
        let options = inherited_options.unwrap_or_else(|| SocketOptions::new(family, &self.config));
        let mut child = Socket::new(family, kind, &self.config);
        (child.state, child.peer, child.options) = (State::Open, Some(file), options);
        child.local = remote;
        // A Unix socket without a name is a peer all the same.
        child.remote = Some(local.unwrap_or_else(|| unspecified_addr(family)));
        let child = self.add(child);
        let near = self.socket(file);
        (near.state, near.peer, near.remote) = (State::Open, Some(child), remote);
        if !near.is_unix() {
            self.wake(file, WAKE_ALL);
        }
        self.socket(listener).accept_queue.push_back(child);
        self.wake(listener, WAKE_READABLE);
    }

    /// Takes the first connection of the queue.
    ///
    /// Reference: net/ipv4/inet_connection_sock.c: `inet_csk_accept`, net/unix/af_unix.c:
    /// `unix_accept`
    pub(super) fn accept(&mut self, listener: FileId) -> Result<FileId> {
        let socket = self.socket(listener);
        err_if(socket.kind == SocketType::Datagram, Errno::EOPNOTSUPP)?;
        err_if(socket.state != State::Listening, Errno::EINVAL)?;
        socket.accept_queue.pop_front().ok_or(Errno::EAGAIN)
    }

    /// Creates two connected Unix sockets. Neither has a name.
    ///
    /// Reference: net/unix/af_unix.c: `unix_socketpair`
    pub(super) fn socketpair(&mut self, kind: SocketType) -> [FileId; 2] {
        let [one, other] = [(), ()].map(|()| {
            let mut socket = Socket::new(AddressFamily::Unix, kind, &self.config);
            socket.state = State::Open;
            socket.remote = Some(unspecified_addr(AddressFamily::Unix));
            self.add(socket)
        });
        self.socket(one).peer = Some(other);
        self.socket(other).peer = Some(one);
        [one, other]
    }
}
