//! A kernel that assigns a client the very port that it connects to. It knows no test.

use core::time::Duration;

use epollite::kernel::{
    EpollEvent, EpollOp, Shutdown, SignalSet, SocketOption, SocketOptionName, SocketType,
};
use epollite::kernel::{ReceivedDatagram, Resource, Rlimit};
use epollite::net::{AddressFamily, DatagramBatch, PacketInfo};
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux};

/// Linux when no other ephemeral port is free.
pub(crate) struct OnePort(pub(crate) Linux);

impl Kernel for OnePort {
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        self.0.socket(family, kind)
    }

    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        self.0.socketpair(kind)
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.0.bind(socket, addr)
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        self.0.listen(socket, backlog)
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        self.0.accept4(listener)
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        if self.0.getsockname(socket)?.port() == Some(0) {
            self.0.bind(socket, addr)?;
        }
        self.0.connect(socket, addr)
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.0.getsockname(socket)
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.0.getpeername(socket)
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        self.0.setsockopt(socket, option)
    }

    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
        self.0.getsockopt(socket, name)
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.recv(socket, buf)
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.0.send(socket, buf)
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        self.0.recvfrom(socket, buf)
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        self.0.sendto(socket, buf, addr)
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        self.0.recvmmsg(socket, batch)
    }

    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        self.0.sendmmsg(socket, batch, first)
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram, Errno> {
        self.0.recvmsg(socket, buf)
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        self.0.sendmsg(socket, buf, addr, packet_info)
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        self.0.ioctl_outq(socket)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        self.0.shutdown(socket, how)
    }

    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.read(fd, buf)
    }

    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.0.write(fd, buf)
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        self.0.splice(from, into, len_bytes)
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        self.0.pipe2()
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        self.0.eventfd(initial)
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        self.0.signalfd(signals)
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        self.0.sigprocmask(signals)
    }

    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        self.0.dup(fd)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.0.close(fd)
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        self.0.epoll_create1()
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        self.0.epoll_ctl(epoll, op, fd)
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        self.0.epoll_wait(epoll, events, timeout_millis)
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        self.0.epoll_pwait2(epoll, events, timeout)
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        self.0.prlimit(resource, new)
    }

    fn now(&mut self) -> Instant {
        self.0.now()
    }
}
