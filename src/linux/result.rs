//! From C's return values to ours: -1 and errno become `Err`.
//!
//! Knows no call in particular.

use crate::errno::Errno;
use crate::kernel::Fd;

/// Why the last call of this thread failed.
fn last() -> Errno {
    // SAFETY: __errno_location(3) takes nothing and touches nothing; it returns the address
    // of this thread's errno, valid as long as the thread lives.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: reads the `int` there; the address was just given to this very thread, and only
    // this thread writes to it.
    let number = unsafe { *place };
    Errno::new(number).unwrap_or(Errno::EIO)
}

/// For calls that return a number of bytes or of things.
#[inline]
pub(super) fn count(returned: isize) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| last())
}

/// As [`count`], for calls that count in `int`.
#[inline]
pub(super) fn small_count(returned: i32) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| last())
}

/// For calls that return nothing but success.
#[inline]
pub(super) fn done(returned: i32) -> Result<(), Errno> {
    if returned < 0 { Err(last()) } else { Ok(()) }
}

/// For calls that make a descriptor, which is ours from here on.
#[inline]
pub(super) fn made(returned: i32) -> Result<Fd, Errno> {
    if returned < 0 { Err(last()) } else { Ok(Fd::from_raw(returned)) }
}
