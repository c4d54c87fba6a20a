//! A kernel that assigns a client the very port that it connects to. It knows no test.

use core::time::Duration;

use epollite::kernel::{EpollEvent, EpollOp, Shutdown, SocketOption, SocketOptionName, SocketType};
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux};

/// Linux when no other ephemeral port is free.
pub(crate) struct OnePort(pub(crate) Linux);

impl Kernel for OnePort {
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        self.0.socket(family, kind)
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

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno> {
        self.0.shutdown(socket, how)
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

    fn now(&mut self) -> Instant {
        self.0.now()
    }
}
