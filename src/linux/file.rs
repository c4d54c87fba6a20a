//! open(2) to close(2): descriptors that are not sockets, and calls common to all.

#[cfg(feature = "alloc")]
use alloc::ffi::CString;
use core::ptr::null_mut;

use super::process::sigset;
use super::result::{check_count, check_fd, check_int_count, check_ok};
use crate::errno::Errno;
use crate::kernel::{Fd, SignalSet};

#[cfg(feature = "alloc")]
pub(super) fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

#[cfg(feature = "alloc")]
pub(super) fn open(path: &str, flags: i32) -> Result<Fd, Errno> {
    let (path, flags) = (c_string(path)?, flags | libc::O_NONBLOCK | libc::O_CLOEXEC);
    // SAFETY: open(2) reads the string at `path`, which lives until it returns.
    check_fd(unsafe { libc::open(path.as_ptr(), flags, 0o600) })
}

pub(super) fn read(fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: read(2) writes at most `buf.len()` bytes at `buf`, which we hold exclusively
    // until it returns, and it keeps no pointer afterwards.
    check_count(unsafe { libc::read(fd.raw(), buf.as_mut_ptr().cast(), buf.len()) })
}

pub(super) fn write(fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
    // SAFETY: write(2) reads at most `buf.len()` bytes at `buf`, which is borrowed until it
    // returns, and it keeps no pointer afterwards.
    check_count(unsafe { libc::write(fd.raw(), buf.as_ptr().cast(), buf.len()) })
}

pub(super) fn splice(from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
    let (from, into) = (from.raw(), into.raw());
    // SAFETY: splice(2) moves bytes inside the kernel; both offsets are null, so it touches
    // no user memory.
    check_count(unsafe {
        libc::splice(from, null_mut(), into, null_mut(), len_bytes, libc::SPLICE_F_NONBLOCK)
    })
}

pub(super) fn pipe2() -> Result<(Fd, Fd), Errno> {
    let mut pair = [0; 2];
    // SAFETY: pipe2(2) writes two `int`s at `pair`, a local array of two `int`s that lives until
    // it returns.
    check_ok(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
}

pub(super) fn fcntl_setpipe_sz(pipe: &Fd, bytes: usize) -> Result<usize, Errno> {
    let bytes = libc::c_int::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    // SAFETY: fcntl(2) with F_SETPIPE_SZ takes a number and touches no user memory.
    check_int_count(unsafe { libc::fcntl(pipe.raw(), libc::F_SETPIPE_SZ, bytes) })
}

/// Makes a descriptor from elsewhere non-blocking. Cost: one system call, two if it was blocking.
///
/// Man page: fcntl(2), `F_SETFL`
#[cfg(any(feature = "std", feature = "capi"))]
pub(crate) fn set_nonblocking(fd: &Fd) -> Result<(), Errno> {
    // SAFETY: fcntl(2) with F_GETFL takes a number and touches no user memory.
    let flags = unsafe { libc::fcntl(fd.raw(), libc::F_GETFL) };
    check_ok(flags)?;
    if flags & libc::O_NONBLOCK != 0 {
        return Ok(());
    }
    // SAFETY: fcntl(2) with F_SETFL takes a number and touches no user memory.
    check_ok(unsafe { libc::fcntl(fd.raw(), libc::F_SETFL, flags | libc::O_NONBLOCK) })
}

pub(super) fn eventfd(initial: u32) -> Result<Fd, Errno> {
    // SAFETY: eventfd(2) takes two numbers and touches no user memory.
    check_fd(unsafe { libc::eventfd(initial, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
}

pub(super) fn signalfd(signals: SignalSet) -> Result<Fd, Errno> {
    let set = sigset(signals);
    // SAFETY: signalfd(2) reads one sigset_t at `set`, which lives until it returns, and
    // keeps no pointer.
    check_fd(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })
}

pub(super) fn dup(fd: &Fd) -> Result<Fd, Errno> {
    // SAFETY: fcntl(2) with F_DUPFD_CLOEXEC takes a number and touches no user memory.
    check_fd(unsafe { libc::fcntl(fd.raw(), libc::F_DUPFD_CLOEXEC, 0) })
}

#[expect(clippy::needless_pass_by_value, reason = "to close is to take")]
pub(super) fn close(fd: Fd) -> Result<(), Errno> {
    // SAFETY: close(2) takes a number and touches no user memory; the number was owned by
    // `fd`, which ends here.
    check_ok(unsafe { libc::close(fd.raw()) })
}
