//! Operations on one registration.
//!
//! Knows one descriptor at a time. `EAGAIN` becomes a named outcome here, and `EINTR` is retried
//! here; every other errno is returned.

use core::fmt;

use super::register_error::RegisterErrorKind;
use super::registration::{PAUSED_BIT, REQUEUE_MASK, REQUEUED_BIT, Watched, pack_ready};
use super::retry::{retry_after_eintr, retry_on_eintr};
use super::storage::{Heap, Storage};
use crate::collections::{SlotQueue, TimerHeapIn};
use crate::errno::Errno;
use crate::event::{EPOLLEXCLUSIVE, EventMask, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{EpollEvent, EpollOp, Fd, Kernel, Shutdown};
use crate::net::Addr;
use crate::token::Token;

/// The descriptor of a registration and its operations.
pub struct Io<'a, K: Kernel, S: Storage = Heap> {
    pub(crate) kernel: &'a mut K,
    pub(crate) watched: &'a mut Watched,
    pub(super) token: Token,
    pub(super) shared: &'a mut IoShared<S>,
}

#[cfg(feature = "alloc")]
/// What an [`Io`] is made of. Most events need no more than the socket, and the parts stay in
/// registers until the others are needed.
pub(crate) struct IoParts<'a, K: Kernel, S: Storage = Heap> {
    pub(crate) kernel: &'a mut K,
    pub(crate) watched: &'a mut Watched,
    pub(crate) token: Token,
    pub(super) shared: &'a mut IoShared<S>,
}

#[cfg(feature = "alloc")]
impl<'a, K: Kernel, S: Storage> IoParts<'a, K, S> {
    #[inline]
    pub(crate) fn join(self) -> Io<'a, K, S> {
        Io { kernel: self.kernel, watched: self.watched, token: self.token, shared: self.shared }
    }
}

/// The parts of a reactor that the operations on each registration use.
pub(crate) struct IoShared<S: Storage> {
    pub(super) epoll: Fd,
    pub(super) timers: TimerHeapIn<S::Deadlines, S::Numbers>,
    /// The slots of registrations to be reported again without an event of the kernel. One whose
    /// registration has ended since stays in it until its turn.
    pub(super) requeued: SlotQueue<S::Numbers>,
    /// The last time for which it is certain that everything that was ready then has been reported.
    /// Deadlines are compared with it.
    pub(super) reported_until: Instant,
}

/// Result of a `recv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// How many bytes were received, at least one.
    Bytes(usize),
    /// No data is available now (`EAGAIN`).
    WouldBlock,
    /// The peer has shut its write side down, and everything before that has been read.
    Eof,
}

/// Result of a `send`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// How many bytes were sent: all, or as many as fit the send buffer.
    Bytes(usize),
    /// The send buffer is full (`EAGAIN`).
    WouldBlock,
}

/// [`Io::recv`], on any descriptor.
#[inline]
pub(crate) fn recv<K: Kernel>(kernel: &mut K, fd: &Fd, buf: &mut [u8]) -> Result<Received, Errno> {
    assert!(!crate::assertions::ASSERTS || !buf.is_empty(), "the receive buffer must not be empty");
    if buf.is_empty() {
        return Err(Errno::EINVAL);
    }
    let received = |count| if count == 0 { Received::Eof } else { Received::Bytes(count) };
    match kernel.recv(fd, buf) {
        Ok(count) => Ok(received(count)),
        Err(errno) if errno.is_would_block() => Ok(Received::WouldBlock),
        Err(errno) if errno.is_interrupted() => match retry_after_eintr(|| kernel.recv(fd, buf)) {
            Err(errno) if errno.is_would_block() => Ok(Received::WouldBlock),
            result => result.map(received),
        },
        Err(errno) => Err(errno),
    }
}

