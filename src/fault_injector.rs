//! A kernel that injects faults: call n fails with errno e, once or persistently.
//!
//! Knows which errnos a call's man page allows, and nothing of the caller. The method is SQLite's:
//! fail call 0, then call 1, … until a run that no fault reached.

use crate::errno::Errno;
use crate::kernel::{Hooked, Syscall, SyscallHook};

/// A kernel that injects faults.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Errno, FaultInjector, FaultPlan, Kernel, Linux};
/// let mut kernel = FaultInjector::new(Linux, FaultPlan::once(1, Errno::EMFILE));
/// let first = kernel.eventfd(0).unwrap();             // call 0
/// assert_eq!(kernel.eventfd(0), Err(Errno::EMFILE));  // call 1
/// let third = kernel.eventfd(0).unwrap();             // call 2
/// assert!(kernel.hook.has_fired());
/// # kernel.close(first).unwrap(); kernel.close(third).unwrap();
/// # }
/// ```
pub type FaultInjector<K> = Hooked<K, FaultPlan>;

impl<K> FaultInjector<K> {
    /// Wraps `kernel`, with faults as planned. Cost: O(1).
    pub const fn new(kernel: K, faults: FaultPlan) -> Self {
        Self { kernel, hook: faults }
    }
}

/// Which call fails, with which errno, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultPlan {
    nth: u64,
    errno: Errno,
    persistent: bool,
    only: Option<Syscall>,
    calls: u64,
    fired: u64,
}

impl FaultPlan {
    /// Call number `nth`, from 0, fails with `errno`; no other does. Cost: O(1).
    #[must_use]
    pub const fn once(nth: u64, errno: Errno) -> Self {
        Self { nth, errno, persistent: false, only: None, calls: 0, fired: 0 }
    }

    /// Call number `nth`, from 0, and every later one fails with `errno`. Cost: O(1).
    #[must_use]
    pub const fn persistent(nth: u64, errno: Errno) -> Self {
        Self { persistent: true, ..Self::once(nth, errno) }
    }

    /// Counts and fails only this system call. Cost: O(1).
    #[must_use]
    pub const fn for_syscall(self, call: Syscall) -> Self {
        Self { only: Some(call), ..self }
    }

    /// Whether all calls from some point on fail. Cost: O(1).
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether any call has failed by this plan. Cost: O(1).
    #[must_use]
    pub const fn has_fired(&self) -> bool {
        self.fired > 0
    }

    /// How many calls have failed by this plan. Cost: O(1).
    #[must_use]
    pub const fn fired(&self) -> u64 {
        self.fired
    }

    /// How many calls have been counted. Cost: O(1).
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// The errors with which a correct call may fail: because of the network, other processes,
    /// signals or lack of resources. `EAGAIN` is not among them: it is a statement about the
    /// descriptor, and a false one breaks edge triggering.
    /// Cost: O(1).
    #[must_use]
    pub const fn errnos_for(call: Syscall) -> &'static [Errno] {
        type E = Errno;
        match call {
            Syscall::Socket | Syscall::Socketpair => {
                &[E::EMFILE, E::ENFILE, E::ENOBUFS, E::ENOMEM, E::EACCES, E::EAFNOSUPPORT]
            }
            Syscall::Bind => &[E::EADDRINUSE, E::EACCES, E::EADDRNOTAVAIL, E::ENOMEM],
            Syscall::Listen => &[E::EADDRINUSE],
            Syscall::Accept4 => &[
                E::EINTR,
                E::EMFILE,
                E::ENFILE,
                E::ENOBUFS,
                E::ENOMEM,
                E::ECONNABORTED,
                E::EPROTO,
                E::EPERM,
                E::ENETDOWN,
                E::EHOSTUNREACH,
                E::ENETUNREACH,
                E::ETIMEDOUT,
            ],
            Syscall::Connect => {
                &[E::EINTR, E::ECONNREFUSED, E::ENETUNREACH, E::ETIMEDOUT, E::EADDRNOTAVAIL]
            }
            Syscall::Getsockname | Syscall::Getpeername => &[E::ENOBUFS, E::ENOTCONN],
            Syscall::Setsockopt | Syscall::Getsockopt => &[E::ENOMEM, E::ENOPROTOOPT],
            Syscall::Recv | Syscall::Recvfrom | Syscall::Recvmmsg | Syscall::Recvmsg => &[
                E::EINTR,
                E::ECONNRESET,
                E::ECONNREFUSED,
                E::ETIMEDOUT,
                E::EHOSTUNREACH,
                E::ENOMEM,
                E::ENOBUFS,
            ],
            Syscall::Send | Syscall::Sendto | Syscall::Sendmmsg | Syscall::Sendmsg => &[
                E::EINTR,
                E::ECONNRESET,
                E::EPIPE,
                E::ETIMEDOUT,
                E::EHOSTUNREACH,
                E::ENETUNREACH,
                E::EPERM,
                E::ENOMEM,
                E::ENOBUFS,
                E::EMSGSIZE,
            ],
            // A sandbox that does not permit the request.
            Syscall::Ioctl => &[E::EPERM, E::ENOSYS],
            Syscall::Shutdown => &[E::ENOTCONN],
            Syscall::Read | Syscall::Write | Syscall::Splice => &[E::EINTR, E::EIO, E::ENOMEM],
            Syscall::Pipe2 | Syscall::Eventfd | Syscall::Signalfd | Syscall::Dup => {
                &[E::EMFILE, E::ENFILE, E::ENOMEM]
            }
            Syscall::Sigprocmask => &[],
            Syscall::Close => &[E::EINTR, E::EIO],
            Syscall::EpollCreate1 => &[E::EMFILE, E::ENFILE, E::ENOMEM],
            Syscall::EpollCtl => &[E::ENOMEM, E::ENOSPC],
            Syscall::EpollWait => &[E::EINTR],
            Syscall::EpollPwait2 => &[E::EINTR, E::ENOSYS],
            Syscall::Prlimit => &[E::EPERM],
            // No kernel of this crate makes these calls.
            Syscall::Poll | Syscall::Select | Syscall::Fork | Syscall::Waitpid | Syscall::Kill => {
                &[]
            }
        }
    }
}

impl SyscallHook for FaultPlan {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        if self.only.is_some_and(|only| only != call) {
            return Ok(());
        }
        let number = self.calls;
        self.calls += 1;
        let fails = if self.persistent { number >= self.nth } else { number == self.nth };
        if fails {
            self.fired += 1;
            return Err(self.errno);
        }
        Ok(())
    }

    fn on_exit(&mut self, _: Syscall, _: Option<Errno>) {}
}
