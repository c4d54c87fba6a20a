//! Waiting with a deadline: for a descriptor to be ready, for a condition to hold. It knows no
//! server.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::failure::{Checked, Local, Stop};
use crate::interrupt;

/// A wait is cut into pieces of this length, so that a signal ends it.
const SLICE: Duration = Duration::from_millis(100);

/// Between two looks at a condition that cannot be waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until one of the events is reported; false when the deadline has passed.
pub(super) fn ready(fd: impl AsFd, events: PollFlags, deadline: Instant) -> Checked<bool> {
    loop {
        check_interrupt()?;
        let rest = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(rest.min(SLICE)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(fd.as_fd(), events)], timeout) {
            Ok(0) if rest.is_zero() => return Ok(false),
            // A rest of less than a millisecond is rounded down to none.
            Ok(0) => thread::sleep(rest.min(Duration::from_micros(100))),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).local("poll"),
        }
    }
}

/// Looks until the condition holds; false when the deadline has passed.
pub(super) fn until(deadline: Instant, mut holds: impl FnMut() -> bool) -> Checked<bool> {
    loop {
        if holds() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        pause(LOOK)?;
    }
}

/// Lets time pass: silence that belongs to a case.
pub(super) fn pause(time: Duration) -> Checked {
    let end = Instant::now() + time;
    loop {
        check_interrupt()?;
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        thread::sleep(rest.min(SLICE));
    }
}

fn check_interrupt() -> Checked {
    if interrupt::is_interrupted() { Err(Stop::Interrupted) } else { Ok(()) }
}
