//! read(2) to close(2): descriptors that are not sockets, and what all have in common.

use core::ptr::null_mut;

use super::process::sigset;
use super::result::{count, done, made};
use crate::errno::Errno;
use crate::kernel::{Fd, SignalSet};

pub(super) fn read(fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: read(2) writes at most `buf.len()` bytes at `buf`, which we hold exclusively
    // until it returns, and it keeps no pointer afterwards.
    count(unsafe { libc::read(fd.raw(), buf.as_mut_ptr().cast(), buf.len()) })
}

pub(super) fn write(fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
    // SAFETY: write(2) reads at most `buf.len()` bytes at `buf`, which is borrowed until it
    // returns, and it keeps no pointer afterwards.
    count(unsafe { libc::write(fd.raw(), buf.as_ptr().cast(), buf.len()) })
}

pub(super) fn splice(from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
    let (from, into) = (from.raw(), into.raw());
    // SAFETY: splice(2) moves bytes inside the kernel; both offsets are null, so it touches
    // no memory of ours.
    count(unsafe {
        libc::splice(from, null_mut(), into, null_mut(), len_bytes, libc::SPLICE_F_NONBLOCK)
    })
}

pub(super) fn pipe2() -> Result<(Fd, Fd), Errno> {
    let mut pair = [0; 2];
    // SAFETY: pipe2(2) writes two `int`s at `pair`, which is two `int`s long and ours until
    // it returns.
    done(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
}

pub(super) fn eventfd(initial: u32) -> Result<Fd, Errno> {
    // SAFETY: eventfd(2) takes two numbers and touches no memory of ours.
    made(unsafe { libc::eventfd(initial, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
}

pub(super) fn signalfd(signals: SignalSet) -> Result<Fd, Errno> {
    let set = sigset(signals);
    // SAFETY: signalfd(2) reads one sigset_t at `set`, which lives until it returns, and
    // keeps no pointer.
    made(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })
}

pub(super) fn dup(fd: &Fd) -> Result<Fd, Errno> {
    // SAFETY: fcntl(2) with F_DUPFD_CLOEXEC takes a number and touches no memory of ours.
    made(unsafe { libc::fcntl(fd.raw(), libc::F_DUPFD_CLOEXEC, 0) })
}

#[expect(clippy::needless_pass_by_value, reason = "to close is to take")]
pub(super) fn close(fd: Fd) -> Result<(), Errno> {
    // SAFETY: close(2) takes a number and touches no memory of ours; the number was owned by
    // `fd`, which ends here.
    done(unsafe { libc::close(fd.raw()) })
}
