//! A kernel that injects faults: call n fails with errno e, once or persistently.
//!
//! Knows nothing of the caller, nor of which errors a call may return: [`Syscall::errnos`] does.
//! The method is SQLite's: fail call 0, then call 1, … until a run that no fault reached.

use crate::errno::Errno;
use crate::kernel::{Hooked, Syscall, SyscallHook};

/// A kernel that injects faults.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Errno, Kernel, Linux};
/// use epollite::instrument::{FaultInjector, FaultPlan};
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
