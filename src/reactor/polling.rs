//! Polling before a wait: what [`Reactor::set_spin`] turns on.
//!
//! Knows how to wait without blocking; how long to poll is decided in `spin.rs`.

use core::time::Duration;

use super::reactor::Reactor;
use super::spin::{Spin, SpinPolicy};
use super::storage::StorageOf;
use crate::errno::Errno;
use crate::kernel::{Decision, Kernel};

/// The shortest wait that is preceded by polling.
const SPIN_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// The longest time that is polled before one wait.
const SPIN_MAX: Duration = Duration::from_millis(10);

/// Polls before one wait, for a clock that stands still. A poll takes 170 ns or more: this is over
/// [`SPIN_MAX`].
const SPIN_POLLS_MAX: u32 = 1 << 16;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// Sets whether to poll before blocking. Without a call it is [`Spin::Off`]. Cost: O(1).
    ///
    /// It changes when events are reported, never which, and no deadline. One sooner than a
    /// millisecond is waited for without polling; before one wait it polls for about 10
    /// milliseconds at most.
    pub fn set_spin(&mut self, spin: Spin) {
        self.spin = SpinPolicy::new(spin);
        self.poll = if self.spin.is_off() { None } else { Some(Self::epoll_wait_polling) };
    }

    /// Polls before a wait, if that is long enough; polling is a part of it.
    #[inline(never)]
    fn epoll_wait_polling(&mut self, timeout: Option<Duration>) -> Result<usize, Errno> {
        if timeout.is_some_and(|timeout| timeout < SPIN_TIMEOUT_MIN) {
            return self.epoll_wait_now(timeout);
        }
        let Some(limit) = self.spin.limit() else { return self.epoll_wait_now(timeout) };
        let limit = timeout.map_or(limit, |timeout| limit.min(timeout)).min(SPIN_MAX);
        let began = self.kernel.now();
        let mut took = Duration::ZERO;
        for _ in 0..SPIN_POLLS_MAX {
            let count = self.epoll_wait_now(Some(Duration::ZERO))?;
            took = self.kernel.now() - began;
            if count > 0 {
                self.kernel.on_decision(Decision::Polled { has_found: true });
                self.spin.record(Some(took));
                return Ok(count);
            }
            if took >= limit {
                break;
            }
        }
        self.kernel.on_decision(Decision::Polled { has_found: false });
        self.spin.record(None);
        self.epoll_wait_now(timeout.map(|timeout| timeout.saturating_sub(took)))
    }
}
