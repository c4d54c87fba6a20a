//! A listener: accepts connections one by one, and backs off when there is no room for them.
//!
//! Knows which errors of accept(2) concern one connection, which the process, and which the
//! caller.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Poll, Waker};

use alloc::rc::Rc;

use super::async_fd::AsyncFd;
use super::io_state::{Direction, UNSHARED, WRITABLE, tcp_flag};
use super::stream::Stream;
use super::{Handle, Shared};
use crate::errno::Errno;
use crate::event::Interest;
use crate::kernel::{Fd, Kernel};
use crate::net::Addr;
use crate::reactor::RETRY_DELAY;

/// Consecutive aborted connections after which the cause is assumed to be something else.
const ABORTED_IN_A_ROW_MAX: u32 = 16;

/// A listening socket. Dropping it closes it.
pub struct Listener<K: Kernel> {
    fd: AsyncFd<K>,
    /// What is known of its connections.
    flags: u8,
    pauses: u64,
}

impl<K: Kernel> Handle<K> {
    /// Takes ownership of a non-blocking listening socket. Cost: two system calls.
    ///
    /// # Errors
    /// As [`async_fd`](Self::async_fd), and what getsockname(2) returned. It is closed then.
    ///
    /// Man page: getsockname(2), epoll_ctl(2)
    pub fn listener(&self, socket: Fd) -> Result<Listener<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        let flags = tcp_flag(family) | UNSHARED | WRITABLE;
        Ok(Listener { fd: self.register(socket, Interest::READABLE, 0)?, flags, pauses: 0 })
    }
}

impl<K: Kernel> Listener<K> {
    /// Waits for a connection; returns it with the peer's address. Cost: at most two system calls
    /// per connection.
    ///
    /// A connection that is aborted before it is accepted is skipped. Out of descriptors or
    /// memory it does not fail, and does not busy-poll: it [backs off](Self::backoff), and the
    /// connection stays in the accept queue. (If epoll has no room for it after it was accepted,
    /// it is closed.)
    ///
    /// Cancel-safe: dropped before it completes, it has accepted nothing.
    ///
    /// # Errors
    /// Only permanent ones: [`Errno::EINVAL`], it does not listen. Retrying does not help.
    ///
    /// Man page: accept4(2)
    pub async fn accept(&mut self) -> Result<(Stream<K>, Addr), Errno> {
        let mut aborted = 0u32;
        loop {
            match self.accept_once().await {
                Ok(accepted) => return Ok(accepted),
                Err(errno) if errno.is_resource_exhausted() || errno == Errno::ENOSPC => {
                    self.backoff().await
                }
                Err(errno) if errno.is_transient_accept_error() => {
                    aborted = aborted.wrapping_add(1);
                    if aborted.is_multiple_of(ABORTED_IN_A_ROW_MAX) {
                        self.backoff().await;
                    }
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits for a connection, and returns every error: for callers that count or log them, and
    /// then do what [`accept`](Self::accept) does. Cost: at most two system calls.
    ///
    /// # Errors
    /// * those of [`Errno::is_resource_exhausted`], and [`Errno::ENOSPC`] of epoll: call
    ///   [`backoff`](Self::backoff).
    /// * those of [`Errno::is_transient_accept_error`]: that one connection was aborted; continue,
    ///   but not endlessly.
    ///
    /// Man page: accept4(2)
    pub async fn accept_once(&mut self) -> Result<(Stream<K>, Addr), Errno> {
        let accept = self.fd.async_io(Direction::Read, |kernel, fd| kernel.accept4(fd));
        let (socket, peer) = accept.await?;
        let handle = Handle(Rc::clone(self.fd.shared()));
        Ok((handle.stream_from_parts(socket, self.flags)?, peer))
    }

    /// Waits until there may be room again: this executor closes a descriptor, or 250 ms have
    /// passed. Cost: O(1).
    pub async fn backoff(&mut self) {
        self.pauses += 1;
        let shared: &Rc<Shared<K>> = self.fd.shared();
        let closed = shared.close_count.get();
        let mut sleep = Handle(Rc::clone(shared)).sleep(RETRY_DELAY);
        poll_fn(|cx| {
            if shared.close_count.get() != closed {
                return Poll::Ready(());
            }
            let is_same = |waker: &Waker| waker.will_wake(cx.waker());
            if !shared.fd_waiters.borrow().iter().any(is_same) {
                // Cloning a user-supplied waker may run arbitrary code: not under a borrow.
                let waker = cx.waker().clone();
                shared.fd_waiters.borrow_mut().push(waker);
            }
            Pin::new(&mut sleep).poll(cx)
        })
        .await;
    }

    /// How often it has backed off. Cost: O(1).
    #[must_use]
    pub const fn pauses(&self) -> u64 {
        self.pauses
    }

    /// The descriptor, for calls that have no method here. Cost: O(1).
    pub const fn async_fd(&mut self) -> &mut AsyncFd<K> {
        &mut self.fd
    }

    /// Deregisters the descriptor and returns it, open. Cost: one system call.
    pub fn into_fd(self) -> Fd {
        self.fd.into_fd()
    }
}

impl<K: Kernel> fmt::Debug for Listener<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("fd", &self.fd).finish_non_exhaustive()
    }
}
