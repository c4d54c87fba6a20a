//! A timer as a descriptor, which becomes readable when its deadline passes: timerfd_create(2). It
//! knows no reactor.
//!
//! A wait with a timeout starts and stops a kernel timer each time. In a closed loop the next
//! deadline is far away and thousands of waits return before it: a timerfd is set once for all of
//! them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use epollite::{Errno, Instant};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::error::from_os;

/// A timerfd on the monotonic clock.
#[derive(Debug)]
pub(super) struct DeadlineTimer {
    timer: TimerFd,
    armed_at: Instant,
}

impl DeadlineTimer {
    /// An unset timer, and the descriptor to register. The descriptor need not be read: each
    /// expiration is an edge.
    pub(super) fn new() -> Result<(Self, OwnedFd), Errno> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(from_os)?;
        // No other error is possible.
        let watched = timer.as_fd().try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
        Ok((Self { timer, armed_at: Instant::MAX }, watched))
    }

    /// Sets the deadline, replacing the previous one. Cost: one system call, or none if it is
    /// unchanged.
    ///
    /// A deadline that has expired must not be set again: the caller reads the clock after each
    /// wait, and the next deadline is later.
    pub(super) fn set(&mut self, deadline: Instant) -> Result<(), Errno> {
        if deadline == self.armed_at {
            return Ok(());
        }
        let time = TimeSpec::from_duration(Duration::from_nanos(deadline.as_nanos()));
        self.timer
            .set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .map_err(from_os)?;
        self.armed_at = deadline;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use epollite::{Kernel, Linux};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn it_expires_at_its_deadline_and_not_before() {
        let (mut timer, watched) = DeadlineTimer::new().expect("a timer");
        let expires_within = |wait: PollTimeout| {
            let mut fds = [PollFd::new(watched.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, wait).expect("it can be waited for") == 1
        };
        let now = Linux.now();
        timer.set(now + Duration::from_secs(3600)).expect("it can be set");
        assert!(!expires_within(PollTimeout::ZERO), "an hour is not over");
        timer.set(now).expect("it can be set again");
        assert!(expires_within(PollTimeout::NONE), "a past deadline expires at once");
        timer.set(now + Duration::from_secs(3600)).expect("it can be set again");
        assert!(!expires_within(PollTimeout::ZERO), "setting it again clears the expiration");
    }
}
