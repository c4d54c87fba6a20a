//! `&mut K` is a kernel wherever `K` is one.
//!
//! Knows only the [`Kernel`] trait; every method forwards.

use core::time::Duration;

use super::{
    EpollEvent, EpollOp, Fd, Kernel, Message, Resource, Rlimit, Shutdown, SignalSet, SocketOption,
    SocketOptionName, SocketType,
};
use crate::addr::{Addr, AddressFamily, PacketInfo};
use crate::datagram_batch::DatagramBatch;
use crate::errno::Errno;
use crate::instant::Instant;

impl<K: Kernel + ?Sized> Kernel for &mut K {
    #[inline]
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        (**self).socket(family, kind)
    }

    #[inline]
    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        (**self).socketpair(kind)
    }

    #[inline]
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        (**self).bind(socket, addr)
    }

    #[inline]
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        (**self).listen(socket, backlog)
    }

    #[inline]
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        (**self).accept4(listener)
    }

    #[inline]
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        (**self).connect(socket, addr)
    }

    #[inline]
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        (**self).getsockname(socket)
    }

    #[inline]
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        (**self).getpeername(socket)
    }

    #[inline]
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        (**self).setsockopt(socket, option)
    }

    #[inline]
    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
        (**self).getsockopt(socket, name)
    }

    #[inline]
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        (**self).recv(socket, buf)
    }

    #[inline]
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        (**self).send(socket, buf)
    }

    #[inline]
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        (**self).recvfrom(socket, buf)
    }

    #[inline]
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        (**self).sendto(socket, buf, addr)
    }

    #[inline]
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        (**self).recvmmsg(socket, batch)
    }

    #[inline]
    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        (**self).sendmmsg(socket, batch, first)
    }

    #[inline]
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        (**self).recvmsg(socket, buf)
    }

    #[inline]
    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        (**self).sendmsg(socket, buf, addr, packet_info)
    }

    #[inline]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        (**self).ioctl_outq(socket)
    }

    #[inline]
    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        (**self).shutdown(socket, how)
    }

    #[inline]
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        (**self).read(fd, buf)
    }

    #[inline]
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        (**self).write(fd, buf)
    }

    #[inline]
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        (**self).splice(from, into, len_bytes)
    }

    #[inline]
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        (**self).pipe2()
    }

    #[inline]
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        (**self).eventfd(initial)
    }

    #[inline]
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        (**self).signalfd(signals)
    }

    #[inline]
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        (**self).sigprocmask(signals)
    }

    #[inline]
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        (**self).dup(fd)
    }

    #[inline]
    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        (**self).close(fd)
    }

    #[inline]
    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        (**self).epoll_create1()
    }

    #[inline]
    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno> {
        (**self).epoll_ctl(epoll, op, fd)
    }

    #[inline]
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        (**self).epoll_wait(epoll, events, timeout_millis)
    }

    #[inline]
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        (**self).epoll_pwait2(epoll, events, timeout)
    }

    #[inline]
    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        (**self).prlimit(resource, new)
    }

    #[inline]
    fn now(&mut self) -> Instant {
        (**self).now()
    }
}
