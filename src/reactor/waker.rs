//! Waking a reactor from another thread, with at most one system call per wake.
//!
//! Knows an eventfd and two words of shared memory. The eventfd is registered edge-triggered and
//! never read: each write is an edge, read or not.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::retry::retry_on_eintr;
use crate::errno::Errno;
use crate::kernel::close_quietly;
use crate::kernel::{Fd, Kernel};

/// Wakes the reactor that created it; may be cloned, sent and used from any thread, and
/// [`wake`](Self::wake) from a signal handler.
///
/// It carries no data: put that in a queue of your own *before* the wake, and drain the queue on
/// [`Event::Woken`](crate::Event::Woken). Wakes before the reactor has returned it are merged.
///
/// The call is made on a kernel of the caller's, since the reactor's own is in use:
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use epollite::{Event, Linux, Reactor};
/// let mut reactor = Reactor::<()>::new()?;
/// let waker = reactor.waker()?;
/// let thread = std::thread::spawn(move || waker.wake(&mut Linux));
/// assert_eq!(reactor.next(None)?, Some(Event::Woken));
/// thread.join().unwrap()
/// # }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    eventfd: Fd,
    /// A wake is pending that the reactor has not returned yet.
    pending: AtomicBool,
    /// How many threads are about to write, and [`CLOSED`]. The thread that decrements it to
    /// `CLOSED` is the last that can reach the eventfd, and closes it.
    writers: AtomicU32,
}

/// The reactor has been dropped: no further thread may write.
const CLOSED: u32 = 1 << 31;

impl Waker {
    pub(super) fn new(eventfd: Fd) -> Self {
        let (pending, writers) = (AtomicBool::new(false), AtomicU32::new(0));
        Self(Arc::new(Shared { eventfd, pending, writers }))
    }

    /// Makes the reactor's [`next`](crate::Reactor::next) return `Woken`. Cost: one system call,
    /// none when a wake is already pending. (Three once in 2⁶⁴ wakes, when the counter is full.)
    ///
    /// # Errors
    /// * [`Errno::EPIPE`]: the reactor has been dropped.
    ///
    /// Man page: eventfd(2)
    pub fn wake<K: Kernel>(&self, kernel: &mut K) -> Result<(), Errno> {
        let shared = &*self.0;
        // Checked first: after the reactor is dropped a pending wake stays pending.
        if shared.writers.load(Ordering::Acquire) & CLOSED != 0 {
            return Err(Errno::EPIPE);
        }
        if shared.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let enter = |writers| {
            if writers & CLOSED == 0 { Some(writers + 1) } else { None }
        };
        if shared.writers.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
            return Err(Errno::EPIPE);
        }
        let written = write_eventfd(kernel, &shared.eventfd);
        if written.is_err() {
            shared.pending.store(false, Ordering::Release);
        }
        if shared.writers.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            shared.close(kernel);
        }
        written
    }

    pub(super) fn eventfd(&self) -> &Fd {
        &self.0.eventfd
    }

    /// Clears the pending flag, so that the next `wake` writes the eventfd again. Must be called
    /// before the user drains the queue; otherwise an item pushed in between causes no wake-up.
    pub(super) fn acknowledge(&self) {
        self.0.pending.swap(false, Ordering::AcqRel);
    }

    /// Called when the reactor is dropped. Closes the eventfd, or leaves that to the last writer.
    pub(super) fn close<K: Kernel>(self, kernel: &mut K) {
        if self.0.writers.fetch_or(CLOSED, Ordering::AcqRel) == 0 {
            self.0.close(kernel);
        }
    }
}

impl Shared {
    /// Called by exactly one thread, once, when no thread can write any more.
    fn close<K: Kernel>(&self, kernel: &mut K) {
        close_quietly(kernel, Fd::from_raw(self.eventfd.raw()));
    }
}

/// Adds one to the counter. A full one is read first: only then does a write make an edge.
fn write_eventfd<K: Kernel>(kernel: &mut K, eventfd: &Fd) -> Result<(), Errno> {
    let one = 1u64.to_ne_bytes();
    match retry_on_eintr(|| kernel.write(eventfd, &one)) {
        Err(errno) if errno.is_would_block() => {
            retry_on_eintr(|| kernel.read(eventfd, &mut [0; 8]))?;
            retry_on_eintr(|| kernel.write(eventfd, &one)).map(drop)
        }
        written => written.map(drop),
    }
}
