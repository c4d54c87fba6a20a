//! A kernel with an ear at the door: every call is announced before and after.
//!
//! Knows the waist only. Counting and failing on purpose are taps. (Tracing needs the
//! arguments too: `traced/calls.rs`.)

use core::time::Duration;

use super::{
    Call, Control, EpollEvent, Fd, Kernel, Kind, Limit, Message, OptionName, Resource, Shut,
    SignalSet, SocketOption,
};
use crate::addr::{Addr, Family, PacketInfo};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::instant::Instant;

/// Hears of every call, and may refuse it.
pub trait Tap {
    /// `call` is about to be made. Work: as little as can be; it is on every path.
    ///
    /// # Errors
    /// Whatever the caller is to be told instead of the call being made. (A `close` is made
    /// all the same: the kernel releases the descriptor whatever it returns.)
    #[inline]
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        let _ = call;
        Ok(())
    }

    /// `call` has been made, or refused; `error` is how it failed.
    fn leave(&mut self, call: Call, error: Option<Errno>);
}

/// `kernel`, with `tap` hearing every call. Composes: the kernel may be tapped itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tapped<K, T> {
    /// Who makes the calls.
    pub kernel: K,
    /// Who hears of them.
    pub tap: T,
}

impl<K: Kernel, T: Tap> Tapped<K, T> {
    #[inline]
    fn through<R>(
        &mut self,
        call: Call,
        make: impl FnOnce(&mut K) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let result = match self.tap.enter(call) {
            Ok(()) => make(&mut self.kernel),
            Err(errno) => Err(errno),
        };
        self.tap.leave(call, result.as_ref().err().copied());
        result
    }
}

impl<K: Kernel, T: Tap> Kernel for Tapped<K, T> {
    #[inline]
    fn socket(&mut self, family: Family, kind: Kind) -> Result<Fd, Errno> {
        self.through(Call::Socket, |kernel| kernel.socket(family, kind))
    }

    #[inline]
    fn socketpair(&mut self, kind: Kind) -> Result<(Fd, Fd), Errno> {
        self.through(Call::Socketpair, |kernel| kernel.socketpair(kind))
    }

    #[inline]
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.through(Call::Bind, |kernel| kernel.bind(socket, addr))
    }

    #[inline]
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        self.through(Call::Listen, |kernel| kernel.listen(socket, backlog))
    }

    #[inline]
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        self.through(Call::Accept4, |kernel| kernel.accept4(listener))
    }

    #[inline]
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.through(Call::Connect, |kernel| kernel.connect(socket, addr))
    }

    #[inline]
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.through(Call::Getsockname, |kernel| kernel.getsockname(socket))
    }

    #[inline]
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.through(Call::Getpeername, |kernel| kernel.getpeername(socket))
    }

    #[inline]
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        self.through(Call::Setsockopt, |kernel| kernel.setsockopt(socket, option))
    }

    #[inline]
    fn getsockopt(&mut self, socket: &Fd, name: OptionName) -> Result<SocketOption, Errno> {
        self.through(Call::Getsockopt, |kernel| kernel.getsockopt(socket, name))
    }

    #[inline]
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.through(Call::Recv, |kernel| kernel.recv(socket, buf))
    }

    #[inline]
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.through(Call::Send, |kernel| kernel.send(socket, buf))
    }

    #[inline]
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        self.through(Call::Recvfrom, |kernel| kernel.recvfrom(socket, buf))
    }

    #[inline]
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        self.through(Call::Sendto, |kernel| kernel.sendto(socket, buf, addr))
    }

    #[inline]
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut Batch) -> Result<usize, Errno> {
        self.through(Call::Recvmmsg, |kernel| kernel.recvmmsg(socket, batch))
    }

    #[inline]
    fn sendmmsg(&mut self, socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno> {
        self.through(Call::Sendmmsg, |kernel| kernel.sendmmsg(socket, batch, first))
    }

    #[inline]
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        self.through(Call::Recvmsg, |kernel| kernel.recvmsg(socket, buf))
    }

    #[inline]
    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        self.through(Call::Sendmsg, |kernel| kernel.sendmsg(socket, buf, addr, packet_info))
    }

    #[inline]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        self.through(Call::Ioctl, |kernel| kernel.ioctl_outq(socket))
    }

    #[inline]
    fn shutdown(&mut self, socket: &Fd, how: Shut) -> Result<(), Errno> {
        self.through(Call::Shutdown, |kernel| kernel.shutdown(socket, how))
    }

    #[inline]
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.through(Call::Read, |kernel| kernel.read(fd, buf))
    }

    #[inline]
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.through(Call::Write, |kernel| kernel.write(fd, buf))
    }

    #[inline]
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        self.through(Call::Splice, |kernel| kernel.splice(from, into, len_bytes))
    }

    #[inline]
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        self.through(Call::Pipe2, |kernel| kernel.pipe2())
    }

    #[inline]
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        self.through(Call::Eventfd, |kernel| kernel.eventfd(initial))
    }

    #[inline]
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        self.through(Call::Signalfd, |kernel| kernel.signalfd(signals))
    }

    #[inline]
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        self.through(Call::Sigprocmask, |kernel| kernel.sigprocmask(signals))
    }

    #[inline]
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        self.through(Call::Dup, |kernel| kernel.dup(fd))
    }

    #[inline]
    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        let refused = self.tap.enter(Call::Close);
        let result = self.kernel.close(fd).and(refused);
        self.tap.leave(Call::Close, result.err());
        result
    }

    #[inline]
    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        self.through(Call::EpollCreate1, |kernel| kernel.epoll_create1())
    }

    #[inline]
    fn epoll_ctl(&mut self, epoll: &Fd, control: Control, fd: &Fd) -> Result<(), Errno> {
        self.through(Call::EpollCtl, |kernel| kernel.epoll_ctl(epoll, control, fd))
    }

    #[inline]
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        self.through(Call::EpollWait, |kernel| kernel.epoll_wait(epoll, events, timeout_millis))
    }

    #[inline]
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        self.through(Call::EpollPwait2, |kernel| kernel.epoll_pwait2(epoll, events, timeout))
    }

    #[inline]
    fn prlimit(&mut self, resource: Resource, new: Option<Limit>) -> Result<Limit, Errno> {
        self.through(Call::Prlimit, |kernel| kernel.prlimit(resource, new))
    }

    #[inline]
    fn now(&mut self) -> Instant {
        self.kernel.now()
    }
}
