//! Coming and going: how a descriptor becomes a registration, and a descriptor again.
//!
//! Knows the slab and epoll_ctl(2); waiting is somebody else's affair.

use core::fmt;

use super::{Reactor, Registration, patiently};
use crate::errno::Errno;
use crate::event::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, Exclusive, Interest, Refusal, Trigger, Watch,
};
use crate::kernel::release;
use crate::kernel::{Control, EpollEvent, Fd, Kernel};
use crate::slab::Full;
use crate::token::Token;

/// Why a registration or a change of one did not come to be.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// `registrations_max` are here already.
    Full,
    /// A mix that Linux does not take; no call was made.
    Mix(Refusal),
    /// epoll_ctl(2) said no.
    Kernel(Errno),
}

/// A registration that did not come to be: everything is handed back.
#[must_use = "the descriptor is yours again: close it or keep it"]
pub struct Refused<T> {
    /// Why.
    pub reason: Reason,
    /// Open, and not registered.
    pub fd: Fd,
    /// As it was given.
    pub state: T,
}

impl<T, K: Kernel> Reactor<T, K> {
    /// Takes `fd` over and waits on it. Work: one system call, O(1).
    ///
    /// It must be non-blocking, as all that a [`Kernel`] makes is; one from elsewhere
    /// (`set_nonblocking`) that is not stops the whole loop at the first call that waits.
    ///
    /// In edge mode what is ready already is reported once, as if it had just arrived.
    ///
    /// # Errors
    /// [`Refused`], with the descriptor and the state: the reactor is full, or epoll_ctl(2)
    /// said no ([`Errno::EPERM`]: a regular file; [`Errno::EEXIST`], [`Errno::ENOSPC`],
    /// [`Errno::ENOMEM`]).
    ///
    /// Man page: epoll_ctl(2)
    #[doc(alias = "epoll_ctl")]
    pub fn register(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, Refused<T>> {
        self.add(fd, Watch::new(interest, trigger), state)
    }

    /// As [`register`](Self::register), and closes `fd` when it is refused: for those who
    /// would do the same. Work: one or two system calls, O(1).
    ///
    /// # Errors
    /// As [`register`](Self::register), without what is closed.
    pub fn register_or_close(
        &mut self,
        fd: Fd,
        interest: Interest,
        trigger: Trigger,
        state: T,
    ) -> Result<Token, Reason> {
        self.register(fd, interest, trigger, state).map_err(|refused| {
            release(&mut self.kernel, refused.fd);
            refused.reason
        })
    }

    /// Takes `fd` over, shared with other epolls: of those who watch it exclusively one or
    /// some are woken, not all. Work: one system call, O(1).
    ///
    /// # Errors
    /// As [`register`](Self::register); and [`Refusal::ExclusiveInterest`] for an interest
    /// that Linux does not take here.
    ///
    /// Man page: epoll_ctl(2), `EPOLLEXCLUSIVE`
    #[doc(alias = "EPOLLEXCLUSIVE")]
    pub fn register_exclusive(
        &mut self,
        fd: Fd,
        interest: Interest,
        exclusive: Exclusive,
        state: T,
    ) -> Result<Token, Refused<T>> {
        match Watch::exclusive(interest, exclusive) {
            Ok(watch) => self.add(fd, watch, state),
            Err(refusal) => Err(Refused { reason: Reason::Mix(refusal), fd, state }),
        }
    }

    fn add(&mut self, fd: Fd, watch: Watch, state: T) -> Result<Token, Refused<T>> {
        let registration = Registration { fd, watch: watch.bits(), state };
        let token = match self.registrations.insert(registration) {
            Ok(token) => token,
            Err(Full(Registration { fd, state, .. })) => {
                return Err(Refused { reason: Reason::Full, fd, state });
            }
        };
        let Some(registration) = self.registrations.get(token) else {
            unreachable!("it was inserted just now")
        };
        let control = Control::Add(EpollEvent::new(watch.bits(), token.to_bits()));
        match patiently(|| self.kernel.epoll_ctl(&self.epoll, control, &registration.fd)) {
            Ok(()) => Ok(token),
            Err(errno) => {
                let Some(Registration { fd, state, .. }) = self.registrations.remove(token) else {
                    unreachable!("it was found just now")
                };
                Err(Refused { reason: Reason::Kernel(errno), fd, state })
            }
        }
    }

    /// Ends a registration and hands everything back; `None` for a stale token. Its deadline
    /// is taken back too. Work: one system call, O(log deadlines).
    ///
    /// The kernel is told *before* the descriptor changes hands: a registration lives as long
    /// as any duplicate of its descriptor, and afterwards nobody could name it any more.
    ///
    /// Man page: epoll_ctl(2), `EPOLL_CTL_DEL`
    pub fn deregister(&mut self, token: Token) -> Option<(Fd, T)> {
        let registration = self.registrations.get(token)?;
        // It can only fail for a descriptor that is not registered; and if a kernel refuses
        // all the same, what it still reports is stale.
        let _ = self.kernel.epoll_ctl(&self.epoll, Control::Delete, &registration.fd);
        let Registration { fd, state, .. } = self.registrations.remove(token)?;
        self.timers.cancel(token.slot());
        Some((fd, state))
    }

    /// Ends a registration and closes its descriptor; `None` for a stale token. Work: one
    /// system call, two for a level-triggered or an exclusive one, O(log deadlines).
    ///
    /// With the *last* duplicate of a descriptor the kernel forgets the registration by itself.
    /// But a duplicate may live that nobody here made: another thread's child process has them
    /// all between its fork and its exec. What is closed then goes on being reported. In edge
    /// and one-shot mode that is one stale event for each thing that happens to it, which
    /// [`next`](Self::next) skips; in level mode it is one in every wait, for as long as the
    /// duplicate lives. So a level-triggered registration is deregistered before its descriptor
    /// is closed, and so is an exclusive one, which would take wake-ups from other epolls.
    ///
    /// Man page: close(2), epoll(7) (questions 6 and 7)
    pub fn close(&mut self, token: Token) -> Option<T> {
        let Registration { fd, state, watch } = self.registrations.remove(token)?;
        self.timers.cancel(token.slot());
        // One that is exclusive would go on taking wake-ups that are meant for other epolls.
        if watch & (EPOLLET | EPOLLONESHOT) == 0 || watch & EPOLLEXCLUSIVE != 0 {
            // Refused or not, the descriptor goes; what is reported of it after that is stale.
            let _ = self.kernel.epoll_ctl(&self.epoll, Control::Delete, &fd);
        }
        release(&mut self.kernel, fd);
        Some(state)
    }
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({:?}, {:?})", self.reason, self.fd)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the reactor is full"),
            Self::Mix(refusal) => refusal.fmt(f),
            Self::Kernel(errno) => errno.fmt(f),
        }
    }
}

impl core::error::Error for Reason {}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

/// For those who pass an errno on: `ENOSPC` is the honest word for a full reactor, as it is
/// for a full epoll, and `EINVAL` what Linux says to a mix it does not take.
impl From<Reason> for Errno {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Full => Self::ENOSPC,
            Reason::Mix(_) => Self::EINVAL,
            Reason::Kernel(errno) => errno,
        }
    }
}
