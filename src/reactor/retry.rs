//! The rule for interrupted calls.

use crate::errno::Errno;

/// How often a call is made that is interrupted each time. On a non-blocking descriptor even one
/// interruption is rare; the bound is for kernels that return `EINTR` endlessly.
const EINTR_CALLS_MAX: u32 = 16;

/// Repeats a call that a signal interrupted, up to [`EINTR_CALLS_MAX`] calls.
#[inline]
pub(crate) fn retry_on_eintr<R>(mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    repeat(EINTR_CALLS_MAX, &mut call)
}

/// As [`retry_on_eintr`], after a first call that was interrupted. Not inlined: this is rare.
#[cold]
#[inline(never)]
pub(crate) fn retry_after_eintr<R>(mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    repeat(EINTR_CALLS_MAX - 1, &mut call)
}

/// Makes at most `calls_max` calls. There is one place for the call, because it is inlined there.
#[inline(always)]
fn repeat<R>(calls_max: u32, call: &mut impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    let mut left = calls_max;
    loop {
        left -= 1;
        match call() {
            Err(errno) if errno.is_interrupted() && left > 0 => {}
            result => return result,
        }
    }
}
