//! The calls of [`Devices`]: timers, files, terminals, signals, sockets with flags.
//!
//! How descriptors are created is in `descriptors.rs`, messages with control data in
//! `ancillary.rs`, processes in `child.rs`.

use alloc::format;
use alloc::vec::Vec;
use core::mem::zeroed;
use core::ptr::{from_mut, null_mut, without_provenance_mut};
use core::time::Duration;

use super::file::{c_string, open};
use super::process::sigset;
use super::result::{check_count, check_fd, check_int_count, check_ok};
use super::{Linux, ancillary, bpf, child, descriptors, io_uring, mounts, notification};
use crate::errno::Errno;
use crate::kernel::{
    Access, BadAddress, ChildProcess, ChildRole, Device, DeviceOption, Devices, EpollEvent,
    ExtendedError, Fd, IoctlRequest, Kernel, MessageFlag, Signal, SignalSet,
};

/// The length of an `int`.
const INT_BYTES: libc::socklen_t = 4;
/// Longer than the value of any option.
const OPTION_BYTES_MAX: libc::socklen_t = 1_024;

// Of Linux' headers, where libc lacks them for some targets or altogether: linux/sockios.h,
// linux/eventpoll.h, linux/fs.h, asm-generic/socket.h, linux/tcp.h.
const SIOCATMARK: libc::Ioctl = 0x8905;
const EPIOCSPARAMS: libc::Ioctl = 0x4008_8a01;
const EPIOCGPARAMS: libc::Ioctl = 0x8008_8a02_u32 as libc::Ioctl;
const RWF_NOWAIT: i32 = 8;
const SO_PASSRIGHTS: i32 = 83;
const TCP_RTO_MAX_MS: i32 = 44;

