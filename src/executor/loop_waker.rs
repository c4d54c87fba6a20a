//! Ends the wait of an executor when another thread has woken one of its tasks.
//!
//! Knows the reactor's waker, and neither tasks nor bits. A wake on the executor's own thread costs
//! a load: the executor is not waiting then.
//!
//! ```text
//!  executor                              another thread
//!    is_waiting = true                     sets the bit of a task
//!    a fence                               a fence
//!    is any bit set? then it polls         is_waiting? then it writes the eventfd
//! ```
//!
//! Whichever is first, one of the two sees what the other has written.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering, fence};

use crate::kernel::Kernel;
use crate::reactor::Waker;

/// Shared by an executor and the wakers of its tasks.
pub(super) struct LoopWaker {
    is_waiting: AtomicBool,
    /// `None` where the kernel cannot be called from another thread.
    remote: Option<Remote>,
}

/// The reactor's waker, and a call on a kernel of the other thread.
struct Remote {
    waker: Waker,
    wake: fn(&Waker),
}

impl LoopWaker {
    /// One that never ends a wait. Cost: O(1).
    pub(super) const fn local() -> Self {
        Self { is_waiting: AtomicBool::new(false), remote: None }
    }

    /// One that ends it through `waker`, on a kernel made for the call. Cost: O(1).
    pub(super) fn remote<K: Kernel + Default>(waker: Waker) -> Self {
        let wake: fn(&Waker) = |waker| {
            // It fails if the executor has gone: then there is nothing to wake.
            let _ = waker.wake(&mut K::default());
        };
        Self { is_waiting: AtomicBool::new(false), remote: Some(Remote { waker, wake }) }
    }

    /// The executor is about to wait. It must look for woken tasks after this, and not wait if
    /// there are any. Cost: O(1).
    pub(super) fn begin_wait(&self) {
        if self.remote.is_some() {
            self.is_waiting.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// The wait is over. Cost: O(1).
    pub(super) fn end_wait(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// A task was woken. Cost: O(1); a system call if that was on another thread while the
    /// executor waits.
    pub(super) fn notify(&self) {
        let Some(remote) = &self.remote else { return };
        fence(Ordering::SeqCst);
        if self.is_waiting.load(Ordering::Relaxed) && self.is_waiting.swap(false, Ordering::AcqRel)
        {
            (remote.wake)(&remote.waker);
        }
    }
}

impl fmt::Debug for LoopWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopWaker").field("is_waiting", &self.is_waiting).finish_non_exhaustive()
    }
}
