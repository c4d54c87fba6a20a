//! The kernels on which a server grows: each has a listener that gives it as many idle connections
//! as planned and, spread among them, the busy ones. They know no server.
//!
//! ```text
//!   Prompt               answers at once and holds next to nothing: the rest is the library's
//!   WithClients<Sim>     the library's model of Linux; an idle connection is an eventfd
//!   WithClients<Linux>   this machine's, loopback; an idle connection is a Unix socket pair
//! ```

use epollite::event::Ready;
use epollite::kernel::{EpollEvent, EpollOp, Shutdown, SocketType, close_quietly};
use epollite::net::UnixAddr;
use epollite::server::{PortSharing, bind_stream};
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux};

use super::{BUSY, MESSAGE};

/// Which of so many connections are busy: every so-manieth, so that they lie all over the slab.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) connections: u64,
}

impl Plan {
    fn is_busy(self, index: u64) -> bool {
        let step = self.connections / BUSY;
        index % step == step / 2 && index / step < BUSY
    }
}

/// A kernel whose busy connections get messages.
pub(super) trait Busy: Kernel {
    /// A slice: the calls of [`feed`](Self::feed), and how often a server can wait and serve all
    /// messages after each. Together milliseconds.
    const SLICE: (u32, u32);

    /// Each busy connection gets a message, and its client reads the last echo.
    fn feed(&mut self) -> Result<(), Errno>;
}

const EPOLL: u32 = 1;
const LISTENER: u32 = 2;
const FIRST_CONNECTION: u32 = 3;

/// From one connection to the next when all get messages in turn: far apart, and every one is
/// reached, since this is a prime.
const TURN: u64 = 6_700_417;

/// A kernel that answers at once: every call is a few instructions.
#[derive(Debug)]
pub(super) struct Prompt {
    plan: Plan,
    accepted: u64,
    /// Which connection gets the next message, if all get them in turn instead of the busy ones.
    turn: Option<u64>,
    /// The data of the first two connections; each has as much more than the one before it.
    data: [u64; 2],
    /// The event of the listener, until it was reported.
    listener: Option<EpollEvent>,
    busy: Vec<EpollEvent>,
    nanos: u64,
}

impl Prompt {
    pub(super) fn new(plan: Plan) -> (Self, Fd) {
        let busy = Vec::with_capacity(MESSAGE.len());
        let (turn, data, listener) = (None, [0; 2], None);
        let kernel = Self { plan, accepted: 0, turn, data, listener, busy, nanos: 1 };
        (kernel, Fd::simulated(LISTENER))
    }

    /// Every event is another connection's.
    pub(super) fn in_turn(plan: Plan) -> (Self, Fd) {
        let (kernel, listener) = Self::new(plan);
        (Self { turn: Some(0), ..kernel }, listener)
    }
}

impl Busy for Prompt {
    const SLICE: (u32, u32) = (1, 2_000);

    fn feed(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

impl Kernel for Prompt {
    fn getsockname(&mut self, _: &Fd) -> Result<Addr, Errno> {
        Ok(Addr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 7))))
    }

    fn accept4(&mut self, _: &Fd) -> Result<(Fd, Addr), Errno> {
        if self.accepted == self.plan.connections {
            return Err(Errno::EAGAIN);
        }
        let number = u32::try_from(self.accepted).map_err(|_| Errno::EMFILE)?;
        self.accepted += 1;
        Ok((Fd::simulated(FIRST_CONNECTION + number), Addr::Unspecified))
    }

    fn recv(&mut self, _: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        Ok(MESSAGE.len().min(buf.len()))
    }

    fn send(&mut self, _: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        Ok(buf.len())
    }

    fn shutdown(&mut self, _: &Fd, _: Shutdown) -> Result<(), Errno> {
        Ok(())
    }

    fn close(&mut self, _: Fd) -> Result<(), Errno> {
        Ok(())
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        Ok(Fd::simulated(EPOLL))
    }

    fn epoll_ctl(&mut self, _: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        let EpollOp::Add(event) = op else { return Ok(()) };
        let event = EpollEvent::new(Ready::READABLE.bits(), event.data());
        match fd.number().checked_sub(FIRST_CONNECTION) {
            None => self.listener = Some(event),
            Some(index) => {
                if let Some(data) = self.data.get_mut(index as usize) {
                    *data = event.data();
                }
                self.busy.extend(self.plan.is_busy(index.into()).then_some(event));
            }
        }
        Ok(())
    }

    fn epoll_wait(
        &mut self,
        _: &Fd,
        events: &mut [EpollEvent],
        _: Option<u32>,
    ) -> Result<usize, Errno> {
        if let Some(event) = self.listener.take() {
            events[0] = event;
            return Ok(1);
        }
        let is_complete = self.accepted == self.plan.connections;
        let ready = if is_complete { &self.busy[..] } else { &[] };
        events[..ready.len()].copy_from_slice(ready);
        if let Some(turn) = &mut self.turn {
            let [first, second] = self.data;
            for event in &mut events[..ready.len()] {
                *turn += TURN % self.plan.connections;
                *turn -= if *turn < self.plan.connections { 0 } else { self.plan.connections };
                let data = first + *turn * (second - first);
                *event = EpollEvent::new(event.events(), data);
            }
        }
        Ok(ready.len())
    }

    fn now(&mut self) -> Instant {
        self.nanos += 1;
        Instant::from_nanos(self.nanos)
    }
}

