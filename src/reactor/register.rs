//! Adding and removing registrations.
//!
//! Knows the slab and epoll_ctl(2), and nothing of waiting.

use super::reactor::Reactor;
#[cfg(feature = "alloc")]
use super::reactor::WAKER_DATA;
use super::register_error::{RegisterError, RegisterErrorKind};
use super::registration::{Registration, Watched};
use super::retry::retry_on_eintr;
use super::storage::StorageOf;
#[cfg(feature = "alloc")]
use super::waker::Waker;
use crate::errno::Errno;
use crate::event::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EventMask, ExclusiveTrigger, Interest, Trigger,
};
use crate::kernel::close_quietly;
#[cfg(feature = "alloc")]
use crate::kernel::{CallError, Syscall};
use crate::kernel::{EpollEvent, EpollOp, Fd, Kernel};
use crate::token::Token;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// Takes ownership of `fd` and waits on it. Cost: one system call, O(1).
    ///
    /// It is non-blocking, as all descriptors are that a [`Kernel`] creates or that were converted
    /// from those of `std`. One that may not be is a
    /// [`MaybeBlockingFd`](crate::kernel::MaybeBlockingFd), for which there is
    /// [`register_nonblocking`](Self::register_nonblocking): registered here, it would stop the
    /// whole loop at the first call that blocks.
    ///
    /// Edge-triggered, readiness that exists already is reported once, as if it had just arrived.
    ///
    /// # Errors
    /// [`RegisterError`], with the descriptor and the state: the reactor is full, there is no
    /// memory for another registration (`ENOMEM`), or epoll_ctl(2) failed (`EPERM`: a regular
    /// file; `EEXIST`, `ENOSPC`, `ENOMEM`).
    ///
    /// Man page: epoll_ctl(2)
    #[doc(alias = "epoll_ctl")]
    pub fn register(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, RegisterError<T>> {
        self.insert(fd, EventMask::new(interest, trigger), state)
    }

    /// As [`register`](Self::register), but closes `fd` when it fails. Cost: one or two system
    /// calls, O(1).
    ///
    /// # Errors
    /// As [`register`](Self::register), without the descriptor, which is closed.
    pub fn register_or_close(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, RegisterErrorKind> {
        self.register(fd, interest, trigger, state).map_err(|error| {
            close_quietly(&mut self.kernel, error.fd);
            error.kind
        })
    }

    /// Takes ownership of `fd`, whose file other epolls watch too: an event wakes one or some of
    /// the epolls that registered it exclusively, not all. Cost: one system call, O(1).
    ///
    /// # Errors
    /// As [`register`](Self::register); and
    /// [`MaskError::ExclusiveInterest`](crate::event::MaskError::ExclusiveInterest) for an interest
    /// that Linux does not accept here.
    ///
    /// Man page: epoll_ctl(2), `EPOLLEXCLUSIVE`
    #[doc(alias = "EPOLLEXCLUSIVE")]
    pub fn register_exclusive(
        &mut self,
        fd: Fd,
        interest: Interest,
        exclusive: ExclusiveTrigger,
        state: T,
    ) -> Result<Token, RegisterError<T>> {
        match EventMask::exclusive(interest, exclusive) {
            Ok(mask) => self.insert(fd, mask, state),
            Err(error) => {
                Err(RegisterError { kind: RegisterErrorKind::InvalidMask(error), fd, state })
            }
        }
    }

    fn insert(&mut self, fd: Fd, mask: EventMask, state: T) -> Result<Token, RegisterError<T>> {
        let Some(vacancy) = self.registrations.vacancy() else {
            return Err(RegisterError { kind: self.why_full(), fd, state });
        };
        let op = EpollOp::Add(EpollEvent::new(mask.bits(), vacancy.token().to_bits()));
        match retry_on_eintr(|| self.kernel.epoll_ctl(&self.shared.epoll, op, &fd)) {
            Ok(()) => {
                let watched = Watched { fd, mask: mask.bits() };
                Ok(vacancy.fill(Registration { watched, state }))
            }
            Err(errno) => Err(RegisterError { kind: RegisterErrorKind::Os(errno), fd, state }),
        }
    }

    /// A waker with which another thread can wake this reactor. Cost: two system calls the first
    /// time, none after that.
    ///
    /// # Errors
    /// [`CallError`]: [`Errno::EMFILE`], [`Errno::ENFILE`] of eventfd, [`Errno::ENOSPC`] of
    /// epoll_ctl, [`Errno::ENOMEM`] of both: out of descriptors, epoll watches or memory.
    ///
    /// Man page: eventfd(2)
    #[cfg(feature = "alloc")]
    #[doc(alias = "eventfd")]
    pub fn waker(&mut self) -> Result<Waker, CallError> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let fd =
            self.kernel.eventfd(0).map_err(|errno| CallError { call: Syscall::Eventfd, errno })?;
        let mask = EventMask::new(Interest::READABLE, Trigger::Edge);
        let op = EpollOp::Add(EpollEvent::new(mask.bits(), WAKER_DATA));
        if let Err(errno) = self.kernel.epoll_ctl(&self.shared.epoll, op, &fd) {
            close_quietly(&mut self.kernel, fd);
            return Err(CallError { call: Syscall::EpollCtl, errno });
        }
        let waker = Waker::new(fd);
        self.waker = Some(waker.clone());
        Ok(waker)
    }

    /// Why the slab has not taken a registration.
    pub(super) fn why_full(&self) -> RegisterErrorKind {
        let is_full = self.registrations.len() == self.registrations.len_max();
        if is_full { RegisterErrorKind::Full } else { RegisterErrorKind::Os(Errno::ENOMEM) }
    }

    /// Ends a registration and returns its descriptor and state; `None` for a stale token, and for
    /// a [timer](Self::add_timer), which stays. Its deadline is cancelled. Cost: one system call,
    /// O(log deadlines).
    ///
    /// The kernel is told *before* the descriptor is returned: a registration lives as long as
    /// any duplicate of its descriptor, and later no descriptor number would refer to it.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_DEL`
    pub fn deregister(&mut self, token: Token) -> Option<(Fd, T)> {
        let registration = self.registrations.get(token)?;
        if registration.watched.is_timer() {
            return None;
        }
        // This can only fail for a descriptor that is not registered; and if the call is denied,
        // whatever the kernel still reports is stale.
        let _ =
            self.kernel.epoll_ctl(&self.shared.epoll, EpollOp::Delete, &registration.watched.fd);
        let Registration { watched: Watched { fd, .. }, state } =
            self.registrations.remove(token)?;
        self.shared.timers.cancel(token.slot());
        Some((fd, state))
    }

    /// Ends a registration and closes its descriptor; `None` for a stale token. Cost: one
    /// system call, two for a level-triggered or an exclusive one, none for a timer; O(log
    /// deadlines).
    ///
    /// With the *last* duplicate of a descriptor the kernel drops the registration by itself. But
    /// a duplicate may exist that this process did not create on purpose: another thread's child
    /// process holds them all between fork and exec. The closed descriptor is then still
    /// reported: edge-triggered and one-shot as one stale event for each change of its state,
    /// which [`next`](Self::next) skips; level-triggered as one in every wait, for as long as the
    /// duplicate is open. So a level-triggered registration is deregistered before its descriptor
    /// is closed, and so is an exclusive one, which would take wake-ups from other epolls.
    ///
    /// Man page: close(2), epoll(7) (questions 6 and 7)
    pub fn close(&mut self, token: Token) -> Option<T> {
        let Registration { watched, state } = self.registrations.remove(token)?;
        self.shared.timers.cancel(token.slot());
        if watched.is_timer() {
            return Some(state);
        }
        let Watched { fd, mask } = watched;
        // An exclusive registration would continue to take wake-ups meant for other epolls.
        if mask & (EPOLLET | EPOLLONESHOT) == 0 || mask & EPOLLEXCLUSIVE != 0 {
            // Even if this fails the descriptor is closed; later reports of it are stale.
            let _ = self.kernel.epoll_ctl(&self.shared.epoll, EpollOp::Delete, &fd);
        }
        close_quietly(&mut self.kernel, fd);
        Some(state)
    }
}
