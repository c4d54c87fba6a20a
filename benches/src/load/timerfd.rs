//! An timer clock: a descriptor that becomes readable when a set time comes. It knows no reactor.
//!
//! A wait with a timeout starts a timer of the kernel and stops it again, each time. Where answers
//! pace the load, the next deadline is far away and thousands of waits end before it: an timer is
//! set once for all of them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use epollite::{Errno, Instant};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::error::from_os;

/// The clock.
#[derive(Debug)]
pub(super) struct DeadlineTimer {
    timer: TimerFd,
    armed_at: Instant,
}

impl DeadlineTimer {
    /// One that is not set, and the descriptor to watch. Nothing need be read from that: each time
    /// it rings is an edge.
    pub(super) fn new() -> Result<(Self, OwnedFd), Errno> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(from_os)?;
        // No other error is possible.
        let watched = timer.as_fd().try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
        Ok((Self { timer, armed_at: Instant::MAX }, watched))
    }

    /// Has it ring at this time, and at no other. Work: one system call, or none if that is so
    /// already.
    ///
    /// A time that has rung is never to be asked for again: who waits looks at the clock in
    /// between, and the next deadline is later.
    pub(super) fn set(&mut self, rings: Instant) -> Result<(), Errno> {
        if rings == self.armed_at {
            return Ok(());
        }
        let time = TimeSpec::from_duration(Duration::from_nanos(rings.as_nanos()));
        self.timer
            .set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .map_err(from_os)?;
        self.armed_at = rings;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use epollite::{Kernel, Linux};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn it_rings_when_it_is_set_to_and_not_before() {
        let (mut timer, watched) = DeadlineTimer::new().expect("a timer");
        let rings_within = |wait: PollTimeout| {
            let mut fds = [PollFd::new(watched.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, wait).expect("it can be waited for") == 1
        };
        let now = Linux.now();
        timer.set(now + Duration::from_secs(3600)).expect("it can be set");
        assert!(!rings_within(PollTimeout::ZERO), "an hour is not over");
        timer.set(now).expect("it can be set again");
        assert!(rings_within(PollTimeout::NONE), "what is past rings at once");
        timer.set(now + Duration::from_secs(3600)).expect("it can be set again");
        assert!(!rings_within(PollTimeout::ZERO), "what has rung is silent when it is set");
    }
}