/// Opens an idle connection: its near end, and its far end if it has one.
pub(super) type OpenIdle<K> = fn(&mut K) -> Result<(Fd, Option<Fd>), Errno>;

/// A kernel with TCP clients for the busy connections.
#[derive(Debug)]
pub(super) struct WithClients<K: Kernel> {
    kernel: K,
    clients: K,
    plan: Plan,
    open_idle: OpenIdle<K>,
    accepted: u64,
    busy: Vec<Fd>,
    /// The far ends of idle connections.
    idle: Vec<Fd>,
}

impl<K: Kernel> WithClients<K> {
    /// A listener, and the clients of the busy connections in its accept queue.
    pub(super) fn new(
        mut kernel: K,
        mut clients: K,
        plan: Plan,
        open_idle: OpenIdle<K>,
    ) -> Result<(Self, Fd), Errno> {
        let any = Addr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let bound = bind_stream(&mut kernel, &any, PortSharing::Exclusive);
        let (listener, addr) = bound.map_err(|error| error.errno)?;
        let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
        let mut busy = Vec::new();
        for _ in 0..BUSY {
            let client = clients.socket(family, SocketType::Stream)?;
            match clients.connect(&client, &addr) {
                Ok(()) | Err(Errno::EINPROGRESS) => busy.push(client),
                Err(errno) => return Err(errno),
            }
        }
        let idle = Vec::new();
        Ok((Self { kernel, clients, plan, open_idle, accepted: 0, busy, idle }, listener))
    }
}

impl<K: Kernel> Drop for WithClients<K> {
    fn drop(&mut self) {
        for fd in self.busy.drain(..).chain(self.idle.drain(..)) {
            close_quietly(&mut self.clients, fd);
        }
    }
}

impl<K: Kernel> Busy for WithClients<K> {
    const SLICE: (u32, u32) = (200, 1);

    fn feed(&mut self) -> Result<(), Errno> {
        for client in &self.busy {
            // There is none before the first message.
            let _ = self.clients.recv(client, &mut [0; 2 * MESSAGE.len()]);
            self.clients.send(client, MESSAGE)?;
        }
        Ok(())
    }
}

impl<K: Kernel> Kernel for WithClients<K> {
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        if self.accepted == self.plan.connections {
            return Err(Errno::EAGAIN);
        }
        let accepted = if self.plan.is_busy(self.accepted) {
            self.kernel.accept4(listener)?
        } else {
            let (near, far) = (self.open_idle)(&mut self.kernel)?;
            self.idle.extend(far);
            (near, Addr::Unix(UnixAddr::unnamed()))
        };
        self.accepted += 1;
        Ok(accepted)
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.kernel.getsockname(socket)
    }

    #[inline]
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.kernel.recv(socket, buf)
    }

    #[inline]
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.kernel.send(socket, buf)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        self.kernel.shutdown(socket, how)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.kernel.close(fd)
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        self.kernel.epoll_create1()
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        self.kernel.epoll_ctl(epoll, op, fd)
    }

    #[inline]
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        self.kernel.epoll_wait(epoll, events, timeout_millis)
    }

    #[inline]
    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}

/// A silent eventfd, the smallest file of a simulated kernel.
pub(super) fn open_eventfd<K: Kernel>(kernel: &mut K) -> Result<(Fd, Option<Fd>), Errno> {
    Ok((kernel.eventfd(0)?, None))
}

/// A Unix socket pair.
pub(super) fn open_pair(kernel: &mut Linux) -> Result<(Fd, Option<Fd>), Errno> {
    let (near, far) = kernel.socketpair(SocketType::Stream)?;
    Ok((near, Some(far)))
}
