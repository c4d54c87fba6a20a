//! A listener: connections one by one, and patience when there is no room for them.
//!
//! Knows which failures of accept(2) concern one connection, which concern us, and which are
//! the caller's.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use alloc::rc::Rc;

use super::stream::Stream;
use super::watched::{Origin, Side, Watched};
use super::{Handle, Shared};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel};

/// When nothing of ours is closed, somebody else's descriptor or memory may come free: so long
/// until we look. The stream server waits as long.
const RETRY: Duration = Duration::from_millis(250);

/// Connections in a row that were gone when they were accepted, after which it is not them.
const GONE_MAX: u32 = 16;

/// A listening socket. Dropping it closes it.
pub struct Listener<K: Kernel> {
    watched: Watched<K>,
    is_tcp: bool,
    pauses: u64,
}

impl<K: Kernel> Handle<K> {
    /// Takes a listening socket over, a non-blocking one. Work: two system calls.
    ///
    /// # Errors
    /// As [`watch`](Self::watch), and what getsockname(2) said. It is closed then.
    ///
    /// Man page: getsockname(2), epoll_ctl(2)
    pub fn listener(&self, socket: Fd) -> Result<Listener<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        let is_tcp = family != Some(Family::Unix);
        let origin = Origin { is_ours: false, is_tcp: false, is_door: true, is_writable: false };
        Ok(Listener { watched: self.adopt(socket, origin)?, is_tcp, pauses: 0 })
    }
}

impl<K: Kernel> Listener<K> {
    /// Waits for a connection, and says who it is. Work: at most two system calls for each that
    /// comes.
    ///
    /// A connection that is gone before it is accepted is passed over. Out of descriptors or of
    /// memory it does not fail, and does not spin: it [pauses](Self::pause), and the connection
    /// waits in the queue. (Should epoll have no room for it when it is accepted already, it is
    /// closed.)
    ///
    /// Dropped before it is done, it has accepted nothing.
    ///
    /// # Errors
    /// Only those that will not go away: [`Errno::EINVAL`], it does not listen. Asking again is
    /// no use.
    ///
    /// Man page: accept4(2)
    pub async fn accept(&mut self) -> Result<(Stream<K>, Addr), Errno> {
        let mut gone = 0u32;
        loop {
            match self.accept_once().await {
                Ok(accepted) => return Ok(accepted),
                Err(errno) if errno.exhausted() || errno == Errno::ENOSPC => self.pause().await,
                Err(errno) if errno.transient_accept() => {
                    gone = gone.wrapping_add(1);
                    if gone.is_multiple_of(GONE_MAX) {
                        self.pause().await;
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits for a connection, and tells of every failure: for those who count or log them, and
    /// then do what [`accept`](Self::accept) does. Work: at most two system calls.
    ///
    /// # Errors
    /// * those of [`Errno::exhausted`], and [`Errno::ENOSPC`] of epoll: [`pause`](Self::pause).
    /// * those of [`Errno::transient_accept`]: that one connection is gone; go on, but not for
    ///   ever.
    ///
    /// Man page: accept4(2)
    pub async fn accept_once(&mut self) -> Result<(Stream<K>, Addr), Errno> {
        let accept = self.watched.attempt(Side::Read, |kernel, fd| kernel.accept4(fd));
        let (socket, peer) = accept.await?;
        let handle = Handle(Rc::clone(self.watched.shared()));
        Ok((handle.stream_of(socket, self.is_tcp, true, true)?, peer))
    }

    /// Waits until there may be room again: something of ours is closed, or a quarter of a second
    /// has gone by. Work: O(1).
    pub async fn pause(&mut self) {
        self.pauses += 1;
        let shared: &Rc<Shared<K>> = self.watched.shared();
        let closed = shared.closed.get();
        let mut sleep = Handle(Rc::clone(shared)).sleep(RETRY);
        poll_fn(|cx| {
            if shared.closed.get() != closed {
                return Poll::Ready(());
            }
            let mut hopeful = shared.hopeful.borrow_mut();
            if !hopeful.iter().any(|waker| waker.will_wake(cx.waker())) {
                hopeful.push(cx.waker().clone());
            }
            drop(hopeful);
            Pin::new(&mut sleep).poll(cx)
        })
        .await;
    }

    /// How often it has paused for want of something. Work: O(1).
    #[must_use]
    pub const fn pauses(&self) -> u64 {
        self.pauses
    }

    /// The descriptor, for calls that have no verb here. Work: O(1).
    pub const fn watched(&mut self) -> &mut Watched<K> {
        &mut self.watched
    }

    /// Gives the descriptor back, open. Work: one system call.
    pub fn into_fd(self) -> Fd {
        self.watched.into_fd()
    }
}

impl<K: Kernel> fmt::Debug for Listener<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("watched", &self.watched).finish_non_exhaustive()
    }
}
