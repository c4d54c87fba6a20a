//! The rule for interrupted calls.

use crate::errno::Errno;

/// How often a call is made that is interrupted each time. On a non-blocking descriptor even one
/// interruption is rare; the bound is for kernels that return `EINTR` endlessly.
const EINTR_CALLS_MAX: u32 = 16;

/// Repeats a call that a signal interrupted, up to [`EINTR_CALLS_MAX`] calls.
#[inline]
pub(crate) fn retry_on_eintr<R>(mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    for _ in 1..EINTR_CALLS_MAX {
        match call() {
            Err(errno) if errno.is_interrupted() => {}
            result => return result,
        }
    }
    call()
}

/// As [`retry_on_eintr`], after a first call that was interrupted. Not inlined: this is rare.
#[cold]
#[inline(never)]
pub(crate) fn retry_after_eintr<R>(mut call: impl FnMut() -> Result<R, Errno>) -> Result<R, Errno> {
    for _ in 2..EINTR_CALLS_MAX {
        match call() {
            Err(errno) if errno.is_interrupted() => {}
            result => return result,
        }
    }
    call()
}
