//! The [`Devices`] trait: calls beside those of [`Kernel`](super::Kernel), which a reactor does not
//! need and experiments do.
//!
//! Knows signatures; the calls are made by the kernels.

mod device;
mod parameters;

use alloc::vec::Vec;
use core::time::Duration;

use super::{EpollEvent, Fd, Signal};
use crate::errno::Errno;
pub use device::Device;
pub use parameters::{
    Access, BadAddress, ChildRole, DeviceOption, ExtendedError, IoctlRequest, MessageFlag,
};

/// A child process that waits for commands: it was forked, and has a copy of every descriptor.
#[derive(PartialEq, Eq, Debug)]
pub struct ChildProcess {
    /// Its process ID.
    pub pid: u32,
    /// Where it reads commands from.
    pub commands: Fd,
    /// Where it writes results to.
    pub results: Fd,
}

/// System calls for experiments: other kinds of descriptors, signals, processes.
///
/// As in [`Kernel`](super::Kernel), one method is one call (or the few that make one descriptor),
/// new descriptors are close-on-exec and non-blocking, and a method that is not implemented returns
/// [`Errno::ENOSYS`].
#[expect(unused_variables, reason = "a call that is not implemented ignores its arguments")]
#[expect(clippy::missing_errors_doc, reason = "each error is that of the man page")]
pub trait Devices {
    /// Creates a descriptor, of another one where its kind says so.
    fn create(&mut self, device: Device, of: Option<&Fd>) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends the calling thread a signal. Man page: raise(3)
    fn raise(&mut self, signal: Signal) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends a thread of this process a signal. Man page: tgkill(2)
    fn tgkill(&mut self, thread: u32, signal: Signal) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Installs a handler that does nothing, with `SA_RESTART`. Man page: sigaction(2)
    fn sigaction_nothing(&mut self, signal: Signal) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sets a timer: it expires after `first` (never, if that is 0), and then every `interval`
    /// (once, if that is 0). Man page: timerfd_settime(2)
    fn timerfd_settime(
        &mut self,
        timer: &Fd,
        first: Duration,
        interval: Duration,
    ) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Opens an existing file. Man page: open(2)
    fn open(&mut self, path: &str, access: Access) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Watches a file for `IN_MODIFY`. Man page: inotify_add_watch(2)
    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Watches a file for `FAN_MODIFY`. Man page: fanotify_mark(2)
    fn fanotify_mark(&mut self, fanotify: &Fd, file: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates two connected Unix sockets of type `SOCK_SEQPACKET`. Man page: unix(7)
    fn socketpair_seqpacket(&mut self) -> Result<(Fd, Fd), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends with a flag. Man page: send(2)
    fn send_flag(&mut self, socket: &Fd, buf: &[u8], flag: MessageFlag) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Receives with a flag. Man page: recv(2)
    fn recv_flag(
        &mut self,
        socket: &Fd,
        buf: &mut [u8],
        flag: MessageFlag,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends bytes, and a duplicate of a descriptor with them. Man page: unix(7), `SCM_RIGHTS`
    fn send_rights(&mut self, socket: &Fd, buf: &[u8], passed: &Fd) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Receives bytes, and the descriptor that came with them. Man page: unix(7), `SCM_RIGHTS`
    fn recv_rights(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Option<Fd>), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Takes the first message of a socket's error queue. Man page: recvmsg(2), `MSG_ERRQUEUE`
    fn recv_errqueue(&mut self, socket: &Fd) -> Result<ExtendedError, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sets an option. Man page: setsockopt(2)
    fn set_option(&mut self, socket: &Fd, name: DeviceOption, value: i32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Gets an option. Man page: getsockopt(2)
    fn get_option(&mut self, socket: &Fd, name: DeviceOption) -> Result<i32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// How many bytes an option's value has. Man page: getsockopt(2)
    fn option_len(&mut self, socket: &Fd, name: DeviceOption) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Makes a request, with a number if it sets one, and returns the number that it gets, or 0.
    /// Man page: ioctl(2)
    fn ioctl(&mut self, fd: &Fd, request: IoctlRequest, value: u32) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Lets calls on a file wait, or fail with `EAGAIN`. Man page: fcntl(2), `F_SETFL`
    fn fcntl_setfl(&mut self, fd: &Fd, is_nonblocking: bool) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Reads without waiting, whatever the file's flags are. Man page: preadv2(2), `RWF_NOWAIT`
    fn read_nowait(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Waits no time, with an address that cannot be written. Man page: epoll_wait(2)
    fn epoll_wait_at(
        &mut self,
        epoll: &Fd,
        address: BadAddress,
        events_max: u32,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Waits, and lets all signals in while it does. Man page: epoll_pwait(2)
    fn epoll_pwait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Puts a request that does nothing into the submission queue. Man page: io_uring(7)
    fn io_uring_queue(&mut self, ring: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Submits a request; returns how many were. Man page: io_uring_enter(2)
    fn io_uring_enter(&mut self, ring: &Fd) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Runs a program that puts a record into the ring. Man page: bpf(2), `BPF_PROG_TEST_RUN`
    fn bpf_ring_output(&mut self, ring: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Mounts a file over itself, in the namespace of [`Device::Mounts`]. Man page: mount(2)
    fn bind_mount(&mut self, mounts: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Waits, as [`Kernel::epoll_wait`](super::Kernel::epoll_wait), in an epoll that another thread
    /// may close: by its number. Man page: epoll_wait(2)
    fn epoll_wait_in(
        &mut self,
        epoll: u32,
        events: &mut [EpollEvent],
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Receives datagrams, in a socket that another thread may close: by its number. It blocks,
    /// whatever the timeout is. Man page: recvmmsg(2)
    fn recvmmsg_in(
        &mut self,
        socket: u32,
        messages_max: usize,
        timeout_millis: u32,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a child process, and the descriptor that it makes in its role. It waits until it is
    /// ended. Man page: fork(2)
    fn fork_with(&mut self, role: ChildRole) -> Result<(ChildProcess, Fd), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a child process, which waits for commands. Man page: fork(2)
    fn fork(&mut self) -> Result<ChildProcess, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Lets a child begin an epoll_wait(2), and returns when it is about to make the call.
    fn child_begin_wait(
        &mut self,
        child: &ChildProcess,
        epoll: u32,
        events_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// The events of the wait that was begun, or its error; `None` while it lasts.
    fn child_end_wait(
        &mut self,
        child: &ChildProcess,
    ) -> Result<Option<Result<Vec<EpollEvent>, Errno>>, Errno> {
        Err(Errno::ENOSYS)
    }

    /// A descriptor that is readable when the process has ended. Man page: pidfd_open(2)
    fn pidfd_open(&mut self, pid: u32) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends a process a signal. Man page: kill(2)
    fn kill(&mut self, pid: u32, signal: Signal) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Waits until a child has ended. Man page: waitpid(2)
    fn waitpid(&mut self, pid: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// How much longer a short system call takes in a process that is traced as strace(1) traces
    /// it: a factor, rounded down. Man page: ptrace(2), `PTRACE_SYSCALL`
    fn ptrace_factor(&mut self) -> Result<u32, Errno> {
        Err(Errno::ENOSYS)
    }
}

/// No devices.
impl Devices for () {}
