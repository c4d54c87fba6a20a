//! `Notify`: one task tells others that something has changed.
//!
//! Knows no data: the change itself is in a variable that the tasks share.

use core::fmt;

use super::wait_queue::WaitQueue;

/// Wakes tasks of the same thread that wait for a change.
///
/// A notification that no task waits for is kept for the next that does, so that none is lost
/// between looking and waiting; several are one.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use epollite::executor::{Executor, Notify};
///
/// let mut executor = Executor::new()?;
/// let (count, changed) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
/// let (its_count, its_changed) = (Rc::clone(&count), Rc::clone(&changed));
/// let task = executor.handle().spawn(async move {
///     while its_count.get() < 3 {
///         its_changed.notified().await;
///     }
///     its_count.get()
/// });
/// let handle = executor.handle();
/// let seen = executor.block_on(async {
///     for _ in 0..3 {
///         count.set(count.get() + 1);
///         changed.notify_one();
///         handle.yield_now().await;
///     }
///     task.await
/// })?;
/// assert_eq!(seen, Ok(3));
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
pub struct Notify(WaitQueue);

impl Notify {
    /// No notification is kept. Cost: O(1).
    #[must_use]
    pub const fn new() -> Self {
        Self(WaitQueue::new(0, 1))
    }

    /// Waits for a notification. Cost: O(1), an allocation where many wait at once.
    ///
    /// Cancel-safe: dropped after it was notified and before it completed, it passes the
    /// notification on.
    pub async fn notified(&self) {
        self.0.acquire().await;
    }

    /// Wakes the task that has waited longest, or the next that waits. Cost: O(1).
    pub fn notify_one(&self) {
        self.0.release();
    }

    /// Wakes every task that waits now; nothing is kept. Cost: O(tasks).
    pub fn notify_all(&self) {
        self.0.release_all();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
