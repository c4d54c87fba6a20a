//! Byte streams: a connection that was connected, accepted or passed in, and its two halves.
//!
//! Knows recv(2), send(2), connect(2) and shutdown(2), and what a short read means.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::Handle;
use super::async_fd::AsyncFd;
use super::buffer_pool::PooledBuf;
use super::io_state::{
    Direction, TCP, UNSHARED, WRITABLE, read_interest, read_write_interest, tcp_flag,
};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel, Shutdown, SocketType, close_quietly, is_connected_to_itself};
use crate::net::{Addr, AddressFamily};
use crate::reactor::retry::retry_on_eintr;

/// Delay until a connect to a Unix listener whose accept queue is full is retried.
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(10);

/// A connection. Dropping it closes it.
pub struct Stream<K: Kernel>(AsyncFd<K>);

/// The half of a [`Stream`] that receives. The connection is closed when both are dropped.
pub struct ReadHalf<K: Kernel>(Rc<AsyncFd<K>>);

/// The half of a [`Stream`] that sends. The connection is closed when both are dropped.
pub struct WriteHalf<K: Kernel>(Rc<AsyncFd<K>>);

impl<K: Kernel> Handle<K> {
    /// Takes ownership of a non-blocking connected socket. Cost: two system calls.
    ///
    /// # Errors
    /// As [`async_fd`](Self::async_fd), and what getsockname(2) returned. It is closed then.
    ///
    /// Man page: getsockname(2), epoll_ctl(2)
    pub fn stream(&self, socket: Fd) -> Result<Stream<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        self.stream_from_parts(socket, tcp_flag(family) | WRITABLE)
    }

    /// Connects to `addr`, and waits until that has completed. Cost: at most seven system calls.
    ///
    /// No event reports when a Unix listener whose accept queue is full has room: the connect is
    /// retried every 10 ms, three calls each time. Bound it with [`timeout`](Self::timeout).
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`], [`Errno::ETIMEDOUT`], …: what connect(2) returns, now or later.
    /// * [`Errno::ECONNREFUSED`] too, not from the kernel, when the socket was [connected to
    ///   itself](crate::kernel::is_connected_to_itself): no server listens there.
    /// * [`Errno::EMFILE`], …: no socket can be created.
    ///
    /// The socket is closed then, as when the future is dropped.
    ///
    /// Man page: socket(2), connect(2)
    pub async fn connect(&self, addr: &Addr) -> Result<Stream<K>, Errno> {
        self.connect_from(None, addr).await
    }

    /// As [`connect`](Self::connect), from `local`: an address of this machine, with port 0 for
    /// any, or a path of a Unix socket. Cost: one system call more.
    ///
    /// # Errors
    /// * As there, and those of bind(2): [`Errno::EADDRINUSE`], [`Errno::EADDRNOTAVAIL`],
    ///   [`Errno::EACCES`].
    /// * [`Errno::EAGAIN`]: the accept queue of a Unix listener is full. It is not retried, because
    ///   a path that was bound stays behind.
    ///
    /// Man page: bind(2), connect(2)
    pub async fn connect_from(
        &self,
        local: Option<&Addr>,
        addr: &Addr,
    ) -> Result<Stream<K>, Errno> {
        let (socket, is_done) = loop {
            match self.with_kernel(|kernel| start_connect(kernel, local, addr)) {
                Err(Errno::EAGAIN)
                    if addr.family() == Some(AddressFamily::Unix) && local.is_none() =>
                {
                    self.sleep(CONNECT_RETRY_DELAY).await
                }
                result => break result?,
            }
        };
        let writable = if is_done { WRITABLE } else { 0 };
        let flags = tcp_flag(addr.family()) | UNSHARED | writable;
        let mut stream = self.stream_from_parts(socket, flags)?;
        if !is_done {
            let Stream(async_fd) = &mut stream;
            async_fd
                .async_io(Direction::Write, |kernel, fd| finish_connect(kernel.connect(fd, addr)))
                .await?;
        }
        let itself = |kernel: &mut K, fd: &Fd| Ok(is_connected_to_itself(kernel, fd, addr));
        let is_port_chosen = local.and_then(Addr::port).is_some_and(|port| port != 0);
        if !is_port_chosen && stream.async_fd().syscall(itself)? {
            return Err(Errno::ECONNREFUSED);
        }
        Ok(stream)
    }

    /// Connects to the first of `addrs` that accepts, trying one after the other, each for up to
    /// `attempt` if that is given: for a host with several addresses. Cost: that of a
    /// [`connect`](Self::connect) for each address tried.
    ///
    /// # Errors
    /// What the last address returned, [`Errno::ETIMEDOUT`] if its attempt took too long;
    /// [`Errno::EDESTADDRREQ`] if `addrs` is empty.
    ///
    /// Man page: connect(2)
    pub async fn connect_any(
        &self,
        addrs: &[Addr],
        attempt: Option<Duration>,
    ) -> Result<Stream<K>, Errno> {
        let mut last = Errno::EDESTADDRREQ;
        for addr in addrs {
            let connect = self.connect(addr);
            let result = match attempt {
                Some(span) => self.timeout(span, connect).await.unwrap_or(Err(Errno::ETIMEDOUT)),
                None => connect.await,
            };
            match result {
                Ok(stream) => return Ok(stream),
                Err(errno) => last = errno,
            }
        }
        Err(last)
    }

    pub(super) fn stream_from_parts(&self, socket: Fd, flags: u8) -> Result<Stream<K>, Errno> {
        let is_tcp = flags & TCP != 0;
        let interest = if is_tcp { read_write_interest() } else { read_interest() };
        self.register(socket, interest, flags).map(Stream)
    }

    /// Returns the socket with its address family; closes it when that cannot be determined.
    pub(super) fn family(&self, socket: Fd) -> Result<(Fd, Option<AddressFamily>), Errno> {
        self.with_kernel(|kernel| match retry_on_eintr(|| kernel.getsockname(&socket)) {
            Ok(name) => Ok((socket, name.family())),
            Err(errno) => {
                close_quietly(kernel, socket);
                Err(errno)
            }
        })
    }
}

/// Creates a socket that connects; returns also whether that has completed already.
fn start_connect<K: Kernel>(
    kernel: &mut K,
    local: Option<&Addr>,
    addr: &Addr,
) -> Result<(Fd, bool), Errno> {
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
    let socket = kernel.socket(family, SocketType::Stream)?;
    let bound = local.map_or(Ok(()), |local| kernel.bind(&socket, local));
    let result = bound.and_then(|()| retry_on_eintr(|| kernel.connect(&socket, addr)));
    match result {
        // An interrupted connect continues by itself, and is in progress already when retried.
        Err(Errno::EINPROGRESS | Errno::EALREADY) => Ok((socket, false)),
        Ok(()) | Err(Errno::EISCONN) => Ok((socket, true)),
        Err(errno) => {
            close_quietly(kernel, socket);
            Err(errno)
        }
    }
}

/// Interprets a second connect(2), which returns the outcome of the first.
const fn finish_connect(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EINPROGRESS | Errno::EALREADY) => Err(Errno::EAGAIN),
        Err(Errno::EISCONN) => Ok(()),
        result => result,
    }
}

/// The calls of a stream, whole or in halves.
impl<K: Kernel> AsyncFd<K> {
    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        let room = buf.len();
        // An end of file is short, too, but must be found again by the next call.
        let is_short = move |&count: &usize| 0 < count && count < room;
        poll_fn(move |cx| {
            assert!(!buf.is_empty(), "the receive buffer must not be empty");
            self.poll_io(cx, Direction::Read, |kernel, fd| kernel.recv(fd, buf), is_short)
        })
    }

    fn recv_exact(&self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        let mut filled = 0;
        poll_fn(move |cx| {
            while filled < buf.len() {
                let rest = &mut buf[filled..];
                let room = rest.len();
                let is_short = move |&count: &usize| 0 < count && count < room;
                let call = |kernel: &mut K, fd: &Fd| kernel.recv(fd, rest);
                match ready!(self.poll_io(cx, Direction::Read, call, is_short))? {
                    0 => break,
                    count => filled += count,
                }
            }
            Poll::Ready(Ok(filled))
        })
    }

    fn recv_pooled(&self) -> impl Future<Output = Result<Option<PooledBuf>, Errno>> {
        let pool = &self.shared().pool;
        let is_short = |pooled: &Option<PooledBuf>| {
            pooled.as_ref().is_some_and(|pooled| pooled.len() < pool.buffer_bytes())
        };
        let call = |kernel: &mut K, fd: &Fd| {
            let mut pooled = pool.take();
            let count = kernel.recv(fd, pooled.spare_capacity_mut())?;
            Ok(if count == 0 { None } else { Some(pooled.with_len(count)) })
        };
        poll_fn(move |cx| self.poll_io(cx, Direction::Read, call, is_short))
    }

    fn poll_send(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Errno>> {
        self.poll_io(cx, Direction::Write, |kernel, fd| kernel.send(fd, bytes), |_| false)
    }

    fn write_all(&self, bytes: &[u8]) -> impl Future<Output = Result<(), Errno>> {
        let mut rest = bytes;
        poll_fn(move |cx| {
            while !rest.is_empty() {
                let count = ready!(self.poll_send(cx, rest))?;
                rest = &rest[count..];
            }
            Poll::Ready(Ok(()))
        })
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        self.syscall(|kernel, fd| kernel.shutdown(fd, how))
    }
}

impl<K: Kernel> Stream<K> {
    /// Receives bytes: at least one, or none at the end of file. Cost: one system call, when
    /// there is data.
    ///
    /// Cancel-safe: dropped before it completes, it has received nothing.
    ///
    /// # Errors
    /// * [`Errno::ECONNRESET`]: the peer reset the connection. Others are rare.
    ///
    /// # Panics
    /// `buf` is empty: the result could not be told from an end of file.
    ///
    /// Man page: recv(2)
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.recv(buf)
    }

    /// Receives until `buf` is full, and returns how many bytes it received: fewer than `buf` holds
    /// only if the file ends before. Cost: one system call for each piece that arrives.
    ///
    /// Not cancel-safe: dropped before it completes, it has received an unknown part.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: recv(2)
    pub fn recv_exact(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.recv_exact(buf)
    }

    /// Receives bytes into a buffer from the pool; `None` at the end of file. A waiting task holds
    /// no buffer. Cost: as [`recv`](Self::recv), and an allocation when the pool is empty.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: recv(2)
    pub fn recv_pooled(&mut self) -> impl Future<Output = Result<Option<PooledBuf>, Errno>> {
        self.0.recv_pooled()
    }

    /// Sends bytes, as many of them as fit the send buffer: at least one, if there are any.
    /// Cost: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: the peer can no longer receive.
    ///
    /// Man page: send(2)
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| self.0.poll_send(cx, bytes))
    }

    /// Sends all of `bytes`. Cost: one system call, when they fit at once.
    ///
    /// Not cancel-safe: dropped before it completes, it has sent an unknown part; shut the
    /// connection down then.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// Man page: send(2)
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Errno>> {
        self.0.write_all(bytes)
    }

    /// Shuts down one direction or both. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: the socket is no longer connected.
    ///
    /// Man page: shutdown(2)
    pub fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.0.shutdown(how)
    }

    /// Splits it, for one task that receives and another that sends. Cost: one allocation.
    #[must_use]
    pub fn split(self) -> (ReadHalf<K>, WriteHalf<K>) {
        let async_fd = Rc::new(self.0);
        (ReadHalf(Rc::clone(&async_fd)), WriteHalf(async_fd))
    }

    /// The descriptor, for calls that have no method here. Cost: O(1).
    pub const fn async_fd(&mut self) -> &mut AsyncFd<K> {
        &mut self.0
    }

    /// Deregisters the descriptor and returns it, open. Cost: one system call.
    pub fn into_fd(self) -> Fd {
        self.0.into_fd()
    }
}

impl<K: Kernel> ReadHalf<K> {
    /// As [`Stream::recv`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.recv(buf)
    }

    /// As [`Stream::recv_exact`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn recv_exact(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.recv_exact(buf)
    }

    /// As [`Stream::recv_pooled`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn recv_pooled(&mut self) -> impl Future<Output = Result<Option<PooledBuf>, Errno>> {
        self.0.recv_pooled()
    }
}

impl<K: Kernel> WriteHalf<K> {
    /// As [`Stream::send`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| self.0.poll_send(cx, bytes))
    }

    /// As [`Stream::write_all`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Errno>> {
        self.0.write_all(bytes)
    }

    /// As [`Stream::shutdown`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.0.shutdown(how)
    }
}

impl<K: Kernel> fmt::Debug for Stream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.0).finish()
    }
}

impl<K: Kernel> fmt::Debug for ReadHalf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(&self.0).finish()
    }
}

impl<K: Kernel> fmt::Debug for WriteHalf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(&self.0).finish()
    }
}
