//! The table of system calls: one row for each, from which the [`Syscall`] enum and everything that
//! only passes calls on (`kernel/forward.rs`, `kernel/hook.rs`, `linux/mod.rs`) are generated.
//!
//! Knows names, errors and signatures; what each call does is documented in `kernel.rs`.

use crate::errno::Errno;

/// Passes the table to the macro `$apply`. A row is
///
/// ```text
/// Variant: "name in C", "name in the kernel's table", ERRNOS => method(arguments) -> result;
/// ```
///
/// in the order of the methods of `Kernel`; the result is that of success. A method of `Kernel`
/// without a row does not compile: the lint `missing_trait_methods` checks what is generated.
macro_rules! for_each_syscall {
    ($apply:ident) => {
        $apply! {
            Socket: "socket", "socket", SOCKET
                => socket(family: AddressFamily, kind: SocketType) -> Fd;
            Socketpair: "socketpair", "socketpair", SOCKET
                => socketpair(kind: SocketType) -> (Fd, Fd);
            Bind: "bind", "bind", BIND => bind(socket: &Fd, addr: &Addr) -> ();
            Listen: "listen", "listen", LISTEN => listen(socket: &Fd, backlog: u32) -> ();
            Accept4: "accept4", "accept4", ACCEPT => accept4(listener: &Fd) -> (Fd, Addr);
            Connect: "connect", "connect", CONNECT => connect(socket: &Fd, addr: &Addr) -> ();
            Getsockname: "getsockname", "getsockname", NAME => getsockname(socket: &Fd) -> Addr;
            Getpeername: "getpeername", "getpeername", NAME => getpeername(socket: &Fd) -> Addr;
            Setsockopt: "setsockopt", "setsockopt", OPTION
                => setsockopt(socket: &Fd, option: SocketOption) -> ();
            Getsockopt: "getsockopt", "getsockopt", OPTION
                => getsockopt(socket: &Fd, name: SocketOptionName) -> SocketOption;
            GetsockoptTcpInfo: "getsockopt", "getsockopt", OPTION
                => getsockopt_tcp_info(socket: &Fd) -> TcpInfo;
            Recv: "recv", "recvfrom", RECEIVE => recv(socket: &Fd, buf: &mut [u8]) -> usize;
            RecvPeek: "recv", "recvfrom", RECEIVE
                => recv_peek(socket: &Fd, buf: &mut [u8]) -> usize;
            Send: "send", "sendto", SEND => send(socket: &Fd, buf: &[u8]) -> usize;
            Recvfrom: "recvfrom", "recvfrom", RECEIVE
                => recvfrom(socket: &Fd, buf: &mut [u8]) -> (usize, Addr);
            Sendto: "sendto", "sendto", SEND
                => sendto(socket: &Fd, buf: &[u8], addr: &Addr) -> usize;
            Recvmmsg: "recvmmsg", "recvmmsg", RECEIVE
                => recvmmsg(socket: &Fd, batch: &mut DatagramBatch) -> usize;
            Sendmmsg: "sendmmsg", "sendmmsg", SEND
                => sendmmsg(socket: &Fd, batch: &DatagramBatch, first: usize) -> usize;
            Recvmsg: "recvmsg", "recvmsg", RECEIVE
                => recvmsg(socket: &Fd, buf: &mut [u8]) -> ReceivedDatagram;
            Sendmsg: "sendmsg", "sendmsg", SEND
                => sendmsg(
                    socket: &Fd, buf: &[u8], addr: &Addr, packet_info: Option<PacketInfo>
                ) -> usize;
            RecvMessage: "recvmsg", "recvmsg", RECEIVE
                => recv_message(
                    socket: &Fd, bufs: &mut [&mut [u8]], mode: ReceiveMode
                ) -> ReceivedMessage;
            SendMessage: "sendmsg", "sendmsg", SEND
                => send_message(socket: &Fd, message: &OutgoingMessage<'_>) -> usize;
            Ioctl: "ioctl", "ioctl", IOCTL => ioctl_outq(socket: &Fd) -> usize;
            Shutdown: "shutdown", "shutdown", SHUTDOWN
                => shutdown(socket: &Fd, how: Shutdown) -> ();
            Read: "read", "read", TRANSFER => read(fd: &Fd, buf: &mut [u8]) -> usize;
            Write: "write", "write", TRANSFER => write(fd: &Fd, buf: &[u8]) -> usize;
            Readv: "readv", "readv", TRANSFER
                => readv(fd: &Fd, bufs: &mut [&mut [u8]]) -> usize;
            Writev: "writev", "writev", TRANSFER => writev(fd: &Fd, bufs: &[&[u8]]) -> usize;
            IoctlFionbio: "ioctl", "ioctl", IOCTL => ioctl_fionbio(fd: &Fd) -> ();
            Splice: "splice", "splice", SPLICE
                => splice(from: &Fd, into: &Fd, len_bytes: usize) -> usize;
            Pipe2: "pipe2", "pipe2", OPEN => pipe2() -> (Fd, Fd);
            FcntlSetpipeSz: "fcntl", "fcntl", PIPE_SIZE
                => fcntl_setpipe_sz(pipe: &Fd, bytes: usize) -> usize;
            Eventfd: "eventfd", "eventfd2", OPEN => eventfd(initial: u32) -> Fd;
            Signalfd: "signalfd", "signalfd4", OPEN => signalfd(signals: SignalSet) -> Fd;
            Sigprocmask: "sigprocmask", "rt_sigprocmask", NONE
                => sigprocmask(signals: SignalSet) -> SignalSet;
            Dup: "dup", "fcntl", OPEN => dup(fd: &Fd) -> Fd;
            Close: "close", "close", CLOSE => close(fd: Fd) -> ();
            EpollCreate1: "epoll_create1", "epoll_create1", OPEN => epoll_create1() -> Fd;
            EpollCtl: "epoll_ctl", "epoll_ctl", EPOLL_CTL
                => epoll_ctl(epoll: &Fd, op: EpollOp, fd: &Fd) -> ();
            EpollWait: "epoll_wait", "epoll_wait", EPOLL_WAIT
                => epoll_wait(
                    epoll: &Fd, events: &mut [EpollEvent], timeout_millis: Option<u32>
                ) -> usize;
            EpollPwait2: "epoll_pwait2", "epoll_pwait2", EPOLL_PWAIT2
                => epoll_pwait2(
                    epoll: &Fd, events: &mut [EpollEvent], timeout: Option<Duration>
                ) -> usize;
            Prlimit: "prlimit", "prlimit64", PRLIMIT
                => prlimit(resource: Resource, new: Option<Rlimit>) -> Rlimit;
        }
    };
}
pub(crate) use for_each_syscall;

macro_rules! define_syscall {
    ($($call:ident: $name:literal, $kernel_name:literal, $errnos:ident => $method:ident
        ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        /// One of the system calls of [`Kernel`](super::Kernel). Reading the clock is not among
        /// them: on Linux it is no system call.
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Syscall {
            $(#[doc = concat!("`", $name, "`: [`Kernel::", stringify!($method),
                "`](super::Kernel::", stringify!($method), ").")]
            $call,)*
        }

        impl Syscall {
            /// Every call, in the order of [`Kernel`](super::Kernel), which is that of their
            /// values from 0 on.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$call),*];

            /// Its name in C. Cost: O(1).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$call => $name,)*
                }
            }

            /// Its name in the kernel's system call table, as in strace(1) and perf(1): the C
            /// library has different names for some. Cost: O(1).
            #[must_use]
            pub const fn syscall_name(self) -> &'static str {
                match self {
                    $(Self::$call => $kernel_name,)*
                }
            }

            /// The errors with which a correct call may fail: because of the network, other
            /// processes, signals or lack of resources. `EAGAIN` is not among them: it is a
            /// statement about the descriptor, and a false one breaks edge triggering.
            /// Cost: O(1).
            #[must_use]
            pub const fn errnos(self) -> &'static [Errno] {
                match self {
                    $(Self::$call => $errnos,)*
                }
            }
        }
    };
}
for_each_syscall!(define_syscall);

