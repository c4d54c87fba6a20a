//! Process-wide state: signals, limits, the clock.

use core::mem::zeroed;
use core::ptr::from_ref;

use super::result::check_ok;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{Resource, Rlimit, Signal, SignalSet};

/// Every signal that a [`SignalSet`] can hold.
const SIGNALS: core::ops::RangeInclusive<i32> = 1..=64;

/// Converts a [`SignalSet`] to C's sigset_t, which is longer.
pub(super) fn sigset(signals: SignalSet) -> libc::sigset_t {
    // SAFETY: a zeroed sigset_t is a value of it: an array of integers.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    for number in SIGNALS {
        if signals.bits() >> (number - 1) & 1 == 1 {
            // SAFETY: sigaddset(3) writes one sigset_t at `set`, a local variable. (It rejects
            // the two signals that C libraries reserve for themselves, which is harmless.)
            unsafe { libc::sigaddset(&raw mut set, number) };
        }
    }
    set
}

pub(super) fn sigprocmask(signals: SignalSet) -> Result<SignalSet, Errno> {
    let set = sigset(signals);
    // SAFETY: a zeroed sigset_t is a value of it: an array of integers.
    let mut before: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: pthread_sigmask(3) reads one sigset_t at `set` and writes one at `before`; both
    // live until it returns, and it keeps no pointer.
    let errno = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
    // Unlike other calls it returns the error and does not set errno.
    if let Some(errno) = Errno::new(errno) {
        return Err(errno);
    }
    let mut old = SignalSet::EMPTY;
    for number in SIGNALS {
        // SAFETY: sigismember(3) reads one sigset_t at `before`, a local variable.
        let member = unsafe { libc::sigismember(&raw const before, number) };
        if member == 1
            && let Some(signal) = Signal::from_siginfo(&number.to_ne_bytes())
        {
            old = old | signal.into();
        }
    }
    Ok(old)
}

pub(super) fn prlimit(resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
    let Resource::Nofile = resource;
    let new = new.map(|limit| libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard });
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(core::ptr::null(), from_ref);
    // SAFETY: prlimit(2) on this process (pid 0) reads one rlimit at `new` unless it is null and
    // writes one at `old`; both live until it returns, and it keeps no pointer.
    check_ok(unsafe { libc::prlimit64(0, libc::RLIMIT_NOFILE, new, &raw mut old) })?;
    Ok(Rlimit { soft: old.rlim_cur, hard: old.rlim_max })
}

pub(super) fn now() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes one timespec at `time`, which lives until it returns.
    // CLOCK_MONOTONIC always exists, so that it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // Monotonic time begins at boot: neither half is negative, and 64 bits of nanoseconds
    // last for 584 years.
    #[expect(clippy::cast_sign_loss, reason = "time since boot")]
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
