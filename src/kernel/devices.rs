//! The [`Devices`] trait: calls beside those of [`Kernel`](super::Kernel), which a reactor does not
//! need and experiments do.
//!
//! Knows signatures; the calls are made by the kernels.

use alloc::vec::Vec;
use core::time::Duration;

use super::{EpollEvent, Fd, Signal};
use crate::errno::Errno;

/// The direction in which a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
}

/// A flag of send(2) or recv(2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageFlag {
    /// `MSG_OOB`: the last byte is urgent; the urgent byte.
    OutOfBand,
    /// `MSG_PEEK`: the bytes stay.
    Peek,
}

/// A socket option with a number that is not among those of
/// [`SocketOption`](super::SocketOption).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeviceOption {
    /// `TCP_CORK`: segments that are not full are held back, for 200 ms.
    Cork,
    /// `IP_RECVERR`: errors are queued, with the datagrams that caused them.
    ReceiveErrors,
    /// `SO_PEEK_OFF`: where the next `MSG_PEEK` begins, which moves it on.
    PeekOffset,
    /// `SO_PASSCRED`: the sender's process comes with each message.
    PassCredentials,
}

impl DeviceOption {
    /// All, to iterate over.
    pub const ALL: [Self; 4] =
        [Self::Cork, Self::ReceiveErrors, Self::PeekOffset, Self::PassCredentials];

    /// The level and the name in C. Cost: O(1).
    #[must_use]
    pub const fn c_names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cork => ("SOL_TCP", "TCP_CORK"),
            Self::ReceiveErrors => ("SOL_IP", "IP_RECVERR"),
            Self::PeekOffset => ("SOL_SOCKET", "SO_PEEK_OFF"),
            Self::PassCredentials => ("SOL_SOCKET", "SO_PASSCRED"),
        }
    }
}

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

    /// Creates a timer of the monotonic clock. Man page: timerfd_create(2)
    fn timerfd_create(&mut self) -> Result<Fd, Errno> {
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

    /// Creates a regular file without a name. Man page: open(2), `O_TMPFILE`
    fn open_tmpfile(&mut self) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a FIFO, opens its reading end, and removes its name. Man page: mkfifo(3), fifo(7)
    fn open_fifo(&mut self) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a pseudoterminal: its master, unlocked. Man page: pty(7)
    fn open_pty(&mut self) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Opens the other end of a pseudoterminal. Man page: ioctl_tty(2), `TIOCGPTPEER`
    fn open_pty_peer(&mut self, master: &Fd) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates an inotify descriptor. Man page: inotify_init1(2)
    fn inotify_init1(&mut self) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Watches a file for `IN_MODIFY`. Man page: inotify_add_watch(2)
    fn inotify_add_watch(&mut self, inotify: &Fd, file: &Fd) -> Result<(), Errno> {
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

    /// Takes the first error of a socket's error queue. Man page: recvmsg(2), `MSG_ERRQUEUE`
    fn recv_errqueue(&mut self, socket: &Fd) -> Result<Option<Errno>, Errno> {
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

    /// How many bytes can be read. Man page: ioctl(2), `FIONREAD`
    fn ioctl_inq(&mut self, fd: &Fd) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Whether the next byte is the urgent one. Man page: ioctl(2), `SIOCATMARK`
    fn ioctl_atmark(&mut self, socket: &Fd) -> Result<bool, Errno> {
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