type E = Errno;
const NONE: &[Errno] = &[];
const SOCKET: &[Errno] = &[E::EMFILE, E::ENFILE, E::ENOBUFS, E::ENOMEM, E::EACCES, E::EAFNOSUPPORT];
const BIND: &[Errno] = &[E::EADDRINUSE, E::EACCES, E::EADDRNOTAVAIL, E::ENOMEM];
const LISTEN: &[Errno] = &[E::EADDRINUSE];
const ACCEPT: &[Errno] = &[
    E::EINTR,
    E::EMFILE,
    E::ENFILE,
    E::ENOBUFS,
    E::ENOMEM,
    E::ECONNABORTED,
    E::EPROTO,
    E::EPERM,
    E::ENETDOWN,
    E::EHOSTUNREACH,
    E::ENETUNREACH,
    E::ETIMEDOUT,
];
const CONNECT: &[Errno] =
    &[E::EINTR, E::ECONNREFUSED, E::ENETUNREACH, E::ETIMEDOUT, E::EADDRNOTAVAIL];
const NAME: &[Errno] = &[E::ENOBUFS, E::ENOTCONN];
const OPTION: &[Errno] = &[E::ENOMEM, E::ENOPROTOOPT];
const RECEIVE: &[Errno] = &[
    E::EINTR,
    E::ECONNRESET,
    E::ECONNREFUSED,
    E::ETIMEDOUT,
    E::EHOSTUNREACH,
    E::ENOMEM,
    E::ENOBUFS,
];
const SEND: &[Errno] = &[
    E::EINTR,
    E::ECONNRESET,
    E::EPIPE,
    E::ETIMEDOUT,
    E::EHOSTUNREACH,
    E::ENETUNREACH,
    E::EPERM,
    E::ENOMEM,
    E::ENOBUFS,
    E::EMSGSIZE,
];
/// A sandbox that does not permit the request.
const IOCTL: &[Errno] = &[E::EPERM, E::ENOSYS];
const SHUTDOWN: &[Errno] = &[E::ENOTCONN];
const TRANSFER: &[Errno] = &[E::EINTR, E::EIO, E::ENOMEM];
/// A sandbox may not permit it, a kind of socket may not implement it, and the socket may have
/// failed.
const SPLICE: &[Errno] = &[
    E::EINTR,
    E::ENOMEM,
    E::ENOSYS,
    E::EPERM,
    E::EINVAL,
    E::ECONNRESET,
    E::EPIPE,
    E::ETIMEDOUT,
    E::EHOSTUNREACH,
    E::ENOBUFS,
];
const PIPE_SIZE: &[Errno] = &[E::EPERM, E::ENOMEM];
const OPEN: &[Errno] = &[E::EMFILE, E::ENFILE, E::ENOMEM];
const CLOSE: &[Errno] = &[E::EINTR, E::EIO];
const EPOLL_CTL: &[Errno] = &[E::ENOMEM, E::ENOSPC];
const EPOLL_WAIT: &[Errno] = &[E::EINTR];
const EPOLL_PWAIT2: &[Errno] = &[E::EINTR, E::ENOSYS];
const PRLIMIT: &[Errno] = &[E::EPERM];
