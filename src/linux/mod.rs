//! The real kernel: Linux, by its system calls.
//!
//! The only place of the library with `unsafe` or `libc::`. This file maps each call to the file
//! that makes it. Nothing here retries, stores or decides.

#![expect(unsafe_code, reason = "this is where the system calls are made")]

mod constants;
mod control;
mod epoll;
mod file;
mod layout;
mod message;
mod mmsg;
mod process;
mod result;
mod socket;
mod sockopt;
#[cfg(feature = "std")]
mod std_interop;

use core::time::Duration;

use crate::addr::{Addr, AddressFamily, PacketInfo};
use crate::datagram_batch::DatagramBatch;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    EpollEvent, EpollOp, Fd, Kernel, Message, Resource, Rlimit, Shutdown, SignalSet, SocketOption,
    SocketOptionName, SocketType,
};

/// The kernel that this process runs on.
///
/// It has no state and no size; with optimisation, a call through it compiles to the instructions
/// of a direct call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Linux;

impl Linux {
    /// Takes ownership of a descriptor by its number. Cost: O(1), no system call.
    ///
    /// For programs without `std`; with it, `Fd::from(owned_fd)` is safe. It should be
    /// non-blocking: a reactor that drains a blocking one hangs.
    ///
    /// # Panics
    /// `raw` is negative.
    ///
    /// # Safety
    /// `raw` is open, and the caller owns it and transfers the ownership.
    pub const unsafe fn from_raw_fd(raw: i32) -> Fd {
        assert!(raw >= 0, "a descriptor number is not negative");
        Fd::from_raw(raw)
    }
}

impl Kernel for Linux {
    #[inline]
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        socket::socket(family, kind)
    }

    #[inline]
    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        socket::socketpair(kind)
    }

    #[inline]
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        socket::bind(socket, addr)
    }

    #[inline]
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        socket::listen(socket, backlog)
    }

    #[inline]
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        socket::accept4(listener)
    }

    #[inline]
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        socket::connect(socket, addr)
    }

    #[inline]
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        socket::getsockname(socket)
    }

    #[inline]
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        socket::getpeername(socket)
    }

    #[inline]
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        sockopt::setsockopt(socket, option)
    }

    #[inline]
    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
        sockopt::getsockopt(socket, name)
    }

    #[inline]
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        socket::recv(socket, buf)
    }

    #[inline]
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        socket::send(socket, buf)
    }

    #[inline]
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        socket::recvfrom(socket, buf)
    }

    #[inline]
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        socket::sendto(socket, buf, addr)
    }

    #[inline]
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        mmsg::recvmmsg(socket, batch)
    }

    #[inline]
    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        mmsg::sendmmsg(socket, batch, first)
    }

    #[inline]
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        message::recvmsg(socket, buf)
    }

    #[inline]
    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        message::sendmsg(socket, buf, addr, packet_info)
    }

    #[inline]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        socket::ioctl_outq(socket)
    }

    #[inline]
    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        socket::shutdown(socket, how)
    }

    #[inline]
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        file::read(fd, buf)
    }

    #[inline]
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        file::write(fd, buf)
    }

    #[inline]
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        file::splice(from, into, len_bytes)
    }

    #[inline]
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        file::pipe2()
    }

    #[inline]
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        file::eventfd(initial)
    }

    #[inline]
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        file::signalfd(signals)
    }

    #[inline]
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        process::sigprocmask(signals)
    }

    #[inline]
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        file::dup(fd)
    }

    #[inline]
    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        file::close(fd)
    }

    #[inline]
    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        epoll::epoll_create1()
    }

    #[inline]
    fn epoll_ctl(&mut self, epoll: &Fd, control: EpollOp, fd: &Fd) -> Result<(), Errno> {
        epoll::epoll_ctl(epoll, control, fd)
    }

    #[inline]
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno> {
        epoll::epoll_wait(epoll, events, timeout_millis)
    }

    #[inline]
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        epoll::epoll_pwait2(epoll, events, timeout)
    }

    #[inline]
    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        process::prlimit(resource, new)
    }

    #[inline]
    fn now(&mut self) -> Instant {
        process::now()
    }
}
