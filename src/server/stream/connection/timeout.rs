//! When a connection is closed for its inactivity, and how long it lingers.
//!
//! Knows times and the send queue; what has arrived has been read before.

use core::time::Duration;

use super::compact::{Rounded, hash_unsent, truncated_millis};
use super::{Connection, IDLE_TIMED_OUT, TimeoutStep};
use crate::echo::{State, Want};
use crate::instant::Instant;
use crate::server::stream::config::{CloseReason, StreamConfig};
use crate::server::stream::transport::Transport;

impl Connection {
    /// Records activity, in either direction, for the idle timeout. To be called after a step that
    /// was not [`Spurious`](super::Progress::Spurious), if there is an idle timeout. Cost: O(1).
    pub fn record_activity(&mut self, now: Instant) {
        self.last_active_millis = truncated_millis(now, Rounded::Up);
        if self.echo.state() == State::Open {
            self.unsent = 0;
        }
    }

    /// Whether the deadline that has passed is the timeout itself, not just a check. If so, call
    /// [`on_ready`](Self::on_ready) before [`on_timeout`](Self::on_timeout): data that arrived in
    /// time may not have been reported yet. Cost: O(1).
    #[must_use]
    pub fn is_due(&self, now: Instant, config: &StreamConfig) -> bool {
        let is_silent = |idle: Duration| u128::from(self.silent_millis(now)) >= idle.as_millis();
        self.echo.state() == State::Closing || config.idle_timeout.is_none_or(is_silent)
    }

    /// The deadline has passed, and everything that had arrived by `now` has been read: decides
    /// what is next. After the idle timeout the connection first begins to close, unless the peer
    /// does not read its data. Cost: at most one system call.
    ///
    /// That the peer reads is visible in the send queue only: Linux reports `EPOLLOUT` when a
    /// third of it is free, which may be megabytes. So while data is left there the queue is
    /// checked four times per idle timeout, and each change counts as activity; the first check
    /// counts too, since the previous length is not known.
    pub fn on_timeout<T: Transport>(
        &mut self,
        transport: &mut T,
        now: Instant,
        config: &StreamConfig,
    ) -> TimeoutStep {
        let Some(idle) = config.idle_timeout.filter(|_| self.echo.state() != State::Closing) else {
            return self.on_linger_timeout(transport, config);
        };
        let idle_millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut silent_millis = self.silent_millis(now);
        let mut check_millis = idle_millis;
        if silent_millis > 0 {
            let unsent = transport.unsent_bytes().saturating_add(self.buffered_bytes());
            let unsent = hash_unsent(unsent);
            if unsent != self.unsent {
                self.record_activity(now);
                silent_millis = 0;
            }
            self.unsent = unsent;
            if unsent != 0 {
                check_millis = (idle_millis / UNSENT_CHECKS_PER_IDLE).max(1);
            }
        }
        if silent_millis < idle_millis {
            let wait_millis = (idle_millis - silent_millis).min(check_millis);
            return TimeoutStep::Wait(Duration::from_millis(wait_millis));
        }
        self.set(IDLE_TIMED_OUT, true);
        if self.awaited() == Want::Write {
            self.explain_discard(transport);
            self.echo.timed_out();
            return TimeoutStep::Close(CloseReason::IdleTimeout);
        }
        self.echo.begin_close();
        TimeoutStep::BeginClose
    }

    /// This side has half-closed, and the peer has not closed in time. The connection stays open
    /// as long as the peer reads what was sent.
    fn on_linger_timeout<T: Transport>(
        &mut self,
        transport: &mut T,
        config: &StreamConfig,
    ) -> TimeoutStep {
        let unsent = hash_unsent(transport.unsent_bytes());
        if self.echo.state() == State::Closing && unsent != 0 && unsent != self.unsent {
            self.unsent = unsent;
            return TimeoutStep::Wait(config.linger_timeout);
        }
        self.explain_discard(transport);
        self.echo.timed_out();
        TimeoutStep::Close(if self.has_idle_timed_out() {
            CloseReason::IdleTimeout
        } else {
            CloseReason::DrainTimeout
        })
    }

    /// How long it has been inactive at `now`, which may be before its last activity: data that
    /// was read late had arrived in time.
    fn silent_millis(&self, now: Instant) -> u64 {
        /// More than any idle timeout, with as much room for activity later than `now`.
        const FUTURE_MILLIS: u32 = 3 << 30;
        let millis = truncated_millis(now, Rounded::Down).wrapping_sub(self.last_active_millis);
        if millis < FUTURE_MILLIS { u64::from(millis) } else { 0 }
    }
}

/// How often per idle timeout the send queue of an inactive connection is checked.
const UNSENT_CHECKS_PER_IDLE: u64 = 4;
