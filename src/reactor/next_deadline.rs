//! How long a loop around the reactor may wait for it.
//!
//! Knows deadlines and what is left of a round, and makes no system call.

use super::reactor::Reactor;
use super::storage::StorageOf;
use crate::instant::Instant;
use crate::kernel::Kernel;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// When [`next`](Self::next) has something to report at the latest, besides what makes the
    /// epoll readable; `None` without a deadline. [`Instant::ZERO`], which has passed, if it has
    /// something now: events that were not taken, or requeued registrations. Cost: O(1).
    ///
    /// For another loop that waits for the reactor's descriptor, which is readable for events of
    /// the kernel only: take events until there is none, then wait until this time.
    ///
    /// ```
    /// # fn main() -> Result<(), epollite::Errno> {
    /// use core::time::Duration;
    /// use epollite::sim::Sim;
    /// use epollite::{Kernel, Reactor};
    /// let mut reactor = Reactor::with_kernel(Sim::default())?;
    /// assert_eq!(reactor.next_deadline(), None);
    /// let deadline = reactor.kernel().now() + Duration::from_secs(1);
    /// reactor.add_timer(deadline, ()).unwrap();
    /// assert_eq!(reactor.next_deadline(), Some(deadline));
    /// # Ok(()) }
    /// ```
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.has_next() || !self.shared.requeued.is_empty() {
            return Some(Instant::ZERO);
        }
        self.shared.timers.next_deadline()
    }
}
