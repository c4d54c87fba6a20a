//! Wraps a kernel and calls a hook before and after every system call.
//!
//! Knows the [`Kernel`] trait only. Counting and fault injection are hooks. (Tracing needs the
//! arguments too: `tracer/syscalls.rs`.)

use core::time::Duration;

use super::{
    EpollEvent, EpollOp, Fd, Kernel, Message, Resource, Rlimit, Shutdown, SignalSet, SocketOption,
    SocketOptionName, SocketType, Syscall,
};
use crate::addr::{Addr, AddressFamily, PacketInfo};
use crate::datagram_batch::DatagramBatch;
use crate::errno::Errno;
use crate::instant::Instant;

/// Called before and after every system call; may reject it.
pub trait SyscallHook {
    /// Called before `call` is made. Cost: should be minimal; it is on every path.
    ///
    /// # Errors
    /// The error that the caller gets instead of the call being made. (A `close` is made
    /// all the same: the kernel releases the descriptor whatever it returns.)
    #[inline]
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        let _ = call;
        Ok(())
    }

    /// Called after `call` was made or rejected; `error` is its error.
    fn on_exit(&mut self, call: Syscall, error: Option<Errno>);
}

/// `kernel`, with `hook` called for every system call. Composable: the kernel may be hooked too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooked<K, T> {
    /// The kernel that makes the calls.
    pub kernel: K,
    /// The hook.
    pub hook: T,
}

impl<K: Kernel, T: SyscallHook> Hooked<K, T> {
    #[inline]
    fn call_hooked<R>(
        &mut self,
        call: Syscall,
        call_fn: impl FnOnce(&mut K) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let result = match self.hook.on_enter(call) {
            Ok(()) => call_fn(&mut self.kernel),
            Err(errno) => Err(errno),
        };
        self.hook.on_exit(call, result.as_ref().err().copied());
        result
    }
}

impl<K: Kernel, T: SyscallHook> Kernel for Hooked<K, T> {
    #[inline]
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        self.call_hooked(Syscall::Socket, |kernel| kernel.socket(family, kind))
    }

    #[inline]
    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        self.call_hooked(Syscall::Socketpair, |kernel| kernel.socketpair(kind))
    }

    #[inline]
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.call_hooked(Syscall::Bind, |kernel| kernel.bind(socket, addr))
    }

    #[inline]
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        self.call_hooked(Syscall::Listen, |kernel| kernel.listen(socket, backlog))
    }

    #[inline]
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        self.call_hooked(Syscall::Accept4, |kernel| kernel.accept4(listener))
    }

    #[inline]
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.call_hooked(Syscall::Connect, |kernel| kernel.connect(socket, addr))
    }

    #[inline]
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.call_hooked(Syscall::Getsockname, |kernel| kernel.getsockname(socket))
    }

    #[inline]
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.call_hooked(Syscall::Getpeername, |kernel| kernel.getpeername(socket))
    }

    #[inline]
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        self.call_hooked(Syscall::Setsockopt, |kernel| kernel.setsockopt(socket, option))
    }

    #[inline]
    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
        self.call_hooked(Syscall::Getsockopt, |kernel| kernel.getsockopt(socket, name))
    }

    #[inline]
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Recv, |kernel| kernel.recv(socket, buf))
    }

    #[inline]
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Send, |kernel| kernel.send(socket, buf))
    }

    #[inline]
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        self.call_hooked(Syscall::Recvfrom, |kernel| kernel.recvfrom(socket, buf))
    }

    #[inline]
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Sendto, |kernel| kernel.sendto(socket, buf, addr))
    }

    #[inline]
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Recvmmsg, |kernel| kernel.recvmmsg(socket, batch))
    }

    #[inline]
    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Sendmmsg, |kernel| kernel.sendmmsg(socket, batch, first))
    }

    #[inline]
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        self.call_hooked(Syscall::Recvmsg, |kernel| kernel.recvmsg(socket, buf))
    }

    #[inline]
    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Sendmsg, |kernel| kernel.sendmsg(socket, buf, addr, packet_info))
    }

    #[inline]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Ioctl, |kernel| kernel.ioctl_outq(socket))
    }

    #[inline]
    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        self.call_hooked(Syscall::Shutdown, |kernel| kernel.shutdown(socket, how))
    }

    #[inline]
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Read, |kernel| kernel.read(fd, buf))
    }

    #[inline]
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Write, |kernel| kernel.write(fd, buf))
    }

    #[inline]
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        self.call_hooked(Syscall::Splice, |kernel| kernel.splice(from, into, len_bytes))
    }

    #[inline]
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        self.call_hooked(Syscall::Pipe2, |kernel| kernel.pipe2())
    }

    #[inline]
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        self.call_hooked(Syscall::Eventfd, |kernel| kernel.eventfd(initial))
    }

    #[inline]
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        self.call_hooked(Syscall::Signalfd, |kernel| kernel.signalfd(signals))
    }

    #[inline]
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        self.call_hooked(Syscall::Sigprocmask, |kernel| kernel.sigprocmask(signals))
    }

    #[inline]
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        self.call_hooked(Syscall::Dup, |kernel| kernel.dup(fd))
    }

    #[inline]
    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        let verdict = self.hook.on_enter(Syscall::Close);
        let result = self.kernel.close(fd).and(verdict);
        self.hook.on_exit(Syscall::Close, result.err());
        result
    }

    #[inline]
    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        self.call_hooked(Syscall::EpollCreate1, |kernel| kernel.epoll_create1())
    }

    #[inline]
    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        self.call_hooked(Syscall::EpollCtl, |kernel| kernel.epoll_ctl(epoll, op, fd))
    }

    #[inline]
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        self.call_hooked(Syscall::EpollWait, |kernel| {
            kernel.epoll_wait(epoll, events, timeout_millis)
        })
    }

    #[inline]
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        self.call_hooked(Syscall::EpollPwait2, |kernel| kernel.epoll_pwait2(epoll, events, timeout))
    }

    #[inline]
    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        self.call_hooked(Syscall::Prlimit, |kernel| kernel.prlimit(resource, new))
    }

    #[inline]
    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}