impl Devices for Linux {
    fn create(&mut self, device: Device, of: Option<&Fd>) -> Result<Fd, Errno> {
        descriptors::create(device, of)
    }

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

    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
        let path = c_string(&format!("/proc/self/fd/{file}"))?;
        // SAFETY: inotify_add_watch(2) reads the string at `path`, which lives until it returns.
        check_ok(unsafe { libc::inotify_add_watch(inotify.raw(), path.as_ptr(), libc::IN_MODIFY) })
    }

    fn fanotify_mark(&mut self, fanotify: &Fd, file: &Fd) -> Result<(), Errno> {
        let path = c_string(&format!("/proc/self/fd/{file}"))?;
        let (add, mask) = (libc::FAN_MARK_ADD, libc::FAN_MODIFY);
        let here = libc::AT_FDCWD;
        // SAFETY: fanotify_mark(2) reads the string at `path`, which lives until it returns.
        check_ok(unsafe { libc::fanotify_mark(fanotify.raw(), add, mask, here, path.as_ptr()) })
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
        // returns. With MSG_ZEROCOPY it keeps the pages, and reads later what they hold then; it
        // never writes to them.
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

    fn recv_errqueue(&mut self, socket: &Fd) -> Result<ExtendedError, Errno> {
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

    fn option_len(&mut self, socket: &Fd, name: DeviceOption) -> Result<usize, Errno> {
        let (level, number) = numbers(name);
        let mut value = [0_u8; OPTION_BYTES_MAX as usize];
        let mut len = OPTION_BYTES_MAX;
        let (into, length) = (value.as_mut_ptr().cast(), from_mut(&mut len));
        // SAFETY: getsockopt(2) writes at most `len` bytes at `into`, an array of that length, and
        // one number at `length`; both live until the call returns, and it keeps no pointer.
        check_ok(unsafe { libc::getsockopt(socket.raw(), level, number, into, length) })?;
        Ok(usize::try_from(len).unwrap_or(0))
    }

    fn ioctl(&mut self, fd: &Fd, request: IoctlRequest, value: u32) -> Result<u32, Errno> {
        match request {
            IoctlRequest::InQueue => ioctl_int(fd, libc::FIONREAD).map(i32::cast_unsigned),
            IoctlRequest::AtMark => ioctl_int(fd, SIOCATMARK).map(i32::cast_unsigned),
            IoctlRequest::EpollParams => epoll_params(fd, EPIOCGPARAMS, 0),
            IoctlRequest::SetEpollParams => epoll_params(fd, EPIOCSPARAMS, value).map(|_| 0),
            IoctlRequest::TakeNotification => notification::take(fd),
        }
    }

    fn fcntl_setfl(&mut self, fd: &Fd, is_nonblocking: bool) -> Result<(), Errno> {
        let flags = if is_nonblocking { libc::O_NONBLOCK } else { 0 };
        // SAFETY: fcntl(2) with F_SETFL takes a number and touches no user memory.
        check_ok(unsafe { libc::fcntl(fd.raw(), libc::F_SETFL, flags) })
    }

    fn read_nowait(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        let part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        let (number, fd) = (libc::SYS_preadv2, fd.raw());
        // SAFETY: preadv2(2) reads one iovec at `part`, and writes at most `buf.len()` bytes at
        // `buf`, which we hold exclusively until it returns. The offset, in two parts, is -1: none.
        // By number, since not all C libraries have a wrapper.
        let count = unsafe {
            libc::syscall(number, fd, &raw const part, 1_usize, -1_isize, -1_isize, RWF_NOWAIT)
        };
        check_count(isize::try_from(count).unwrap_or(-1))
    }

    fn epoll_wait_at(
        &mut self,
        epoll: &Fd,
        address: BadAddress,
        events_max: u32,
    ) -> Result<usize, Errno> {
        let events = match address {
            BadAddress::Null => null_mut(),
            // The last page: on every machine it is not the program's.
            BadAddress::Kernel => without_provenance_mut(usize::MAX - 4_095),
        };
        let events_max = i32::try_from(events_max).map_err(|_| Errno::EINVAL)?;
        // SAFETY: epoll_wait(2) writes events at `events`, where no memory of this program is: the
        // kernel checks that, and the call fails.
        check_int_count(unsafe { libc::epoll_wait(epoll.raw(), events, events_max, 0) })
    }

    fn epoll_pwait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        let capacity = i32::try_from(events.len()).unwrap_or(i32::MAX);
        let millis = i32::try_from(timeout_millis).unwrap_or(i32::MAX);
        let mask = sigset(SignalSet::EMPTY);
        let (into, mask) = (events.as_mut_ptr().cast(), &raw const mask);
        // SAFETY: epoll_pwait(2) writes at most `capacity` events at `into`, of the layout asserted
        // in `layout.rs`, which is borrowed exclusively until it returns, and reads one set at
        // `mask`, a local variable.
        let count = unsafe { libc::epoll_pwait(epoll.raw(), into, capacity, millis, mask) };
        check_int_count(count)
    }

    fn io_uring_queue(&mut self, ring: &Fd) -> Result<(), Errno> {
        io_uring::queue(ring)
    }

    fn io_uring_enter(&mut self, ring: &Fd) -> Result<usize, Errno> {
        io_uring::enter(ring)
    }

    fn bpf_ring_output(&mut self, ring: &Fd) -> Result<(), Errno> {
        bpf::ring_output(ring)
    }

    fn bind_mount(&mut self, mounts: &Fd) -> Result<(), Errno> {
        mounts::bind_mount(mounts)
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

    fn recvmmsg_in(
        &mut self,
        socket: u32,
        messages_max: usize,
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        // Not closed here: the owner is another thread.
        recvmmsg(&Fd::from_raw(socket.cast_signed()), messages_max, timeout_millis)
    }

    fn fork_with(&mut self, role: ChildRole) -> Result<(ChildProcess, Fd), Errno> {
        child::fork_with(role)
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

/// The most messages that are received at once.
const MESSAGES_MAX: u8 = 8;
/// A call that lasts so long is interrupted by a signal, and not restarted: socket(7),
/// `SO_RCVTIMEO`.
const RECEIVE_SECONDS: libc::time_t = 20;

/// Their bytes are dropped.
fn recvmmsg(socket: &Fd, messages_max: usize, timeout_millis: u32) -> Result<usize, Errno> {
    let limit = libc::timeval { tv_sec: RECEIVE_SECONDS, tv_usec: 0 };
    let limit_bytes = size_of_val(&limit).try_into().unwrap_or(0);
    let (level, name, value) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const limit).cast());
    // SAFETY: setsockopt(2) reads as many bytes at `value`, a timeval that lives until it returns.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, name, value, limit_bytes) })?;
    // SAFETY: zeroed mmsghdrs are values of it: integers and null pointers, no bytes.
    let mut messages: [libc::mmsghdr; MESSAGES_MAX as usize] = unsafe { zeroed() };
    let count = u32::try_from(messages_max).unwrap_or(u32::MAX).min(MESSAGES_MAX.into());
    let mut timeout = timespec(Duration::from_millis(timeout_millis.into()));
    let (into, timeout) = (messages.as_mut_ptr(), &raw mut timeout);
    // SAFETY: recvmmsg(2) reads and writes `count` headers at `into`, an array of at least as many,
    // which have room for neither bytes nor addresses, and one timespec at `timeout`; both live
    // until it returns.
    check_int_count(unsafe { libc::recvmmsg(socket.raw(), into, count, 0, timeout) })
}

/// Gets or sets an epoll's budget of busy polling.
///
/// Reference: include/uapi/linux/eventpoll.h: `struct epoll_params`
fn epoll_params(epoll: &Fd, request: libc::Ioctl, budget: u32) -> Result<u32, Errno> {
    let budget = u16::try_from(budget).unwrap_or(u16::MAX);
    // busy_poll_usecs takes the first two, the rest is one byte each.
    let mut params = [0, 0, budget, 0];
    // SAFETY: ioctl(2) with these requests reads or writes eight bytes at `params`, a local array
    // of as many.
    check_ok(unsafe { libc::ioctl(epoll.raw(), request, params.as_mut_ptr()) })?;
    Ok(params[2].into())
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
        MessageFlag::ZeroCopy => libc::MSG_ZEROCOPY,
    }
}

const fn numbers(name: DeviceOption) -> (i32, i32) {
    match name {
        DeviceOption::Cork => (libc::SOL_TCP, libc::TCP_CORK),
        DeviceOption::ReceiveErrors => (libc::SOL_IP, libc::IP_RECVERR),
        DeviceOption::PeekOffset => (libc::SOL_SOCKET, libc::SO_PEEK_OFF),
        DeviceOption::PassCredentials => (libc::SOL_SOCKET, libc::SO_PASSCRED),
        DeviceOption::PassRights => (libc::SOL_SOCKET, SO_PASSRIGHTS),
        DeviceOption::ZeroCopy => (libc::SOL_SOCKET, libc::SO_ZEROCOPY),
        DeviceOption::RetransmissionMax => (libc::SOL_TCP, TCP_RTO_MAX_MS),
        DeviceOption::TcpInfo => (libc::SOL_TCP, libc::TCP_INFO),
    }
}
