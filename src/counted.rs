//! A kernel that counts its calls, kind by kind.
//!
//! Knows nothing of what the calls do. An `strace` would count too, but it slows the process
//! so much that an edge-triggered server makes fewer calls under it: this one counts from
//! within, for the price of an increment.

use crate::errno::Errno;
use crate::kernel::{Call, Tap, Tapped};

/// How often each call was made, and how it went.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Call, Counted, Kernel, Linux};
/// let mut kernel = Counted::over(Linux);
/// let eventfd = kernel.eventfd(0).unwrap();
/// kernel.read(&eventfd, &mut [0; 8]).unwrap_err();
/// kernel.close(eventfd).unwrap();
/// assert_eq!((kernel.tap.calls(Call::Read), kernel.tap.would_block(Call::Read)), (1, 1));
/// assert_eq!(kernel.tap.total(), 3);
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    calls: [u64; Call::ALL.len()],
    errors: [u64; Call::ALL.len()],
    would_block: [u64; Call::ALL.len()],
}

/// A kernel that counts its calls.
pub type Counted<K> = Tapped<K, Counts>;

impl<K> Counted<K> {
    /// `kernel`, counted from now on. Work: O(1).
    pub const fn over(kernel: K) -> Self {
        Self { kernel, tap: Counts::ZERO }
    }
}

impl Counts {
    /// Nothing counted yet.
    pub const ZERO: Self = Self {
        calls: [0; Call::ALL.len()],
        errors: [0; Call::ALL.len()],
        would_block: [0; Call::ALL.len()],
    };

    /// How often `call` was made. Work: O(1).
    #[must_use]
    pub const fn calls(&self, call: Call) -> u64 {
        self.calls[call as usize]
    }

    /// How often it failed, `EAGAIN` apart. Work: O(1).
    #[must_use]
    pub const fn errors(&self, call: Call) -> u64 {
        self.errors[call as usize]
    }

    /// How often it said `EAGAIN`. Work: O(1).
    #[must_use]
    pub const fn would_block(&self, call: Call) -> u64 {
        self.would_block[call as usize]
    }

    /// All calls together. Work: one pass over the kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// How often `call` was made, failed, and said `EAGAIN`: to be told to another process.
    /// Work: O(1).
    #[must_use]
    pub const fn row(&self, call: Call) -> [u64; 3] {
        [self.calls(call), self.errors(call), self.would_block(call)]
    }

    /// Adds such a row. Work: O(1).
    pub const fn add_row(&mut self, call: Call, [calls, errors, would_block]: [u64; 3]) {
        self.calls[call as usize] += calls;
        self.errors[call as usize] += errors;
        self.would_block[call as usize] += would_block;
    }

    /// Adds what another thread counted. Work: one pass over the kinds.
    pub fn add(&mut self, other: &Self) {
        let ours = [&mut self.calls, &mut self.errors, &mut self.would_block];
        let theirs = [&other.calls, &other.errors, &other.would_block];
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            for (sum, more) in ours.iter_mut().zip(theirs) {
                *sum += more;
            }
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Tap for Counts {
    #[inline]
    fn leave(&mut self, call: Call, error: Option<Errno>) {
        self.calls[call as usize] += 1;
        match error {
            None => {}
            Some(errno) if errno.would_block() => self.would_block[call as usize] += 1,
            Some(_) => self.errors[call as usize] += 1,
        }
    }
}
