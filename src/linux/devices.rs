//! The calls of [`Devices`]: timers, files, terminals, signals, sockets with flags.
//!
//! Messages with control data are in `ancillary.rs`, processes in `child.rs`.

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::mem::zeroed;
use core::ptr::{from_mut, null_mut};
use core::time::Duration;

use super::result::{check_count, check_fd, check_ok};
use super::{Linux, ancillary, child};
use crate::errno::Errno;
use crate::kernel::{
    Access, ChildProcess, DeviceOption, Devices, EpollEvent, Fd, Kernel, MessageFlag, Signal,
};

/// The length of an `int`.
const INT_BYTES: libc::socklen_t = 4;

impl Devices for Linux {
    fn raise(&mut self, signal: Signal) -> Result<(), Errno> {
        // SAFETY: raise(3) takes a number and touches no memory.
        check_ok(unsafe { libc::raise(signal.number().into()) })
    }

    fn tgkill(&mut self, thread: u32, signal: Signal) -> Result<(), Errno> {
        let (thread, signal) = (thread.cast_signed(), i32::from(signal.number()));
        // SAFETY: getpid(2) takes nothing and touches no memory.
        let process = unsafe { libc::getpid() };
        // SAFETY: tgkill(2) takes three numbers and touches no memory. By number, since not all
        // current C libraries have a wrapper.
        let returned = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
        check_ok(i32::try_from(returned).unwrap_or(-1))
    }

    fn sigaction_nothing(&mut self, signal: Signal) -> Result<(), Errno> {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: a zeroed sigaction is a value of it: integers, an empty set, no handler.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        let number = signal.number().into();
        // SAFETY: sigaction(2) reads one sigaction at `action`, which lives until it returns. Its
        // handler is a function that lives as long as the program and touches nothing.
        check_ok(unsafe { libc::sigaction(number, &raw const action, null_mut()) })
    }

    fn timerfd_create(&mut self) -> Result<Fd, Errno> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: timerfd_create(2) takes two numbers and touches no user memory.
        check_fd(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
    }

    fn timerfd_settime(
        &mut self,
        timer: &Fd,
        first: Duration,
        interval: Duration,
    ) -> Result<(), Errno> {
        let time = libc::itimerspec { it_interval: timespec(interval), it_value: timespec(first) };
        // SAFETY: timerfd_settime(2) reads one itimerspec at `time`, which lives until it returns.
        check_ok(unsafe { libc::timerfd_settime(timer.raw(), 0, &raw const time, null_mut()) })
    }

