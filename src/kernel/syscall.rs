//! The name of a system call, as a value.
//!
//! Knows the list and nothing of what each call does.

/// One of the calls that a [`Kernel`](super::Kernel) makes; and, after those, a few that a program
/// may make itself and wants to be counted and traced too: the older ways to wait, and processes.
/// The clock is not among them: on Linux reading it is no system call.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the name of a man page, or of a method of `Kernel`")]
pub enum Syscall {
    Socket,
    Socketpair,
    Bind,
    Listen,
    Accept4,
    Connect,
    Getsockname,
    Getpeername,
    Setsockopt,
    Getsockopt,
    Recv,
    Send,
    Recvfrom,
    Sendto,
    Recvmmsg,
    Sendmmsg,
    Recvmsg,
    Sendmsg,
    Ioctl,
    Shutdown,
    Read,
    Write,
    Splice,
    Pipe2,
    Eventfd,
    Signalfd,
    Sigprocmask,
    Dup,
    Close,
    EpollCreate1,
    EpollCtl,
    EpollWait,
    EpollPwait2,
    Prlimit,
    Poll,
    Select,
    Fork,
    Waitpid,
    Kill,
}

// A call missing from `ALL` would be counted out of bounds.
const _: () = {
    assert!(Syscall::ALL.len() == Syscall::Kill as usize + 1, "a call is missing from `ALL`");
    let mut index = 0;
    while index < Syscall::ALL.len() {
        assert!(Syscall::ALL[index] as usize == index, "`ALL` is in the order of the enum");
        index += 1;
    }
};

impl Syscall {
    /// Every call, in the order of [`Kernel`](super::Kernel), then those that are not part of it.
    pub const ALL: [Self; 39] = [
        Self::Socket,
        Self::Socketpair,
        Self::Bind,
        Self::Listen,
        Self::Accept4,
        Self::Connect,
        Self::Getsockname,
        Self::Getpeername,
        Self::Setsockopt,
        Self::Getsockopt,
        Self::Recv,
        Self::Send,
        Self::Recvfrom,
        Self::Sendto,
        Self::Recvmmsg,
        Self::Sendmmsg,
        Self::Recvmsg,
        Self::Sendmsg,
        Self::Ioctl,
        Self::Shutdown,
        Self::Read,
        Self::Write,
        Self::Splice,
        Self::Pipe2,
        Self::Eventfd,
        Self::Signalfd,
        Self::Sigprocmask,
        Self::Dup,
        Self::Close,
        Self::EpollCreate1,
        Self::EpollCtl,
        Self::EpollWait,
        Self::EpollPwait2,
        Self::Prlimit,
        Self::Poll,
        Self::Select,
        Self::Fork,
        Self::Waitpid,
        Self::Kill,
    ];

    /// The calls that a [`Kernel`](super::Kernel) makes. Cost: O(1).
    #[must_use]
    pub fn kernel_calls() -> &'static [Self] {
        &Self::ALL[..=Self::Prlimit as usize]
    }

    /// Its name in C. Cost: O(1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Socketpair => "socketpair",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Accept4 => "accept4",
            Self::Connect => "connect",
            Self::Getsockname => "getsockname",
            Self::Getpeername => "getpeername",
            Self::Setsockopt => "setsockopt",
            Self::Getsockopt => "getsockopt",
            Self::Recv => "recv",
            Self::Send => "send",
            Self::Recvfrom => "recvfrom",
            Self::Sendto => "sendto",
            Self::Recvmmsg => "recvmmsg",
            Self::Sendmmsg => "sendmmsg",
            Self::Recvmsg => "recvmsg",
            Self::Sendmsg => "sendmsg",
            Self::Ioctl => "ioctl",
            Self::Shutdown => "shutdown",
            Self::Read => "read",
            Self::Write => "write",
            Self::Splice => "splice",
            Self::Pipe2 => "pipe2",
            Self::Eventfd => "eventfd",
            Self::Signalfd => "signalfd",
            Self::Sigprocmask => "sigprocmask",
            Self::Dup => "dup",
            Self::Close => "close",
            Self::EpollCreate1 => "epoll_create1",
            Self::EpollCtl => "epoll_ctl",
            Self::EpollWait => "epoll_wait",
            Self::EpollPwait2 => "epoll_pwait2",
            Self::Prlimit => "prlimit",
            Self::Poll => "poll",
            Self::Select => "select",
            Self::Fork => "fork",
            Self::Waitpid => "waitpid",
            Self::Kill => "kill",
        }
    }

    /// Its name in the kernel's system call table, as in strace(1) and perf(1): the C library has
    /// different names for some. Cost: O(1).
    #[must_use]
    pub const fn syscall_name(self) -> &'static str {
        match self {
            Self::Recv => "recvfrom",
            Self::Send => "sendto",
            Self::Eventfd => "eventfd2",
            Self::Signalfd => "signalfd4",
            Self::Sigprocmask => "rt_sigprocmask",
            Self::Dup => "fcntl",
            Self::Prlimit => "prlimit64",
            Self::Fork => "clone",
            Self::Waitpid => "wait4",
            _ => self.name(),
        }
    }
}
