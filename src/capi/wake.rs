//! A wake-up by an eventfd, from any thread or signal handler. Knows no reactor: the eventfd
//! is the caller's.
//!
//! Not the library's [`Waker`](crate::reactor::Waker), whose count of owners needs memory of its
//! own: a program in C says itself when the reactor ends.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::errno::Errno;
use crate::kernel::{Fd, Kernel};
use crate::linux::Linux;
use crate::reactor::retry::retry_on_eintr;

/// What a wake-up needs; all of it may be used by several threads at once.
#[derive(Debug)]
pub(super) struct Wake {
    /// Negative until wake-ups are enabled. Owned by the reactor, where it is registered.
    eventfd: AtomicI32,
    /// A wake-up was requested, and has not been reported yet.
    is_pending: AtomicBool,
}

impl Wake {
    pub(super) const fn new() -> Self {
        Self { eventfd: AtomicI32::new(-1), is_pending: AtomicBool::new(false) }
    }

    /// Makes wake-ups possible, by an eventfd that is registered edge-triggered.
    pub(super) fn enable(&self, eventfd: c_int) {
        self.eventfd.store(eventfd, Ordering::Release);
    }

    /// A wake-up is about to be reported: from now on another one makes another event. Must come
    /// before the caller looks into its queue.
    pub(super) fn acknowledge(&self) {
        self.is_pending.swap(false, Ordering::AcqRel);
    }

    /// Adds one to the eventfd, unless that is done already. `ENOENT` if it is not enabled.
    pub(super) fn wake(&self) -> Result<(), Errno> {
        let eventfd = self.eventfd.load(Ordering::Acquire);
        if eventfd < 0 {
            return Err(Errno::ENOENT);
        }
        if self.is_pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let fd = Fd::from_raw(eventfd);
        let written = retry_on_eintr(|| Linux.write(&fd, &1_u64.to_ne_bytes()));
        if written.is_err() {
            self.is_pending.store(false, Ordering::Release);
        }
        written.map(drop)
    }
}
