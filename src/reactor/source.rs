//! All that can be done to one registration, in one place.
//!
//! Knows one descriptor at a time. `EAGAIN` becomes an outcome with a name here, and `EINTR`
//! is retried here; every other errno goes up.

use alloc::collections::VecDeque;
use core::fmt;

use super::{AGAIN, Reason, STANDS_AGAIN, again_bits};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::event::{EPOLLEXCLUSIVE, Interest, Ready, Refusal, Trigger, Watch};
use crate::instant::Instant;
use crate::kernel::{Control, EpollEvent, Fd, Kernel, Shut};
use crate::timer::Timers;
use crate::token::Token;

/// How often a call that a signal interrupts is made again. On a non-blocking descriptor even
/// one interruption is rare; the bound is for kernels that lie.
const INTERRUPTS_MAX: u32 = 16;

/// One registration: the user's state, and what can be done to the descriptor. The two are
/// borrowed apart, so that what the state holds can be sent.
pub struct Source<'a, T, K: Kernel> {
    /// What was registered beside the descriptor.
    pub state: &'a mut T,
    /// The descriptor's side.
    pub io: Io<'a, K>,
}

/// The descriptor's side of a registration.
pub struct Io<'a, K: Kernel> {
    /// For the calls that have no verb here: `io.kernel.getpeername(io.fd)`.
    pub kernel: &'a mut K,
    /// The descriptor.
    pub fd: &'a Fd,
    pub(super) token: Token,
    pub(super) epoll: &'a Fd,
    pub(super) watch: &'a mut u32,
    pub(super) timers: &'a mut Timers,
    pub(super) again: &'a mut VecDeque<Token>,
    /// By which deadlines are judged: [`reported_until`](super::Reactor::reported_until).
    pub(super) now: Instant,
}

/// What a `recv` brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// The peer has ended its direction, and everything before has been read.
    End,
}

/// What a `send` took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// So many bytes: all, or as many as there was room for.
    Bytes(usize),
    /// There is no room now.
    Nothing,
}

impl<K: Kernel> Io<'_, K> {
    /// Reads bytes of a stream. Work: one system call.
    ///
    /// A datagram may be empty, and looks like an end here: for those there is
    /// [`recvfrom`](Kernel::recvfrom).
    ///
    /// # Errors
    /// * [`Errno::ECONNRESET`]: the peer broke the connection. And others as rare.
    ///
    /// # Panics
    /// `buf` is empty: an end could not be told from nothing.
    ///
    /// Man page: recv(2)
    #[inline]
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        assert!(!buf.is_empty(), "reading into nothing tells nothing");
        match self.patiently(|kernel, fd| kernel.recv(fd, buf)) {
            Ok(0) => Ok(Received::End),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(errno) if errno.would_block() => Ok(Received::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Sends bytes, or as many of them as there is room for. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: nobody will ever read it.
    ///
    /// Man page: send(2)
    #[inline]
    pub fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        match self.patiently(|kernel, fd| kernel.send(fd, buf)) {
            Ok(count) => Ok(Sent::Bytes(count)),
            Err(errno) if errno.would_block() => Ok(Sent::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Takes one connection off a listener's queue; `None` when it is empty. Work: one system
    /// call.
    ///
    /// # Errors
    /// * those of [`Errno::exhausted`]: out of something; the connection stays in the queue.
    ///   Pause: a level-triggered listener that is asked again at once spins.
    /// * those of [`Errno::transient_accept`]: that one connection is gone; go on.
    ///
    /// Man page: accept4(2)
    pub fn accept(&mut self) -> Result<Option<(Fd, Addr)>, Errno> {
        match self.patiently(|kernel, fd| kernel.accept4(fd)) {
            Ok(accepted) => Ok(Some(accepted)),
            Err(errno) if errno.would_block() => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Ends one direction or both. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: there is no peer any more.
    ///
    /// Man page: shutdown(2)
    pub fn shutdown(&mut self, how: Shut) -> Result<(), Errno> {
        self.patiently(|kernel, fd| kernel.shutdown(fd, how))
    }

    /// Changes what is waited for. A one-shot registration is armed again, and in edge mode
    /// what is ready already is reported once more. Work: one system call.
    ///
    /// # Errors
    /// * [`Refusal::ExclusiveIsFixed`]: Linux does not change an exclusive one; no call is
    ///   made.
    /// * [`Errno::ENOMEM`].
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_MOD`
    #[doc(alias = "EPOLL_CTL_MOD")]
    pub fn rearm(&mut self, interest: Interest, trigger: Trigger) -> Result<(), Reason> {
        if *self.watch & EPOLLEXCLUSIVE != 0 {
            return Err(Reason::Mix(Refusal::ExclusiveIsFixed));
        }
        let bits = Watch::new(interest, trigger).bits();
        let control = Control::Modify(EpollEvent::new(bits, self.token.to_bits()));
        self.patiently(|kernel, fd| kernel.epoll_ctl(self.epoll, control, fd))?;
        *self.watch = bits | (*self.watch & AGAIN);
        Ok(())
    }

    /// Whether exactly this is waited for already. Work: O(1).
    #[must_use]
    pub const fn watches(&self, interest: Interest, trigger: Trigger) -> bool {
        *self.watch & !AGAIN == Watch::new(interest, trigger).bits()
    }

    /// Has `ready` reported again after whatever the kernel reports next, as if it had come
    /// from there. Work: O(1).
    ///
    /// For edge mode: who stops before the kernel said "nothing", because his turn was over,
    /// is not reminded by anybody. A registration stands at most once on that list; what is
    /// asked for twice adds up.
    pub fn again(&mut self, ready: Ready) {
        if *self.watch & STANDS_AGAIN == 0 {
            self.again.push_back(self.token);
        }
        *self.watch |= again_bits(ready);
    }

    /// Sets or moves the deadline: one [`Event::Timer`](crate::Event::Timer) when it has
    /// passed. One in the past counts as of now: behind all that were due before it, so that
    /// nobody who sets his deadline back again and again keeps the others waiting.
    /// Work: O(log deadlines).
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.timers.set(self.token.slot(), deadline.max(self.now));
    }

    /// Takes the deadline back. Returns whether there was one. Work: O(log deadlines).
    pub fn cancel_deadline(&mut self) -> bool {
        self.timers.cancel(self.token.slot())
    }

    /// Who this is. Work: O(1).
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Makes a call again when a signal interrupted it.
    #[inline]
    fn patiently<R>(
        &mut self,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        patiently(|| call(self.kernel, self.fd))
    }
}

/// Makes a call again when a signal interrupted it.
#[inline]
pub(crate) fn patiently<R>(mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    for _ in 1..INTERRUPTS_MAX {
        match call() {
            Err(errno) if errno.interrupted() => {}
            result => return result,
        }
    }
    call()
}

impl<T: fmt::Debug, K: Kernel> fmt::Debug for Source<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("io", &self.io).field("state", &self.state).finish()
    }
}

impl<K: Kernel> fmt::Debug for Io<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Io({}, {:?}, watches {})",
            self.token,
            self.fd,
            Ready::from_bits(*self.watch & !AGAIN)
        )
    }
}
