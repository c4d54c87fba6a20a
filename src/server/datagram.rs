//! The datagram server: UDP echo in batches, answered from the address that was asked; known
//! reflectors are not answered.
//!
//! Knows a kernel and one socket at a time. [`Service`] serves a socket that somebody else
//! waits on; [`Server`] waits itself.

mod refusal;
mod service;

pub use refusal::refuses;
pub use service::{Config, Served, Service, Stats, Turned};

use core::fmt;

use crate::errno::Errno;
use crate::event::{Event, Ready};
use crate::instant::Instant;
use crate::kernel::release;
use crate::kernel::{Fd, Kernel};
use crate::linux::Linux;
use crate::reactor::{Reactor, Waker};
use crate::token::Token;

/// An echo server for datagrams, with one socket or more.
///
/// A Unix client that reads nothing can cost others their answers: what lies unread at a peer counts
/// in the sender's buffer, and no call tells how much of that is whose. The usual 212,992 bytes hold
/// 4 answers of 60,000 bytes, 26 of 4,000 or 278 of one byte. What finds no room is dropped, and
/// counted in [`Stats::dropped`]; later answers find room when clients have read. A larger
/// [`SendBufferBytes`](crate::SocketOption::SendBufferBytes) puts that off.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use epollite::Linux;
/// use epollite::server::datagram::{Config, Server};
/// use std::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let addr = socket.local_addr()?;
/// socket.set_nonblocking(true)?;
/// let mut server = Server::new(Linux, Config::default())?;
/// server.open(socket.into())?;
///
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"hello", addr)?;
/// server.turn(None)?;
/// let mut buf = [0; 16];
/// assert_eq!(client.recv_from(&mut buf)?, (5, addr));
/// assert_eq!(server.stats().echoed, 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
pub struct Server<K: Kernel = Linux> {
    reactor: Reactor<Service, K>,
    config: Config,
}

impl<K: Kernel> Server<K> {
    /// A server without a socket yet. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of something.
    pub fn new(kernel: K, config: Config) -> Result<Self, Errno> {
        Ok(Self { reactor: Reactor::on(kernel)?, config })
    }

    /// Takes a bound socket over; it must be non-blocking. Work: two system calls, three for one
    /// on a wildcard address, and the allocation of a batch.
    ///
    /// # Errors
    /// What getsockname(2), setsockopt(2) or epoll_ctl(2) said; the socket is closed then.
    ///
    /// # Panics
    /// A bound of the configuration is zero.
    pub fn open(&mut self, socket: Fd) -> Result<Token, Errno> {
        let mut service = match Service::of(self.reactor.kernel(), &socket, self.config) {
            Ok(service) => service,
            Err(errno) => {
                release(self.reactor.kernel(), socket);
                return Err(errno);
            }
        };
        let port = service.port();
        self.each(|other| {
            port.into_iter().for_each(|port| other.refuse(port));
            other.port().into_iter().for_each(|port| service.refuse(port));
        });
        let (interest, trigger) = (Service::interest(), self.config.trigger);
        self.reactor.register_or_close(socket, interest, trigger, service).map_err(Errno::from)
    }

    /// Waits once, until `deadline` at most, and serves what came. Returns `false` when
    /// nothing did, or when another thread has [woken](Self::waker) it. Work: one wait, then
    /// each ready socket within its budget.
    ///
    /// # Errors
    /// What epoll_wait(2) said; the server can go no further then.
    pub fn turn(&mut self, deadline: Option<Instant>) -> Result<bool, Errno> {
        let mut event = match self.reactor.next(deadline) {
            Err(errno) if errno.interrupted() || errno.exhausted() => return Ok(true),
            // Without a deadline none has passed.
            Ok(None) if deadline.is_none() => return Ok(true),
            event => event?,
        };
        let mut served = event.is_some();
        while let Some(came) = event {
            match came {
                Event::Io { token, ready } => self.serve(token, ready),
                Event::Timer { token } => self.serve(token, Ready::READABLE),
                Event::Woken => served = false,
            }
            event = self.reactor.pending();
        }
        Ok(served)
    }

    fn serve(&mut self, token: Token, ready: Ready) {
        if let Some(mut source) = self.reactor.source(token) {
            source.state.serve(&mut source.io, ready);
        }
    }

    /// Serves until [woken](Self::waker); returns what it counted. Work: turn after turn.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run(&mut self) -> Result<Stats, Errno> {
        while self.turn(None)? {
            self.each(|service| while service.note().is_some() {});
        }
        Ok(self.stats())
    }

    /// Something another thread can stop this server with. Work: two system calls the first
    /// time.
    ///
    /// # Errors
    /// As [`Reactor::waker`].
    pub fn waker(&mut self) -> Result<Waker, Errno> {
        self.reactor.waker()
    }

    /// The kernel below, to make sockets with. Work: O(1).
    pub fn kernel(&mut self) -> &mut K {
        self.reactor.kernel()
    }

    /// What all its sockets have counted. Work: O(sockets).
    pub fn stats(&mut self) -> Stats {
        let mut sum = Stats::default();
        self.each(|service| sum.add(&service.stats()));
        sum
    }

    /// A datagram worth telling of that has not been told ([`Config::tell`]); to be taken now
    /// and again, since only some 65,000 a socket are kept. Work: O(sockets).
    pub fn note(&mut self) -> Option<Turned> {
        let mut note = None;
        self.each(|service| note = note.or_else(|| service.note()));
        note
    }

    fn each(&mut self, mut act: impl FnMut(&mut Service)) {
        for slot in 0..self.reactor.slots() {
            if let Some(token) = self.reactor.token_at(slot)
                && let Some(source) = self.reactor.source(token)
            {
                act(source.state);
            }
        }
    }
}

impl<K: Kernel> fmt::Debug for Server<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}
