//! seccomp: a filter that lets a call wait for an answer, and the notification of such a call.
//!
//! The filter is installed by a child process, which makes system calls only.
//!
//! Man page: seccomp(2), seccomp_unotify(2). Reference: include/uapi/linux/seccomp.h

use super::result::{check_fd, check_ok};
use crate::errno::Errno;
use crate::kernel::Fd;

/// `struct seccomp_notif`: 80 bytes; later kernels may have more, and ask for as many.
const NOTIFICATION_BYTES: usize = 80;
/// `SECCOMP_IOCTL_NOTIF_RECV`, of a structure of that size.
const NOTIF_RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SET_MODE_FILTER: u32 = 1;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

/// From here on each getppid(2) of this process waits; returns where that is reported.
pub(super) fn listen() -> Result<Fd, Errno> {
    // The filter looks at the call only, which is the first field of `struct seccomp_data`.
    let call = u32::try_from(libc::SYS_getppid).unwrap_or(u32::MAX);
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut code = [
        step(0x20, 0, 0, 0),    // load the number
        step(0x15, 0, 1, call), // is it the call?
        step(0x06, 0, 0, RET_USER_NOTIF),
        step(0x06, 0, 0, RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: code.as_mut_ptr() };
    // SAFETY: prctl(2) with PR_SET_NO_NEW_PRIVS takes numbers.
    check_ok(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let (number, program) = (libc::SYS_seccomp, &raw const program);
    // SAFETY: seccomp(2) reads `program` and the four steps that it refers to, local variables, and
    // keeps a copy. The C library has no wrapper.
    let fd = unsafe { libc::syscall(number, SET_MODE_FILTER, FLAG_NEW_LISTENER, program) };
    check_fd(i32::try_from(fd).unwrap_or(-1))
}

/// Takes a notification; returns the number of the call. It waits if there is none.
pub(super) fn take(listener: &Fd) -> Result<u32, Errno> {
    // The kernel wants zeros.
    let mut notification = [0_u64; NOTIFICATION_BYTES / 8];
    let into = notification.as_mut_ptr();
    // SAFETY: ioctl(2) with this request reads and writes 80 bytes at `into`, a local array of as
    // many.
    check_ok(unsafe { libc::ioctl(listener.raw(), NOTIF_RECV, into) })?;
    // id, pid and flags, data: it begins with the number, of four bytes.
    let bytes = notification[2].to_ne_bytes();
    Ok(bytes.first_chunk().map_or(0, |number| u32::from_ne_bytes(*number)))
}
