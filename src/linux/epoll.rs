//! epoll_create1(2), epoll_ctl(2), epoll_wait(2), epoll_pwait2(2).

use core::ptr::{from_mut, from_ref, null, null_mut};
use core::time::Duration;

use super::result::{check_count, check_fd, check_int_count, check_ok};
use crate::errno::Errno;
use crate::kernel::{EpollEvent, EpollOp, Fd};

pub(super) fn epoll_create1() -> Result<Fd, Errno> {
    // SAFETY: epoll_create1(2) takes a number and touches no user memory.
    check_fd(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

pub(super) fn epoll_ctl(epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
    let (op, mut event) = match op {
        EpollOp::Add(event) => (libc::EPOLL_CTL_ADD, Some(event)),
        EpollOp::Modify(event) => (libc::EPOLL_CTL_MOD, Some(event)),
        EpollOp::Delete => (libc::EPOLL_CTL_DEL, None),
    };
    let event = event.as_mut().map_or(null_mut(), from_mut).cast();
    // SAFETY: epoll_ctl(2) reads one epoll_event at `event`, whose layout is asserted in
    // `layout.rs` and which lives until it returns, or none to delete; it keeps a copy, no
    // pointer.
    check_ok(unsafe { libc::epoll_ctl(epoll.raw(), op, fd.raw(), event) })
}

/// How many events fit, as C's `int`.
fn max_events(events: &[EpollEvent]) -> i32 {
    i32::try_from(events.len()).unwrap_or(i32::MAX)
}

#[inline(always)]
pub(super) fn epoll_wait(
    epoll: &Fd,
    events: &mut [EpollEvent],
    timeout_millis: Option<u32>,
) -> Result<usize, Errno> {
    let timeout = timeout_millis.map_or(-1, |millis| i32::try_from(millis).unwrap_or(i32::MAX));
    let (capacity, into) = (max_events(events), events.as_mut_ptr().cast());
    // SAFETY: epoll_wait(2) writes at most `capacity` events at `into`, of the layout asserted in
    // `layout.rs`; the slice is borrowed exclusively until it returns.
    check_int_count(unsafe { libc::epoll_wait(epoll.raw(), into, capacity, timeout) })
}

/// The kernel's own timespec: 64 bits on every machine, whatever the C library uses.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanos: i64,
}

pub(super) fn epoll_pwait2(
    epoll: &Fd,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    let timeout = timeout.map(|timeout| KernelTimespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanos: i64::from(timeout.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(null(), from_ref);
    let (capacity, into) = (max_events(events), events.as_mut_ptr());
    let (no_mask, no_size) = (null_mut::<u8>(), 0usize);
    let (number, epoll) = (libc::SYS_epoll_pwait2, epoll.raw());
    // SAFETY: epoll_pwait2(2) reads the timespec, if any, which lives until the call returns,
    // and writes at most `capacity` events at `into`, of the layout asserted in `layout.rs`; the
    // slice is borrowed exclusively until then. The signal mask is null: none is read. By
    // number, since not all current C libraries have a wrapper; so each argument must be as wide
    // as the kernel reads it.
    let returned =
        unsafe { libc::syscall(number, epoll, into, capacity, timeout, no_mask, no_size) };
    check_count(isize::try_from(returned).unwrap_or(-1))
}
