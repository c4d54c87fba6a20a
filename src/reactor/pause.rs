//! Pausing a registration: the kernel does not watch it for a time, and it keeps its token.
//!
//! Knows epoll_ctl(2). An empty interest would not do: errors and hang-ups cannot be masked, and a
//! level-triggered registration that has hung up is then reported in every wait.

use super::io::Io;
use super::register_error::RegisterErrorKind;
use super::registration::{PAUSED_BIT, REQUEUE_MASK};
use super::retry::retry_on_eintr;
use super::storage::Storage;
use crate::errno::Errno;
use crate::event::{EPOLLEXCLUSIVE, EventMask, Interest, MaskError, Trigger};
use crate::kernel::{EpollEvent, EpollOp, Kernel};

impl<K: Kernel, S: Storage> Io<'_, K, S> {
    /// Stops watching the descriptor, until [`resume`](Self::resume): a listener that shall not
    /// accept for now, a connection whose reader is behind. No event comes from it, not even of an
    /// error; only one that the last wait has returned already. Deadline and requeueing go on, and
    /// connections queue in the kernel. To pause it twice is no error. Cost: one system call.
    ///
    /// ```
    /// use epollite::{Event, Interest, Kernel, Reactor, Trigger};
    /// use epollite::sim::Sim;
    ///
    /// let mut reactor = Reactor::with_kernel(Sim::default())?;
    /// let eventfd = reactor.kernel().eventfd(1)?;
    /// let token = reactor.register_or_close(eventfd, Interest::READABLE, Trigger::Level, ())?;
    /// let now = reactor.kernel().now();
    /// reactor.get_mut(token).unwrap().1.pause()?;
    /// assert_eq!(reactor.next(Some(now))?, None);
    /// reactor.get_mut(token).unwrap().1.resume()?;
    /// assert!(matches!(reactor.next(Some(now))?, Some(Event::Io { .. })));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// * [`Errno::EBADF`]: it is a timer, and has no descriptor.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_DEL`
    pub fn pause(&mut self) -> Result<(), Errno> {
        if self.is_paused() {
            return Ok(());
        }
        let Self { kernel, watched, shared, .. } = self;
        retry_on_eintr(|| kernel.epoll_ctl(&shared.epoll, EpollOp::Delete, &watched.fd))?;
        watched.mask |= PAUSED_BIT;
        Ok(())
    }

    /// Watches the descriptor again, as before [`pause`](Self::pause); what is ready is reported,
    /// edge-triggered too, and a one-shot registration is armed again. To resume what is not paused
    /// is no error. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOMEM`], [`Errno::ENOSPC`]: out of memory or epoll watches; it stays paused.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_ADD`
    pub fn resume(&mut self) -> Result<(), Errno> {
        if !self.is_paused() {
            return Ok(());
        }
        let Self { kernel, watched, shared, token } = self;
        let bits = watched.mask & !(PAUSED_BIT | REQUEUE_MASK);
        let op = EpollOp::Add(EpollEvent::new(bits, token.to_bits()));
        retry_on_eintr(|| kernel.epoll_ctl(&shared.epoll, op, &watched.fd))?;
        watched.mask &= !PAUSED_BIT;
        Ok(())
    }

    /// Whether it is paused. Cost: O(1).
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.watched.mask & PAUSED_BIT != 0
    }

    /// [`modify`](Self::modify) of an exclusive or a paused registration: no call is made.
    #[cold]
    pub(super) fn modify_unusual(
        &mut self,
        interest: Interest,
        trigger: Trigger,
    ) -> Result<(), RegisterErrorKind> {
        if self.watched.mask & EPOLLEXCLUSIVE != 0 {
            return Err(RegisterErrorKind::InvalidMask(MaskError::ExclusiveImmutable));
        }
        let bits = EventMask::new(interest, trigger).bits();
        self.watched.mask = bits | PAUSED_BIT | (self.watched.mask & REQUEUE_MASK);
        Ok(())
    }
}
