//! A kernel that counts its system calls, per call.
//!
//! Knows nothing of what the calls do. `strace` counts too, but it slows the process so much that
//! an edge-triggered server makes fewer calls under it: this one counts inside the process, at the
//! cost of an increment.

use crate::errno::Errno;
use crate::kernel::{Hooked, Syscall, SyscallHook};

/// How often each call was made, and its outcomes.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Kernel, Linux};
/// use epollite::instrument::CallCounter;
/// use epollite::kernel::Syscall;
/// let mut kernel = CallCounter::new(Linux);
/// let eventfd = kernel.eventfd(0).unwrap();
/// kernel.read(&eventfd, &mut [0; 8]).unwrap_err();
/// kernel.close(eventfd).unwrap();
/// let counts = &kernel.hook;
/// assert_eq!((counts.calls(Syscall::Read), counts.would_block(Syscall::Read)), (1, 1));
/// assert_eq!(counts.total(), 3);
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallCounts {
    calls: [u64; Syscall::ALL.len()],
    errors: [u64; Syscall::ALL.len()],
    would_block: [u64; Syscall::ALL.len()],
}

/// A kernel that counts its calls.
pub type CallCounter<K> = Hooked<K, CallCounts>;

impl<K> CallCounter<K> {
    /// Wraps `kernel` with all counters at zero. Cost: O(1).
    pub const fn new(kernel: K) -> Self {
        Self { kernel, hook: CallCounts::ZERO }
    }
}

impl CallCounts {
    /// All counters at zero.
    pub const ZERO: Self = Self {
        calls: [0; Syscall::ALL.len()],
        errors: [0; Syscall::ALL.len()],
        would_block: [0; Syscall::ALL.len()],
    };

    /// How often `call` was made. Cost: O(1).
    #[must_use]
    pub const fn calls(&self, call: Syscall) -> u64 {
        self.calls[call as usize]
    }

    /// How often it failed, other than with `EAGAIN`. Cost: O(1).
    #[must_use]
    pub const fn errors(&self, call: Syscall) -> u64 {
        self.errors[call as usize]
    }

    /// How often it returned `EAGAIN`. Cost: O(1).
    #[must_use]
    pub const fn would_block(&self, call: Syscall) -> u64 {
        self.would_block[call as usize]
    }

    /// The sum over all calls. Cost: one pass over the calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// Adds another thread's counters. Cost: one pass over the calls.
    pub fn add(&mut self, other: &Self) {
        let own = [&mut self.calls, &mut self.errors, &mut self.would_block];
        let other = [&other.calls, &other.errors, &other.would_block];
        for (own, other) in own.into_iter().zip(other) {
            for (sum, count) in own.iter_mut().zip(other) {
                *sum += count;
            }
        }
    }
}

impl Default for CallCounts {
    fn default() -> Self {
        Self::ZERO
    }
}

impl SyscallHook for CallCounts {
    #[inline]
    fn on_exit(&mut self, call: Syscall, error: Option<Errno>) {
        self.calls[call as usize] += 1;
        match error {
            None => {}
            Some(errno) if errno.is_would_block() => self.would_block[call as usize] += 1,
            Some(_) => self.errors[call as usize] += 1,
        }
    }
}
