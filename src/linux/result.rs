//! Converts C's return values: -1 and errno become `Err`.
//!
//! Knows no particular call.

use crate::errno::Errno;
use crate::kernel::Fd;

/// As [`last_errno`], not inlined into every call.
#[cold]
#[inline(never)]
fn last_errno_outlined() -> Errno {
    last_errno()
}

/// The errno of this thread's last call.
#[cold]
fn last_errno() -> Errno {
    // SAFETY: __errno_location(3) takes nothing and touches nothing; it returns the address
    // of this thread's errno, valid as long as the thread lives.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: reads the `int` there; the address was just returned to this thread, and only this
    // thread writes to it.
    let number = unsafe { *location };
    Errno::new(number).unwrap_or(Errno::EIO)
}

/// For calls that return a number of bytes or of things.
#[inline(always)]
pub(super) fn check_count(returned: isize) -> Result<usize, Errno> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned.cast_unsigned()) }
}

/// As [`check_count`], for calls that count in `int`.
#[inline(always)]
pub(super) fn check_int_count(returned: i32) -> Result<usize, Errno> {
    check_count(returned as isize)
}

/// For calls that return nothing but success.
#[inline]
pub(super) fn check_ok(returned: i32) -> Result<(), Errno> {
    if returned < 0 { Err(last_errno_outlined()) } else { Ok(()) }
}

/// For calls that return a new descriptor, owned by the caller from here on.
#[inline]
pub(super) fn check_fd(returned: i32) -> Result<Fd, Errno> {
    if returned < 0 { Err(last_errno_outlined()) } else { Ok(Fd::from_raw(returned)) }
}
