//! The datagram server: UDP echo in batches, with each reply sent from the address that the
//! request was sent to; known reflectors get no reply.
//!
//! Knows a kernel and one socket at a time. [`EchoSocket`] serves a socket in the caller's event
//! loop; [`DatagramServer`] runs its own.

mod reflector;
mod socket;

pub use reflector::{RefusedPorts, gets_no_reply};
pub use socket::{DatagramConfig, DatagramEvent, DatagramStats, Disposition, EchoSocket};

use alloc::boxed::Box;
use core::fmt;

use crate::errno::Errno;
use crate::event::{Event, Ready};
use crate::instant::Instant;
use crate::kernel::close_quietly;
use crate::kernel::{CallError, Fd, Kernel, Syscall};
use crate::linux::Linux;
use crate::reactor::{Reactor, Waker};
use crate::server::admission::Admission;
use crate::token::Token;

/// An echo server for datagrams, with one socket or more.
///
/// A Unix client that does not read can cost others their replies: unread data at a peer counts
/// in the sender's buffer, and no call tells how much of it belongs to which peer. The default
/// 212,992 bytes hold 4 replies of 60,000 bytes, 26 of 4,000 or 278 of one byte. Replies that do
/// not fit are dropped, and counted in [`DatagramStats::dropped`]; later ones fit when clients have
/// read. A larger [`SendBufferBytes`](crate::kernel::SocketOption::SendBufferBytes) postpones that.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use epollite::Linux;
/// use epollite::server::datagram::{DatagramConfig, DatagramServer};
/// use std::net::UdpSocket;
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let addr = socket.local_addr()?;
/// let mut server = DatagramServer::new(Linux, DatagramConfig::default())?;
/// server.add_socket(socket.into())?;
///
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"hello", addr)?;
/// server.run_once(None)?;
/// let mut buf = [0; 16];
/// assert_eq!(client.recv_from(&mut buf)?, (5, addr));
/// assert_eq!(server.stats().echoed, 1);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// It is `Send` if the kernel is, and not `Sync`: one thread serves it.
pub struct DatagramServer<K: Kernel = Linux> {
    reactor: Reactor<EchoSocket, K>,
    config: DatagramConfig,
}

impl<K: Kernel> DatagramServer<K> {
    /// Creates a server without sockets. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of descriptors or memory.
    pub fn new(kernel: K, config: DatagramConfig) -> Result<Self, Errno> {
        Ok(Self { reactor: Reactor::with_kernel(kernel)?, config })
    }

    /// Takes ownership of a bound socket; it must be non-blocking. Cost: two system calls, three
    /// for one on a wildcard address, and the allocation of a batch.
    ///
    /// # Errors
    /// [`CallError`]: what getsockname(2), setsockopt(2) or epoll_ctl(2) returned; the socket is
    /// closed then.
    ///
    /// # Panics
    /// A bound of the configuration is zero.
    pub fn add_socket(&mut self, socket: Fd) -> Result<Token, CallError> {
        let mut service = match EchoSocket::new(self.reactor.kernel(), &socket, self.config) {
            Ok(service) => service,
            Err(error) => {
                close_quietly(self.reactor.kernel(), socket);
                return Err(error);
            }
        };
        let port = service.port();
        self.for_each_socket(|other| {
            port.into_iter().for_each(|port| other.add_own_port(port));
            other.port().into_iter().for_each(|port| service.add_own_port(port));
        });
        let (interest, trigger) = (EchoSocket::interest(), self.config.trigger);
        let registered = self.reactor.register_or_close(socket, interest, trigger, service);
        registered.map_err(|kind| CallError { call: Syscall::EpollCtl, errno: kind.into() })
    }

    /// Waits once, until `deadline` at most, and serves the ready sockets. Returns `false` when
    /// none was ready, or when another thread has [woken](Self::waker) it. Cost: one wait, then
    /// each ready socket within its budget.
    ///
    /// # Errors
    /// What epoll_wait(2) returned; the server cannot continue then.
    pub fn run_once(&mut self, deadline: Option<Instant>) -> Result<bool, Errno> {
        let mut event = match self.reactor.next(deadline) {
            Err(errno) if errno.is_interrupted() || errno.is_resource_exhausted() => {
                return Ok(true);
            }
            // Without a deadline none can have passed.
            Ok(None) if deadline.is_none() => return Ok(true),
            event => event?,
        };
        let mut served = event.is_some();
        while let Some(received) = event {
            match received {
                Event::Io { token, ready } => self.on_ready(token, ready),
                Event::Timer { token } => self.on_ready(token, Ready::READABLE),
                Event::Woken => served = false,
            }
            event = self.reactor.try_next();
        }
        Ok(served)
    }

    /// Sets which peers one of its sockets serves from here on. Returns whether there is one. For
    /// several sockets it is shared: `Arc<Mutex<_>>` is an [`Admission`] too. Cost: O(1).
    pub fn set_admission(&mut self, token: Token, admission: Box<dyn Admission>) -> bool {
        let service = self.reactor.get_mut(token).map(|(service, _)| service);
        service.map(|service| service.set_admission(admission)).is_some()
    }

    fn on_ready(&mut self, token: Token, ready: Ready) {
        if let Some((state, mut io)) = self.reactor.get_mut(token) {
            state.on_ready(&mut io, ready);
        }
    }

    /// Serves until [woken](Self::waker); returns the counters. Cost: that of `run_once` per
    /// iteration.
    ///
    /// # Errors
    /// As [`run_once`](Self::run_once).
    pub fn run(&mut self) -> Result<DatagramStats, Errno> {
        while self.run_once(None)? {
            self.for_each_socket(|service| while service.next_event().is_some() {});
        }
        Ok(self.stats())
    }

    /// A waker with which another thread can stop this server. Cost: two system calls the first
    /// time.
    ///
    /// # Errors
    /// As [`Reactor::waker`].
    pub fn waker(&mut self) -> Result<Waker, CallError> {
        self.reactor.waker()
    }

    /// The kernel, to create sockets with. Cost: O(1).
    pub fn kernel(&mut self) -> &mut K {
        self.reactor.kernel()
    }

    /// The sum of its sockets' counters. Cost: O(sockets).
    pub fn stats(&mut self) -> DatagramStats {
        let mut sum = DatagramStats::default();
        self.for_each_socket(|service| sum.add(&service.stats()));
        sum
    }

    /// Removes and returns a datagram event ([`DatagramConfig::emit_events`]). The queues must be
    /// drained regularly: each socket keeps some 65,000. Cost: O(sockets).
    pub fn next_event(&mut self) -> Option<DatagramEvent> {
        let mut event = None;
        self.for_each_socket(|service| event = event.or_else(|| service.next_event()));
        event
    }

    fn for_each_socket(&mut self, mut act: impl FnMut(&mut EchoSocket)) {
        for slot in 0..self.reactor.slot_count() {
            if let Some(token) = self.reactor.token_at(slot)
                && let Some((state, _)) = self.reactor.get_mut(token)
            {
                act(state);
            }
        }
    }
}

impl<K: Kernel> fmt::Debug for DatagramServer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramServer").field("config", &self.config).finish_non_exhaustive()
    }
}
