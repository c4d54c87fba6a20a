//! A descriptor that tasks wait for: registered once, edge-triggered, closed when it is dropped.
//!
//! Knows which calls may have to wait, and stores the readiness that the kernel has reported,
//! since it reports it only once. It does not know what the calls do.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};

use super::io_state::{
    Direction, IoState, SHORT_READ_UNRELIABLE, TCP, UNSHARED, WRITABLE, read_interest,
    read_write_interest,
};
use super::{Handle, Shared};
use crate::errno::Errno;
use crate::event::{Interest, Trigger};
use crate::kernel::close_quietly;
use crate::kernel::{Fd, Kernel};
use crate::reactor::retry::retry_on_eintr;
use crate::token::Token;

/// Any descriptor that epoll accepts, for calls that have no method here: a signalfd, an eventfd,
/// a pipe. Streams, listeners and datagram sockets have types of their own around this one.
///
/// Dropping it closes it.
pub struct AsyncFd<K: Kernel> {
    shared: Rc<Shared<K>>,
    token: Token,
}

impl<K: Kernel> Handle<K> {
    /// Takes ownership of any non-blocking descriptor. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPERM`]: a kind of file that cannot be polled, such as a regular file.
    /// * [`Errno::ENOSPC`], [`Errno::ENOMEM`], [`Errno::EEXIST`]: from epoll_ctl(2).
    ///
    /// The descriptor is closed then.
    ///
    /// Man page: epoll_ctl(2)
    pub fn async_fd(&self, fd: Fd) -> Result<AsyncFd<K>, Errno> {
        self.register(fd, read_interest(), WRITABLE)
    }

    /// `flags` is what is known of the descriptor.
    pub(super) fn register(
        &self,
        fd: Fd,
        interest: Interest,
        flags: u8,
    ) -> Result<AsyncFd<K>, Errno> {
        let mut reactor = self.0.reactor.borrow_mut();
        match reactor.register_or_close(fd, interest, Trigger::Edge, IoState::new(flags)) {
            Ok(token) => Ok(AsyncFd { shared: Rc::clone(&self.0), token }),
            Err(reason) => Err(reason.into()),
        }
    }
}

impl<K: Kernel> AsyncFd<K> {
    /// Makes `call`; when it returns [`EAGAIN`](Errno::EAGAIN), waits for `side` and makes it
    /// again. Cost: one call for each time that the kernel reports readiness.
    ///
    /// Cancel-safe: dropped before it completes, it has had no effect.
    ///
    /// # Errors
    /// What `call` returns.
    ///
    /// # Panics
    /// `call` uses a socket or a handle of this executor: the kernel is borrowed.
    pub fn async_io<R>(
        &mut self,
        side: Direction,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> impl Future<Output = Result<R, Errno>> {
        poll_fn(move |cx| self.poll_io(cx, side, &mut call, |_| false))
    }

    /// Makes a call that does not block: getpeername(2), setsockopt(2). As
    /// [`Io::syscall`](crate::Io::syscall). Cost: that of the call.
    ///
    /// # Errors
    /// Those of the call.
    ///
    /// # Panics
    /// As [`async_io`](Self::async_io).
    pub fn syscall<R>(
        &self,
        call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let mut reactor = self.shared.reactor.borrow_mut();
        let (_, mut io) = reactor.get_mut(self.token).expect(TOKEN_IS_LIVE);
        io.syscall(call)
    }

    /// Deregisters the descriptor and returns it, open. Cost: one system call.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_DEL`
    pub fn into_fd(self) -> Fd {
        let removed = self.shared.reactor.borrow_mut().deregister(self.token);
        let Some((fd, _)) = removed else { unreachable!("{TOKEN_IS_LIVE}") };
        fd
    }

    /// `is_short` identifies a short read, which has emptied the socket if it can be trusted.
    pub(super) fn poll_io<R>(
        &self,
        cx: &Context<'_>,
        side: Direction,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
        is_short: impl FnOnce(&R) -> bool,
    ) -> Poll<Result<R, Errno>> {
        ready!(self.shared.poll_proceed(cx));
        let mut reactor = self.shared.reactor.borrow_mut();
        let (state, mut io) = reactor.get_mut(self.token).expect(TOKEN_IS_LIVE);
        if state.has(side.flag()) {
            match retry_on_eintr(|| call(io.kernel, &io.watched.fd)) {
                Err(errno) if errno.is_would_block() => state.flags &= !side.flag(),
                // Interrupted repeatedly: not an error of the call, so it is made again in the
                // next round.
                Err(errno) if errno.is_interrupted() => {
                    drop(reactor);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                result => {
                    if state.flags & (TCP | SHORT_READ_UNRELIABLE) == TCP
                        && result.as_ref().is_ok_and(is_short)
                    {
                        state.flags &= !side.flag();
                    }
                    return Poll::Ready(result);
                }
            }
        }
        // `WRITABLE` is registered only when it is needed: on Unix sockets every read of the peer
        // is an edge of it. Modifying the mask reports the current state.
        if side == Direction::Write && !io.is_registered_for(read_write_interest(), Trigger::Edge) {
            io.modify(read_write_interest(), Trigger::Edge).map_err(Errno::from)?;
        }
        drop(reactor);
        // Cloning and dropping a user-supplied waker may run arbitrary code: not while the reactor
        // is borrowed.
        let waker = cx.waker().clone();
        let mut reactor = self.shared.reactor.borrow_mut();
        let (state, _) = reactor.get_mut(self.token).expect(TOKEN_IS_LIVE);
        let old = state.set_waker(side, waker);
        drop(reactor);
        drop(old);
        Poll::Pending
    }

    pub(super) const fn shared(&self) -> &Rc<Shared<K>> {
        &self.shared
    }
}

const TOKEN_IS_LIVE: &str = "the registration lives as long as its AsyncFd";

impl<K: Kernel> Drop for AsyncFd<K> {
    fn drop(&mut self) {
        let mut reactor = self.shared.reactor.borrow_mut();
        // `into_fd` may have removed it.
        let Some((state, _)) = reactor.get_mut(self.token) else { return };
        let state = if state.has(UNSHARED) {
            reactor.close(self.token)
        } else {
            // A duplicate may be open, and would keep the registration alive.
            reactor.deregister(self.token).map(|(fd, state)| {
                close_quietly(reactor.kernel(), fd);
                state
            })
        };
        drop(reactor);
        drop(state);
        self.shared.wake_fd_waiters();
    }
}

impl<K: Kernel> fmt::Debug for AsyncFd<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("token", &self.token).finish_non_exhaustive()
    }
}
