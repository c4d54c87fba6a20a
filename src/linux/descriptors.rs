//! Creates each [`Device`]: timers, files, terminals, rings, counters.
//!
//! What a ring takes is in `io_uring.rs` and `bpf.rs`.

use alloc::format;
use core::mem::zeroed;
use core::ptr::from_mut;

use super::file::{c_string, open};
use super::result::{check_fd, check_ok};
use super::{Linux, bpf, io_uring, mounts};
use crate::errno::Errno;
use crate::kernel::{Device, Fd, Kernel};

pub(super) fn create(device: Device, of: Option<&Fd>) -> Result<Fd, Errno> {
    match device {
        Device::Timer => {
            let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
            // SAFETY: timerfd_create(2) takes two numbers and touches no user memory.
            check_fd(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
        }
        Device::Tmpfile => open("/tmp", libc::O_RDWR | libc::O_TMPFILE),
        Device::Fifo => open_fifo(),
        Device::Pty => open_pty(),
        Device::PtyPeer => {
            let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
            let master = of.ok_or(Errno::EBADF)?.raw();
            // SAFETY: ioctl(2) with TIOCGPTPEER takes a number and touches no user memory.
            check_fd(unsafe { libc::ioctl(master, libc::TIOCGPTPEER, flags) })
        }
        // SAFETY: inotify_init1(2) takes a number and touches no user memory.
        Device::Inotify => check_fd(unsafe { libc::inotify_init1(IN_FLAGS) }),
        Device::Fanotify => {
            let flags = libc::FAN_REPORT_FID | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
            // SAFETY: fanotify_init(2) takes two numbers and touches no user memory.
            check_fd(unsafe { libc::fanotify_init(flags, 0) })
        }
        Device::IoUring => io_uring::setup(),
        Device::PerfEvent => open_perf_event(),
        Device::BpfRing => bpf::create_ring(),
        Device::Mounts => mounts::open(),
        Device::PeerProcess => peer_process(of.ok_or(Errno::EBADF)?),
    }
}

const IN_FLAGS: i32 = libc::IN_NONBLOCK | libc::IN_CLOEXEC;

fn open_fifo() -> Result<Fd, Errno> {
    // SAFETY: gettid(2) takes nothing and touches no memory.
    let thread = unsafe { libc::gettid() };
    // Two threads may do it at once.
    let path = format!("/tmp/epollite-study-{thread}");
    let name = c_string(&path)?;
    // SAFETY: mkfifo(3) reads the string at `name`, which lives until it returns.
    check_ok(unsafe { libc::mkfifo(name.as_ptr(), 0o600) })?;
    let opened = open(&path, libc::O_RDONLY);
    // SAFETY: unlink(2) reads the string at `name`, which lives until it returns.
    unsafe { libc::unlink(name.as_ptr()) };
    opened
}

fn open_pty() -> Result<Fd, Errno> {
    let master = open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
    let unlocked = 0_i32;
    // SAFETY: ioctl(2) with TIOCSPTLCK reads one `int` at `unlocked`, a local variable.
    let done = unsafe { libc::ioctl(master.raw(), libc::TIOCSPTLCK, &raw const unlocked) };
    match check_ok(done) {
        Ok(()) => Ok(master),
        Err(errno) => {
            let _ = Linux.close(master);
            Err(errno)
        }
    }
}

/// The first version of `struct perf_event_attr`: later fields are 0.
///
/// Reference: include/uapi/linux/perf_event.h
#[repr(C)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}

fn open_perf_event() -> Result<Fd, Errno> {
    const PERF_TYPE_SOFTWARE: u32 = 1;
    const PERF_COUNT_SW_DUMMY: u64 = 9;
    /// `exclude_kernel` and `exclude_hv`: less privilege is needed.
    const EXCLUDE: u64 = 1 << 5 | 1 << 6;
    const PERF_FLAG_FD_CLOEXEC: usize = 1 << 3;
    // SAFETY: a zeroed PerfEventAttr is a value of it: integers.
    let mut attr: PerfEventAttr = unsafe { zeroed() };
    attr.kind = PERF_TYPE_SOFTWARE;
    attr.size = u32::try_from(size_of::<PerfEventAttr>()).unwrap_or(0);
    attr.config = PERF_COUNT_SW_DUMMY;
    attr.flags = EXCLUDE;
    let (number, attr) = (libc::SYS_perf_event_open, &raw const attr);
    // SAFETY: perf_event_open(2) reads `size` bytes at `attr`, a local variable of that size, and
    // takes four numbers. The C library has no wrapper.
    let fd = unsafe { libc::syscall(number, attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) };
    check_fd(i32::try_from(fd).unwrap_or(-1))
}

/// A descriptor as an option's value.
fn peer_process(socket: &Fd) -> Result<Fd, Errno> {
    /// asm-generic/socket.h
    const SO_PEERPIDFD: i32 = 77;
    let (mut value, mut len) = (-1_i32, 4);
    let (into, len) = (from_mut(&mut value).cast(), from_mut(&mut len));
    let level = libc::SOL_SOCKET;
    // SAFETY: getsockopt(2) writes at most `*len` bytes at `into`, an `int`, and one number at
    // `len`; both live until the call returns, and it keeps no pointer.
    check_ok(unsafe { libc::getsockopt(socket.raw(), level, SO_PEERPIDFD, into, len) })?;
    check_fd(value)
}
