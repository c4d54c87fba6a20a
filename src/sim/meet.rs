//! How streams meet: listen(2), connect(2), accept4(2).
//!
//! Knows streams and names. In both families the connection is complete, and can be written
//! to, before it is accepted.

use super::options::Options;
use super::socket::{destination, fits, is_ours, nameless, source};
use super::stream::{Attempt, BYTES_CAME, Far, State, Stream};
use super::world::{ANYTHING, FileId, Later, Node, World};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{Fd, Kind};

impl World {
    /// Reference: net/ipv4/af_inet.c: `inet_listen`, net/unix/af_unix.c: `unix_listen`
    pub(super) fn listen(&mut self, file: FileId, backlog: u32) -> Result<(), Errno> {
        self.socket(file)?;
        let backlog = backlog.min(self.config.backlog_max);
        let Some(stream) = self.find_stream(file) else {
            return Err(Errno::EOPNOTSUPP);
        };
        if stream.is_unix() && stream.common.local.is_none() {
            return Err(Errno::EINVAL);
        }
        if !matches!(stream.state, State::Closed | State::Listening) {
            return Err(Errno::EINVAL);
        }
        if !stream.is_unix() {
            self.bind_any(file, None)?;
            self.only_listener(file)?;
        }
        let stream = self.stream(file);
        stream.state = State::Listening;
        stream.backlog = backlog as usize;
        Ok(())
    }

    /// Two that share a port by `SO_REUSEADDR` cannot both listen.
    fn only_listener(&mut self, file: FileId) -> Result<(), Errno> {
        let local = self.stream(file).common.local;
        match local {
            Some(local) if self.is_taken(file, &local) => Err(Errno::EADDRINUSE),
            _ => Ok(()),
        }
    }

    pub(super) fn connect(&mut self, file: FileId, addr: &Addr) -> Result<(), Errno> {
        self.socket(file)?;
        match self.find_stream(file).map(|stream| stream.is_unix()) {
            None => self.connect_datagram(file, addr),
            Some(true) => self.connect_unix(file, addr),
            Some(false) => self.connect_tcp(file, addr),
        }
    }