/// [`Io::send`], on any descriptor.
#[inline]
pub(crate) fn send<K: Kernel>(kernel: &mut K, fd: &Fd, buf: &[u8]) -> Result<Sent, Errno> {
    match kernel.send(fd, buf) {
        Ok(count) => Ok(Sent::Bytes(count)),
        Err(errno) if errno.is_would_block() => Ok(Sent::WouldBlock),
        Err(errno) if errno.is_interrupted() => match retry_after_eintr(|| kernel.send(fd, buf)) {
            Err(errno) if errno.is_would_block() => Ok(Sent::WouldBlock),
            result => result.map(Sent::Bytes),
        },
        Err(errno) => Err(errno),
    }
}

impl<K: Kernel, S: Storage> Io<'_, K, S> {
    /// Receives bytes of a stream. Cost: one system call.
    ///
    /// A datagram may be empty, which looks like an end of file here: use
    /// [`recvfrom`](Kernel::recvfrom) for those.
    ///
    /// # Errors
    /// * [`Errno::ECONNRESET`]: the peer reset the connection. Others are rare.
    ///
    /// # Panics
    /// `buf` is empty: the result could not be told from an end of file.
    ///
    /// Man page: recv(2)
    #[inline]
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        recv(self.kernel, &self.watched.fd, buf)
    }

    /// Sends bytes, or as many of them as fit the send buffer. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: the peer can no longer receive.
    ///
    /// Man page: send(2)
    #[inline]
    pub fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        send(self.kernel, &self.watched.fd, buf)
    }

    /// Accepts one connection; `None` when the accept queue is empty. Cost: one system call.
    ///
    /// # Errors
    /// * those of [`Errno::is_resource_exhausted`]: out of descriptors or memory; the connection
    ///   stays in the queue. Pause: retrying a level-triggered listener at once busy-polls.
    /// * those of [`Errno::is_transient_accept_error`]: that one connection was aborted; continue.
    ///
    /// Man page: accept4(2)
    pub fn accept(&mut self) -> Result<Option<(Fd, Addr)>, Errno> {
        match self.syscall(|kernel, fd| kernel.accept4(fd)) {
            Ok(accepted) => Ok(Some(accepted)),
            Err(errno) if errno.is_would_block() => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Shuts down one direction or both. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: the socket is no longer connected.
    ///
    /// Man page: shutdown(2)
    pub fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.syscall(|kernel, fd| kernel.shutdown(fd, how))
    }

    /// Changes interest and trigger; of a [paused](Self::pause) registration, those that it is
    /// resumed with, without a call. A one-shot registration is re-armed, and edge-triggered
    /// readiness that exists already is reported once more. Cost: one system call.
    ///
    /// # Errors
    /// * [`MaskError::ExclusiveImmutable`](crate::event::MaskError::ExclusiveImmutable): Linux does
    ///   not modify an exclusive registration; no call is made.
    /// * [`Errno::ENOMEM`].
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_MOD`
    #[doc(alias = "EPOLL_CTL_MOD")]
    pub fn modify(
        &mut self,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<(), RegisterErrorKind> {
        if self.watched.mask & (EPOLLEXCLUSIVE | PAUSED_BIT) != 0 {
            return self.modify_unusual(interest, trigger);
        }
        let bits = EventMask::new(interest, trigger).bits();
        let op = EpollOp::Modify(EpollEvent::new(bits, self.token.to_bits()));
        let Self { kernel, watched, shared, .. } = self;
        retry_on_eintr(|| kernel.epoll_ctl(&shared.epoll, op, &watched.fd))?;
        self.watched.mask = bits | (self.watched.mask & REQUEUE_MASK);
        Ok(())
    }

    /// Whether it is registered for exactly this. Cost: O(1).
    #[must_use]
    pub const fn is_registered_for(&self, interest: Interest, trigger: Trigger) -> bool {
        self.watched.mask & !REQUEUE_MASK == EventMask::new(interest, trigger).bits()
    }

    /// Reports `ready` again after the kernel's next events, as if it had come from the kernel.
    /// Cost: O(1).
    ///
    /// For edge-triggered mode: the kernel does not report a descriptor again whose handler
    /// stopped before `EAGAIN`, because its budget was spent. A registration is in the list at
    /// most once; several requests are merged.
    ///
    /// # Errors
    /// * [`Errno::ENOMEM`]: the list could not grow; nothing has changed.
    pub fn try_requeue(&mut self, ready: Ready) -> Result<(), Errno> {
        if self.watched.mask & REQUEUED_BIT == 0 {
            self.shared.requeued.try_push(self.token.slot()).map_err(|_| Errno::ENOMEM)?;
        }
        self.watched.mask |= pack_ready(ready);
        Ok(())
    }

    /// Sets or moves the deadline: one [`Event::Timer`](crate::Event::Timer) when it has passed.
    /// One in the past counts as now: it comes after all that were due before it, so that a
    /// handler that repeatedly sets a past deadline does not starve others.
    /// Cost: O(log deadlines).
    ///
    /// # Errors
    /// * [`Errno::ENOMEM`]: there is no room for another deadline; nothing has changed.
    pub fn try_set_deadline(&mut self, deadline: Instant) -> Result<(), Errno> {
        let deadline = deadline.max(self.shared.reported_until);
        self.shared.timers.try_set(self.token.slot(), deadline).map_err(|_| Errno::ENOMEM)
    }

    /// Cancels the deadline. Returns whether there was one. Cost: O(log deadlines).
    pub fn cancel_deadline(&mut self) -> bool {
        self.shared.timers.cancel(self.token.slot())
    }

    /// Makes a call on the descriptor that has no method here. An interrupted one is repeated, up
    /// to 16 calls, as by the methods. Cost: that of the call.
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
    /// # use epollite::{Interest, Kernel, Reactor, Trigger};
    /// # use epollite::kernel::SocketType;
    /// # let mut reactor = Reactor::new()?;
    /// # let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
    /// # reactor.kernel().close(far)?;
    /// # let token = reactor.register_or_close(near, Interest::NONE, Trigger::Level, ()).unwrap();
    /// let (_, mut io) = reactor.get_mut(token).unwrap();
    /// let peer = io.syscall(|kernel, fd| kernel.getpeername(fd));
    /// # assert!(peer.is_ok() || peer.is_err()); Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// Those of the call, [`Errno::EAGAIN`] included.
    #[inline]
    pub fn syscall<R>(
        &mut self,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        retry_on_eintr(|| call(self.kernel, &self.watched.fd))
    }

    /// The current time of the kernel's clock. Cost: that of [`Kernel::now`].
    pub fn now(&mut self) -> Instant {
        self.kernel.now()
    }

    /// The descriptor. Cost: O(1).
    pub const fn fd(&self) -> &Fd {
        &self.watched.fd
    }

    /// The registration's token. Cost: O(1).
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }
}

#[cfg(feature = "alloc")]
impl<K: Kernel> Io<'_, K> {
    /// As [`try_requeue`](Self::try_requeue). Without memory for the list the program ends, as in
    /// every collection of `alloc`. Cost: O(1).
    pub fn requeue(&mut self, ready: Ready) {
        if self.try_requeue(ready).is_err() {
            out_of_memory::<u32>();
        }
    }

    /// As [`try_set_deadline`](Self::try_set_deadline). Without memory for the deadline the program
    /// ends, as in every collection of `alloc`. Cost: O(log deadlines).
    pub fn set_deadline(&mut self, deadline: Instant) {
        if self.try_set_deadline(deadline).is_err() {
            out_of_memory::<Instant>();
        }
    }
}

/// Ends the program, as a collection does that has no memory for a `T`.
#[cfg(feature = "alloc")]
#[cold]
fn out_of_memory<T>() -> ! {
    alloc::alloc::handle_alloc_error(core::alloc::Layout::new::<T>())
}

impl<K: Kernel, S: Storage> fmt::Debug for Io<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Io({}, {:?}, registered for {})",
            self.token,
            self.fd(),
            Ready::from_bits(self.watched.mask & !(REQUEUE_MASK | PAUSED_BIT))
        )
    }
}
