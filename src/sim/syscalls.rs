//! The system calls of [`Kernel`], each forwarded to the module that implements it.
//!
//! Also decides where a random interruption may occur before a call begins.

use core::time::Duration;

use super::config::Ipv6;
use super::epoll::Epoll;
use super::eventfd::EventFd;
use super::handle::Sim;
use super::signalfd::SignalFd;
use super::socket::Socket;
use super::state::{FileId, FileKind, KernelState, Result};
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT};
use crate::instant::Instant;
use crate::kernel::{
    EpollEvent, EpollOp, Fd, Kernel, ReceivedDatagram, Resource, Rlimit, Shutdown, SignalSet,
    SocketOption, SocketOptionName, SocketType,
};
use crate::net::DatagramBatch;
use crate::net::{Addr, AddressFamily, PacketInfo};

impl Sim {
    /// Calls `apply` with the file that a descriptor refers to.
    fn with_file<R>(&mut self, fd: &Fd, apply: impl FnOnce(&mut KernelState, FileId) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let file = state.file(self.process, fd);
        apply(&mut state, file)
    }

    /// As [`with_file`](Self::with_file), for calls on sockets only.
    fn with_socket<R>(
        &mut self,
        fd: &Fd,
        apply: impl FnOnce(&mut KernelState, FileId) -> Result<R>,
    ) -> Result<R> {
        self.with_file(fd, |state, file| {
            state.find_socket(file).ok_or(Errno::ENOTSOCK)?;
            apply(state, file)
        })
    }

    /// Opens a file with a descriptor.
    fn install_file(&mut self, kind: FileKind) -> Result<Fd> {
        self.state.borrow_mut().open(self.process, kind)
    }
}

impl KernelState {
    /// A signal may interrupt calls that transfer bytes, before anything was done.
    fn maybe_eintr(&mut self) -> Result<&mut Self> {
        let probability = self.config.probabilities.interrupted;
        if self.entropy.chance(probability) { Err(Errno::EINTR) } else { Ok(self) }
    }

    pub(super) fn read_file(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        match &mut self.file_mut(file).kind {
            // Reference: net/socket.c: `sock_read_iter`
            FileKind::Socket(_) if buf.is_empty() => Ok(0),
            FileKind::Socket(_) => self.recv_bytes(file, buf),
            &mut FileKind::Pipe(end) => self.read_pipe(end, buf),
            FileKind::EventFd(counter) => counter.read(buf).inspect(|_| self.wake(file, EPOLLOUT)),
            &mut FileKind::SignalFd(signals) => self.read_signals(signals, buf),
            FileKind::Regular => Ok(0),
            FileKind::Epoll(_) | FileKind::PipeBuffer(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn write_file(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let version = self.config.version;
        match &mut self.file_mut(file).kind {
            FileKind::Socket(_) => self.send(file, buf, None),
            &mut FileKind::Pipe(end) => self.write_pipe(end, buf),
            // An edge each time, whether or not the counter was read: a waker needs no read.
            FileKind::EventFd(counter) => {
                counter.write(buf, version).inspect(|_| self.wake(file, EPOLLIN))
            }
            FileKind::Regular => Ok(buf.len()),
            FileKind::Epoll(_) | FileKind::SignalFd(_) | FileKind::PipeBuffer(_) => {
                Err(Errno::EINVAL)
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Kernel for Sim {
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd> {
        let state = self.state.borrow();
        if family == AddressFamily::Inet6 && state.config.ipv6 == Ipv6::Absent {
            return Err(Errno::EAFNOSUPPORT);
        }
        let socket = Socket::new(family, kind, &state.config);
        drop(state);
        self.install_file(FileKind::Socket(socket.into()))
    }

    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd)> {
        self.state.borrow_mut().socketpair(self.process, kind)
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |state, file| state.bind(file, addr))
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<()> {
        self.with_socket(socket, |state, file| state.listen(file, backlog))
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr)> {
        let process = self.process;
        self.with_file(listener, |state, file| state.maybe_eintr()?.accept(process, file))
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |state, file| state.connect(file, addr))
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, KernelState::getsockname)
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, KernelState::getpeername)
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<()> {
        self.with_socket(socket, |state, file| state.setsockopt(file, option))
    }

    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption> {
        self.with_socket(socket, |state, file| state.getsockopt(file, name))
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.recv_bytes(file, buf))
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.send(file, buf, None))
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr)> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.recv(file, buf))
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize> {
        let addr = Some(addr);
        self.with_socket(socket, |state, file| state.maybe_eintr()?.send(file, buf, addr))
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.recvmmsg(file, batch))
    }

    fn sendmmsg(&mut self, socket: &Fd, batch: &DatagramBatch, first: usize) -> Result<usize> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.sendmmsg(file, batch, first))
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram> {
        self.with_socket(socket, |state, file| state.maybe_eintr()?.recvmsg(file, buf))
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize> {
        self.with_socket(socket, |state, file| {
            state.maybe_eintr()?.sendmsg(file, buf, Some(addr), packet_info)
        })
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize> {
        self.with_file(socket, KernelState::outq)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<()> {
        self.with_socket(socket, |state, file| state.shutdown(file, how))
    }

    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_file(fd, |state, file| state.maybe_eintr()?.read_file(file, buf))
    }

    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize> {
        self.with_file(fd, |state, file| state.maybe_eintr()?.write_file(file, buf))
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize> {
        let process = self.process;
        self.with_file(from, |state, from| {
            let into = state.file(process, into);
            state.maybe_eintr()?.splice(from, into, len_bytes)
        })
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd)> {
        self.state.borrow_mut().pipe2(self.process)
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd> {
        self.install_file(FileKind::EventFd(EventFd(initial.into())))
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd> {
        self.install_file(FileKind::SignalFd(SignalFd { process: self.process, mask: signals }))
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet> {
        Ok(self.state.borrow_mut().block(self.process, signals))
    }

    fn dup(&mut self, fd: &Fd) -> Result<Fd> {
        self.state.borrow_mut().dup(self.process, fd)
    }

    fn close(&mut self, fd: Fd) -> Result<()> {
        self.state.borrow_mut().close(self.process, &fd);
        Ok(())
    }

    fn epoll_create1(&mut self) -> Result<Fd> {
        self.install_file(FileKind::Epoll(Epoll::default()))
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<()> {
        let process = self.process;
        self.with_file(epoll, |state, epoll| {
            let file = state.file(process, fd);
            state.epoll_ctl(epoll, op, (file, fd.number()))
        })
    }

    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize> {
        let timeout = timeout_millis.map(|millis| Duration::from_millis(millis.into()));
        let process = self.process;
        self.with_file(epoll, |state, epoll| state.epoll_wait(process, epoll, events, timeout))
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let process = self.process;
        self.with_file(epoll, |state, epoll| {
            if !state.config.has_pwait2 {
                return Err(Errno::ENOSYS);
            }
            state.epoll_wait(process, epoll, events, timeout)
        })
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit> {
        let Resource::Nofile = resource;
        self.state.borrow_mut().prlimit(self.process, new)
    }

    fn now(&mut self) -> Instant {
        self.state.borrow().now
    }
}