    /// A Unix connection is there at once or not at all. The socket that will be accepted is
    /// made here, and stands in the queue with what is sent meanwhile.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_connect`
    fn connect_unix(&mut self, file: FileId, addr: &Addr) -> Result<(), Errno> {
        fits(Family::Unix, addr)?;
        let Addr::Unix(name) = addr else {
            return Err(Errno::EINVAL);
        };
        if name.is_unnamed() {
            return Err(Errno::EINVAL);
        }
        let listener = self.find_unix(name, Kind::Stream)?;
        let door = self.stream(listener);
        if door.state != State::Listening || door.common.read_shut {
            return Err(Errno::ECONNREFUSED);
        }
        if door.queue.len() > door.backlog {
            return Err(Errno::EAGAIN);
        }
        match self.stream(file).state {
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
    fn connect_tcp(&mut self, file: FileId, addr: &Addr) -> Result<(), Errno> {
        if *addr == Addr::Unspec {
            self.disconnect(file);
            return Ok(());
        }
        let stream = self.stream(file);
        let state = stream.state;
        match (stream.attempt, state) {
            (Attempt::None, _) => {}
            (Attempt::Spoilt, _) => return Err(Errno::EINVAL),
            (Attempt::Begun, State::Connecting) => return Err(Errno::EALREADY),
            (Attempt::Begun, State::Open) => {
                stream.attempt = Attempt::None;
                return Ok(());
            }
            (Attempt::Begun, State::Closed | State::Listening) => {
                let errno = stream.common.error.take().unwrap_or(Errno::ECONNABORTED);
                self.disconnect(file);
                return Err(errno);
            }
        }
        if state != State::Closed || stream.far != Far::Nobody {
            return Err(Errno::EISCONN);
        }
        fits(stream.common.family, addr)?;
        let target = destination(addr);
        let ip = target.ip().ok_or(Errno::EINVAL)?;
        if !is_ours(ip) {
            return Err(Errno::ENETUNREACH);
        }
        self.bind_any(file, Some(source(ip)))?;
        let stream = self.stream(file);
        stream.common.remote = Some(target);
        (stream.attempt, stream.state) = (Attempt::Begun, State::Connecting);
        if self.chance.happens(self.config.odds.late_connect) {
            self.later.push_back(Later::Connect(file));
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
        let Some(stream) = self.find_stream(file) else {
            return;
        };
        if stream.state != State::Connecting {
            return;
        }
        let (target, from) = (stream.common.remote, stream.common.local);
        let target = target.expect("a socket that connects knows where to");
        let Some(listener) = self.find_inet(&target, Kind::Stream, from) else {
            self.reset(file);
            return;
        };
        let door = self.stream(listener);
        if door.queue.len() > door.backlog {
            self.later.push_back(Later::Connect(file));
            return;
        }
        self.join(file, listener);
    }

    /// Makes the other end, and puts it in the listener's queue.
    fn join(&mut self, file: FileId, listener: FileId) {
        let door = &self.stream(listener).common;
        let (family, name) = (door.family, door.local);
        // Only TCP hands a listener's options down.
        let is_heir = family != Family::Unix;
        let options = if is_heir { door.options.clone() } else { Options::default() };
        let near = &self.stream(file).common;
        let (local, remote) = (near.local, near.remote.or(name));
        let mut child = Stream::new(family);
        child.state = State::Open;
        child.far = Far::Peer(file);
        child.common.local = remote;
        // A Unix socket without a name is a peer all the same.
        child.common.remote = Some(local.unwrap_or_else(|| nameless(family)));
        child.common.options = options;
        let child = self.add(Node::Stream(child));
        let stream = self.stream(file);
        stream.state = State::Open;
        stream.far = Far::Peer(child);
        stream.common.remote = remote;
        if !stream.is_unix() {
            self.wake(file, ANYTHING);
        }
        self.stream(listener).queue.push_back(child);
        self.wake(listener, BYTES_CAME);
    }

    /// The first of the queue gets a descriptor. The descriptor comes first: when there is
    /// none, nothing is taken, and nobody has looked whether anything was there.
    ///
    /// Reference: net/socket.c: `__sys_accept4_file`, net/ipv4/inet_connection_sock.c:
    /// `inet_csk_accept`, net/unix/af_unix.c: `unix_accept`
    pub(super) fn accept(&mut self, process: usize, file: FileId) -> Result<(Fd, Addr), Errno> {
        self.room_for(process, 1)?;
        self.socket(file)?;
        let is_aborted = self.chance.happens(self.config.odds.aborted);
        let Some(stream) = self.find_stream(file) else {
            return Err(Errno::EOPNOTSUPP);
        };
        if stream.state != State::Listening {
            return Err(Errno::EINVAL);
        }
        let child = stream.queue.pop_front().ok_or(Errno::EAGAIN)?;
        let fd = self.install(process, child);
        if is_aborted {
            self.close(process, &fd);
            return Err(Errno::ECONNABORTED);
        }
        let remote = self.stream(child).common.remote;
        Ok((fd, remote.expect("who was joined knows its peer")))
    }

    /// Two Unix sockets back to back. Neither has a name.
    ///
    /// Reference: net/unix/af_unix.c: `unix_socketpair`
    pub(super) fn socketpair(&mut self, process: usize, kind: Kind) -> Result<(Fd, Fd), Errno> {
        self.room_for(process, 2)?;
        let pair = match kind {
            Kind::Datagram => self.datagram_pair(),
            Kind::Stream => {
                let ends = [(), ()].map(|()| {
                    let mut stream = Stream::new(Family::Unix);
                    stream.state = State::Open;
                    stream.common.remote = Some(nameless(Family::Unix));
                    self.add(Node::Stream(stream))
                });
                self.stream(ends[0]).far = Far::Peer(ends[1]);
                self.stream(ends[1]).far = Far::Peer(ends[0]);
                ends
            }
        };
        Ok((self.install(process, pair[0]), self.install(process, pair[1])))
    }
}