    fn open(&mut self, path: &str, access: Access) -> Result<Fd, Errno> {
        let access = match access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_WRONLY,
        };
        open(path, access)
    }

    fn open_tmpfile(&mut self) -> Result<Fd, Errno> {
        open("/tmp", libc::O_RDWR | libc::O_TMPFILE)
    }

    fn open_fifo(&mut self) -> Result<Fd, Errno> {
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

    fn open_pty(&mut self) -> Result<Fd, Errno> {
        let master = open("/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
        let unlocked = 0_i32;
        // SAFETY: ioctl(2) with TIOCSPTLCK reads one `int` at `unlocked`, a local variable.
        let done = unsafe { libc::ioctl(master.raw(), libc::TIOCSPTLCK, &raw const unlocked) };
        match check_ok(done) {
            Ok(()) => Ok(master),
            Err(errno) => {
                let _ = Self.close(master);
                Err(errno)
            }
        }
    }

    fn open_pty_peer(&mut self, master: &Fd) -> Result<Fd, Errno> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: ioctl(2) with TIOCGPTPEER takes a number and touches no user memory.
        check_fd(unsafe { libc::ioctl(master.raw(), libc::TIOCGPTPEER, flags) })
    }

    fn inotify_init1(&mut self) -> Result<Fd, Errno> {
        // SAFETY: inotify_init1(2) takes a number and touches no user memory.
        check_fd(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })
    }

    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
        let path = c_string(&format!("/proc/self/fd/{file}"))?;
        // SAFETY: inotify_add_watch(2) reads the string at `path`, which lives until it returns.
        check_ok(unsafe { libc::inotify_add_watch(inotify.raw(), path.as_ptr(), libc::IN_MODIFY) })
    }

    fn socketpair_seqpacket(&mut self) -> Result<(Fd, Fd), Errno> {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let mut pair = [0; 2];
        // SAFETY: socketpair(2) writes two `int`s at `pair`, a local array of two `int`s that lives
        // until it returns.
        check_ok(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) })?;
        Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
    }

    fn send_flag(&mut self, socket: &Fd, buf: &[u8], flag: MessageFlag) -> Result<usize, Errno> {
        let flags = bits(flag) | libc::MSG_NOSIGNAL;
        // SAFETY: send(2) reads at most `buf.len()` bytes at `buf`, which is borrowed until it
        // returns, and it keeps no pointer afterwards.
        check_count(unsafe { libc::send(socket.raw(), buf.as_ptr().cast(), buf.len(), flags) })
    }

    fn recv_flag(
        &mut self,
        socket: &Fd,
        buf: &mut [u8],
        flag: MessageFlag,
    ) -> Result<usize, Errno> {
        let (into, len) = (buf.as_mut_ptr().cast(), buf.len());
        // SAFETY: recv(2) writes at most `len` bytes at `into`, which we hold exclusively until it
        // returns, and it keeps no pointer afterwards.
        check_count(unsafe { libc::recv(socket.raw(), into, len, bits(flag)) })
    }

    fn send_rights(&mut self, socket: &Fd, buf: &[u8], passed: &Fd) -> Result<usize, Errno> {
        ancillary::send_rights(socket, buf, passed)
    }

    fn recv_rights(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Option<Fd>), Errno> {
        ancillary::recv_rights(socket, buf)
    }

    fn recv_errqueue(&mut self, socket: &Fd) -> Result<Option<Errno>, Errno> {
        ancillary::recv_errqueue(socket)
    }

    fn set_option(&mut self, socket: &Fd, name: DeviceOption, value: i32) -> Result<(), Errno> {
        let ((level, number), value) = (numbers(name), (&raw const value).cast());
        let len = INT_BYTES;
        // SAFETY: setsockopt(2) reads `len` bytes at `value`, an `int` that lives until the call
        // returns, and keeps no pointer.
        check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, len) })
    }

    fn get_option(&mut self, socket: &Fd, name: DeviceOption) -> Result<i32, Errno> {
        let (level, number) = numbers(name);
        let (mut value, mut len) = (0_i32, INT_BYTES);
        let (into, len) = (from_mut(&mut value).cast(), from_mut(&mut len));
        // SAFETY: getsockopt(2) writes at most `*len` bytes at `into`, an `int`, and one number at
        // `len`; both live until the call returns, and it keeps no pointer.
        check_ok(unsafe { libc::getsockopt(socket.raw(), level, number, into, len) })?;
        Ok(value)
    }

    fn ioctl_inq(&mut self, fd: &Fd) -> Result<usize, Errno> {
        ioctl_int(fd, libc::FIONREAD).map(|count| usize::try_from(count).unwrap_or(0))
    }

    fn ioctl_atmark(&mut self, socket: &Fd) -> Result<bool, Errno> {
        // linux/sockios.h; libc has it for some targets only.
        const SIOCATMARK: libc::Ioctl = 0x8905;
        ioctl_int(socket, SIOCATMARK).map(|is_at_mark| is_at_mark != 0)
    }

    fn epoll_wait_in(
        &mut self,
        epoll: u32,
        events: &mut [EpollEvent],
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        // Not closed here: the owner is another thread.
        let epoll = Fd::from_raw(epoll.cast_signed());
        self.epoll_wait(&epoll, events, Some(timeout_millis))
    }

    fn fork(&mut self) -> Result<ChildProcess, Errno> {
        child::fork()
    }

    fn child_begin_wait(
        &mut self,
        child: &ChildProcess,
        epoll: u32,
        events_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        child::begin_wait(child, epoll, events_max, timeout_millis)
    }

    fn child_end_wait(
        &mut self,
        child: &ChildProcess,
    ) -> Result<Option<Result<Vec<EpollEvent>, Errno>>, Errno> {
        child::end_wait(child)
    }

    fn pidfd_open(&mut self, pid: u32) -> Result<Fd, Errno> {
        // SAFETY: pidfd_open(2) takes two numbers and touches no user memory. By number, since not
        // all current C libraries have a wrapper.
        let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
        check_fd(i32::try_from(returned).unwrap_or(-1))
    }

    fn kill(&mut self, pid: u32, signal: Signal) -> Result<(), Errno> {
        // SAFETY: kill(2) takes two numbers and touches no user memory.
        check_ok(unsafe { libc::kill(pid.cast_signed(), signal.number().into()) })
    }

    fn waitpid(&mut self, pid: u32) -> Result<(), Errno> {
        child::wait_for_end(pid)
    }

    fn ptrace_factor(&mut self) -> Result<u32, Errno> {
        child::ptrace_factor()
    }
}

fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

fn open(path: &str, flags: i32) -> Result<Fd, Errno> {
    let (path, flags) = (c_string(path)?, flags | libc::O_NONBLOCK | libc::O_CLOEXEC);
    // SAFETY: open(2) reads the string at `path`, which lives until it returns.
    check_fd(unsafe { libc::open(path.as_ptr(), flags, 0o600) })
}

fn ioctl_int(fd: &Fd, request: libc::Ioctl) -> Result<i32, Errno> {
    let mut value = 0_i32;
    // SAFETY: ioctl(2) with such a request writes one `int` at `value`, a local variable.
    check_ok(unsafe { libc::ioctl(fd.raw(), request, &raw mut value) })?;
    Ok(value)
}

/// Times of an experiment are far below the limits of a timespec.
fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

const fn bits(flag: MessageFlag) -> i32 {
    match flag {
        MessageFlag::OutOfBand => libc::MSG_OOB,
        MessageFlag::Peek => libc::MSG_PEEK,
    }
}

const fn numbers(name: DeviceOption) -> (i32, i32) {
    match name {
        DeviceOption::Cork => (libc::SOL_TCP, libc::TCP_CORK),
        DeviceOption::ReceiveErrors => (libc::SOL_IP, libc::IP_RECVERR),
        DeviceOption::PeekOffset => (libc::SOL_SOCKET, libc::SO_PEEK_OFF),
        DeviceOption::PassCredentials => (libc::SOL_SOCKET, libc::SO_PASSCRED),
    }
}
