//! Streams of bytes: a connection, made or accepted or given, and its two halves.
//!
//! Knows recv(2), send(2), connect(2) and shutdown(2), and what a short read means.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use super::Handle;
use super::lent::Lent;
use super::watched::{Origin, Side, Watched};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel, Kind, Shut, is_connected_to_itself, release};
use crate::reactor::patiently;

/// A Unix listener whose queue is full is asked again after so long.
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A connection. Dropping it closes it.
pub struct Stream<K: Kernel>(Watched<K>);

/// The half of a [`Stream`] that receives. The connection is closed when both are dropped.
pub struct Receiver<K: Kernel>(Rc<Watched<K>>);

/// The half of a [`Stream`] that sends. The connection is closed when both are dropped.
pub struct Sender<K: Kernel>(Rc<Watched<K>>);

impl<K: Kernel> Handle<K> {
    /// Takes a connection over, a non-blocking one. Work: two system calls.
    ///
    /// # Errors
    /// As [`watch`](Self::watch), and what getsockname(2) said. It is closed then.
    ///
    /// Man page: getsockname(2), epoll_ctl(2)
    pub fn stream(&self, socket: Fd) -> Result<Stream<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        self.stream_of(socket, family != Some(Family::Unix), false, true)
    }

    /// Connects to `addr`, and waits until that is done. Work: at most seven system calls.
    ///
    /// A Unix listener whose queue is full does not tell when it has room: it is asked again
    /// every 10 ms, three calls each time. Bound it with [`timeout`](Self::timeout).
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`], [`Errno::ETIMEDOUT`], …: what connect(2) says, now or later.
    /// * [`Errno::ECONNREFUSED`] too, when the socket has been [connected to
    ///   itself](crate::kernel::is_connected_to_itself): nobody listens there.
    /// * [`Errno::EMFILE`], …: no socket is to be had.
    ///
    /// Nothing stays open then, nor when the future is dropped.
    ///
    /// Man page: socket(2), connect(2)
    pub async fn connect(&self, addr: &Addr) -> Result<Stream<K>, Errno> {
        let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
        let (socket, is_done) = loop {
            match self.kernel(|kernel| begin(kernel, family, addr)) {
                Err(Errno::EAGAIN) if family == Family::Unix => self.sleep(BETWEEN_TRIES).await,
                begun => break begun?,
            }
        };
        let mut stream = self.stream_of(socket, family != Family::Unix, true, is_done)?;
        if !is_done {
            let Stream(watched) = &mut stream;
            watched.attempt(Side::Write, |kernel, fd| done(kernel.connect(fd, addr))).await?;
        }
        if stream.watched().with(|kernel, fd| is_connected_to_itself(kernel, fd, addr)) {
            return Err(Errno::ECONNREFUSED);
        }
        Ok(stream)
    }

    pub(super) fn stream_of(
        &self,
        socket: Fd,
        is_tcp: bool,
        is_ours: bool,
        is_writable: bool,
    ) -> Result<Stream<K>, Errno> {
        let origin = Origin { is_ours, is_tcp, is_door: false, is_writable };
        self.adopt(socket, origin).map(Stream)
    }

    /// The socket again, and of which family it is; it is closed when that cannot be said.
    pub(super) fn family(&self, socket: Fd) -> Result<(Fd, Option<Family>), Errno> {
        self.kernel(|kernel| match patiently(|| kernel.getsockname(&socket)) {
            Ok(name) => Ok((socket, name.family())),
            Err(errno) => {
                release(kernel, socket);
                Err(errno)
            }
        })
    }
}

/// A socket that connects, and whether it has done so already.
fn begin<K: Kernel>(kernel: &mut K, family: Family, addr: &Addr) -> Result<(Fd, bool), Errno> {
    let socket = kernel.socket(family, Kind::Stream)?;
    let begun = patiently(|| kernel.connect(&socket, addr));
    match begun {
        // An interrupted connect goes on by itself, and then is under way already.
        Err(Errno::EINPROGRESS | Errno::EALREADY) => Ok((socket, false)),
        Ok(()) | Err(Errno::EISCONN) => Ok((socket, true)),
        Err(errno) => {
            release(kernel, socket);
            Err(errno)
        }
    }
}

/// To ask again is to be told how it went.
const fn done(asked: Result<(), Errno>) -> Result<(), Errno> {
    match asked {
        Err(Errno::EINPROGRESS | Errno::EALREADY) => Err(Errno::EAGAIN),
        Err(Errno::EISCONN) => Ok(()),
        result => result,
    }
}

/// Receiving, for whoever has the descriptor.
fn poll_recv<K: Kernel>(
    watched: &Watched<K>,
    cx: &Context<'_>,
    buf: &mut [u8],
) -> Poll<Result<usize, Errno>> {
    assert!(!buf.is_empty(), "reading into nothing tells nothing");
    let room = buf.len();
    // An end is short, too, but is to be found again by whoever asks again.
    let is_short = |&count: &usize| 0 < count && count < room;
    watched.poll_call(cx, Side::Read, |kernel, fd| kernel.recv(fd, buf), is_short)
}

fn poll_bytes<K: Kernel>(
    watched: &Watched<K>,
    cx: &Context<'_>,
) -> Poll<Result<Option<Lent>, Errno>> {
    let pool = &watched.shared().pool;
    let room = pool.buffer_bytes();
    let is_short = |lent: &Option<Lent>| lent.as_ref().is_some_and(|lent| lent.len() < room);
    let call = |kernel: &mut K, fd: &Fd| {
        let mut lent = pool.take();
        let count = kernel.recv(fd, lent.room())?;
        Ok(if count == 0 { None } else { Some(lent.filled(count)) })
    };
    watched.poll_call(cx, Side::Read, call, is_short)
}

fn poll_send<K: Kernel>(
    watched: &Watched<K>,
    cx: &Context<'_>,
    bytes: &[u8],
) -> Poll<Result<usize, Errno>> {
    watched.poll_call(cx, Side::Write, |kernel, fd| kernel.send(fd, bytes), |_| false)
}

fn poll_send_all<K: Kernel>(
    watched: &Watched<K>,
    cx: &Context<'_>,
    rest: &mut &[u8],
) -> Poll<Result<(), Errno>> {
    while !rest.is_empty() {
        let count = ready!(poll_send(watched, cx, rest))?;
        *rest = &rest[count..];
    }
    Poll::Ready(Ok(()))
}

fn shutdown<K: Kernel>(watched: &Watched<K>, how: Shut) -> Result<(), Errno> {
    watched.with(|kernel, fd| patiently(|| kernel.shutdown(fd, how)))
}

impl<K: Kernel> Stream<K> {
    /// Receives bytes: at least one, or none at the peer's end. Work: one system call, when
    /// there is something.
    ///
    /// Dropped before it is done, it has received nothing.
    ///
    /// # Errors
    /// * [`Errno::ECONNRESET`]: the peer broke the connection. And others as rare.
    ///
    /// # Panics
    /// `buf` is empty: an end could not be told from nothing.
    ///
    /// Man page: recv(2)
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| poll_recv(&self.0, cx, buf))
    }

    /// Receives bytes into a buffer that is lent for them; `None` is the peer's end. Who waits
    /// has no buffer. Work: as [`recv`](Self::recv), and an allocation when more are lent at once
    /// than ever before.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: recv(2)
    pub fn bytes(&mut self) -> impl Future<Output = Result<Option<Lent>, Errno>> {
        poll_fn(|cx| poll_bytes(&self.0, cx))
    }

    /// Sends bytes, as many of them as there is room for: at least one, if there are any.
    /// Work: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: nobody will ever read it.
    ///
    /// Man page: send(2)
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| poll_send(&self.0, cx, bytes))
    }

    /// Sends all of `bytes`. Work: one system call, when there is room for them at once.
    ///
    /// Dropped before it is done, it has sent a part, and nobody says which: shut the
    /// connection then.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// Man page: send(2)
    pub fn send_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Errno>> {
        let mut rest = bytes;
        poll_fn(move |cx| poll_send_all(&self.0, cx, &mut rest))
    }

    /// Ends one direction or both. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: there is no peer any more.
    ///
    /// Man page: shutdown(2)
    pub fn shutdown(&mut self, how: Shut) -> Result<(), Errno> {
        shutdown(&self.0, how)
    }

    /// Two halves, for a task that receives and another that sends. Work: one allocation.
    #[must_use]
    pub fn split(self) -> (Receiver<K>, Sender<K>) {
        let watched = Rc::new(self.0);
        (Receiver(Rc::clone(&watched)), Sender(watched))
    }

    /// The descriptor, for calls that have no verb here. Work: O(1).
    pub const fn watched(&mut self) -> &mut Watched<K> {
        &mut self.0
    }

    /// Gives the descriptor back, open. Work: one system call.
    pub fn into_fd(self) -> Fd {
        self.0.into_fd()
    }
}

impl<K: Kernel> Receiver<K> {
    /// As [`Stream::recv`]. Work: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| poll_recv(&self.0, cx, buf))
    }

    /// As [`Stream::bytes`]. Work: as there.
    ///
    /// # Errors
    /// As there.
    pub fn bytes(&mut self) -> impl Future<Output = Result<Option<Lent>, Errno>> {
        poll_fn(|cx| poll_bytes(&self.0, cx))
    }
}

impl<K: Kernel> Sender<K> {
    /// As [`Stream::send`]. Work: as there.
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| poll_send(&self.0, cx, bytes))
    }

    /// As [`Stream::send_all`]. Work: as there.
    ///
    /// # Errors
    /// As there.
    pub fn send_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Errno>> {
        let mut rest = bytes;
        poll_fn(move |cx| poll_send_all(&self.0, cx, &mut rest))
    }

    /// As [`Stream::shutdown`]. Work: as there.
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&mut self, how: Shut) -> Result<(), Errno> {
        shutdown(&self.0, how)
    }
}

impl<K: Kernel> fmt::Debug for Stream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.0).finish()
    }
}

impl<K: Kernel> fmt::Debug for Receiver<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.0).finish()
    }
}

impl<K: Kernel> fmt::Debug for Sender<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.0).finish()
    }
}
