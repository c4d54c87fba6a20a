//! The name of a system call, as a value.
//!
//! Knows the list and nothing of what each does.

/// One of the calls that a [`Kernel`](super::Kernel) makes; and, behind those, the few that a
/// program may make beside one and wants counted and written down alike: the older ways to wait,
/// and processes. The clock is not among them: on Linux reading it enters no kernel.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the name of a man page, or of a method of `Kernel`")]
pub enum Call {
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

// A call that is missing here would be counted out of bounds.
const _: () = {
    assert!(Call::ALL.len() == Call::Kill as usize + 1, "a call is missing from `ALL`");
    let mut at = 0;
    while at < Call::ALL.len() {
        assert!(Call::ALL[at] as usize == at, "`ALL` is in the order of the enum");
        at += 1;
    }
};

impl Call {
    /// Every call, in the order of [`Kernel`](super::Kernel), then those that are none of its.
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

    /// Those that a [`Kernel`](super::Kernel) makes: the others it never sees. Work: O(1).
    #[must_use]
    pub fn of_kernel() -> &'static [Self] {
        &Self::ALL[..=Self::Prlimit as usize]
    }

    /// Its name in C. Work: O(1).
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

    /// Its name where the kernel keeps its table of calls, and so in strace(1) and perf(1):
    /// the C library has names of its own for some. Work: O(1).
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
