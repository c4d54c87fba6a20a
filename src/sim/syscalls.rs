//! The system calls of [`Kernel`], each forwarded to the module that implements it.
//!
//! Knows which file a descriptor refers to, and where a random interruption may occur before a call
//! begins.

use core::time::Duration;

use super::eventfd::EventFd;
use super::file::{FileId, Result, err_if};
use super::file_table::{FileKind, FileTable};
use super::handle::Sim;
use super::net::Net;
use super::signalfd::SignalFd;
use super::state::KernelState;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    EpollEvent, EpollOp, Fd, Kernel, OutgoingMessage, ReceiveMode, ReceivedDatagram,
    ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption, SocketOptionName,
    SocketType,
};
use crate::net::{Addr, AddressFamily, DatagramBatch, PacketInfo};

impl Sim {
    /// As [`with_file`](Self::with_file), for calls on sockets only.
    fn with_socket<R>(
        &self,
        fd: &Fd,
        apply: impl FnOnce(&mut Net, FileId) -> Result<R>,
    ) -> Result<R> {
        self.with_file(fd, |files, file| {
            files.net.find_socket(file).ok_or(Errno::ENOTSOCK)?;
            apply(&mut files.net, file)
        })
    }

    fn wait(
        &self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        self.enter(|state, process| {
            let epoll = state.files.file(process, epoll);
            state.epoll_wait(process, epoll, events, timeout)
        })
    }
}

/// A call that is not modelled returns `ENOSYS`, as Linux does for a call that it does not have.
impl Kernel for Sim {
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd> {
        self.enter(|state, process| state.files.open_socket(process, family, kind))
    }

    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd)> {
        self.enter(|state, process| state.files.socketpair(process, kind))
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |net, file| net.bind(file, addr))
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<()> {
        self.with_socket(socket, |net, file| net.listen(file, backlog))
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr)> {
        self.enter(|state, process| {
            let file = state.files.file(process, listener);
            state.files.maybe_eintr()?.accept(process, file)
        })
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |net, file| net.connect(file, addr))
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, Net::getsockname)
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, Net::getpeername)
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<()> {
        self.with_socket(socket, |net, file| net.setsockopt(file, option))
    }

    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption> {
        self.with_socket(socket, |net, file| net.getsockopt(file, name))
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.recv_bytes(file, buf))
    }

    fn recv_peek(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.peek_bytes(file, buf))
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.sendmsg(file, buf, None, None, 0))
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr)> {
        self.recvmsg(socket, buf).map(|message| (message.len_bytes, message.from))
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize> {
        self.sendmsg(socket, buf, addr, None)
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.recvmmsg(file, batch))
    }

    fn sendmmsg(&mut self, socket: &Fd, batch: &DatagramBatch, first: usize) -> Result<usize> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.sendmmsg(file, batch, first))
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram> {
        self.with_socket(socket, |net, file| net.maybe_eintr()?.recvmsg(file, buf))
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize> {
        self.with_socket(socket, |net, file| {
            net.maybe_eintr()?.sendmsg(file, buf, Some(addr), packet_info, 0)
        })
    }

    fn recv_message(
        &mut self,
        socket: &Fd,
        bufs: &mut [&mut [u8]],
        mode: ReceiveMode,
    ) -> Result<ReceivedMessage> {
        self.enter(|state, process| {
            let file = state.files.file(process, socket);
            state.files.recv_message(process, file, bufs, mode)
        })
    }

    fn send_message(&mut self, socket: &Fd, message: &OutgoingMessage<'_>) -> Result<usize> {
        self.enter(|state, process| {
            let file = state.files.file(process, socket);
            state.files.send_message(process, file, message)
        })
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize> {
        self.with_file(socket, FileTable::outq)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<()> {
        self.with_socket(socket, |net, file| net.shutdown(file, how))
    }

    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_file(fd, |files, file| files.maybe_eintr()?.read(file, buf))
    }

    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize> {
        self.enter(|state, process| {
            let file = state.files.file(process, fd);
            let files = state.files.maybe_eintr()?;
            let written = files.write(file, buf);
            written.inspect_err(|errno| files.raise_sigpipe(process, file, *errno))
        })
    }

    fn readv(&mut self, fd: &Fd, bufs: &mut [&mut [u8]]) -> Result<usize> {
        self.with_file(fd, |files, file| files.maybe_eintr()?.readv(file, bufs))
    }

    fn writev(&mut self, fd: &Fd, bufs: &[&[u8]]) -> Result<usize> {
        self.enter(|state, process| {
            let file = state.files.file(process, fd);
            let files = state.files.maybe_eintr()?;
            let written = files.writev(file, bufs);
            written.inspect_err(|errno| files.raise_sigpipe(process, file, *errno))
        })
    }

    /// Every descriptor is non-blocking.
    fn ioctl_fionbio(&mut self, fd: &Fd) -> Result<()> {
        self.with_file(fd, |_, _| Ok(()))
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize> {
        self.enter(|state, process| {
            let [from, into] = [from, into].map(|fd| state.files.file(process, fd));
            let files = state.files.maybe_eintr()?;
            let moved = files.splice(from, into, len_bytes);
            moved.inspect_err(|errno| files.raise_sigpipe(process, into, *errno))
        })
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd)> {
        self.enter(|state, process| state.files.pipe2(process))
    }

    fn fcntl_setpipe_sz(&mut self, pipe: &Fd, bytes: usize) -> Result<usize> {
        self.with_file(pipe, |files, file| files.set_pipe_size(file, bytes))
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd> {
        let kind = FileKind::EventFd(EventFd(initial.into()));
        self.enter(|state, process| state.files.open(process, kind))
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd> {
        self.enter(|state, process| {
            let kind = FileKind::SignalFd(SignalFd { process, mask: signals });
            state.files.open(process, kind)
        })
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet> {
        Ok(self.enter(|state, process| state.files.processes[process].block(signals)))
    }

    fn dup(&mut self, fd: &Fd) -> Result<Fd> {
        self.enter(|state, process| state.files.dup(process, fd))
    }

    fn close(&mut self, fd: Fd) -> Result<()> {
        self.enter(|state, process| state.close(process, &fd));
        Ok(())
    }

    fn epoll_create1(&mut self) -> Result<Fd> {
        self.enter(KernelState::epoll_create)
    }

    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<()> {
        self.enter(|state, process| {
            let [epoll, file] = [epoll, fd].map(|fd| state.files.file(process, fd));
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
        self.wait(epoll, events, timeout)
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        err_if(!self.with_file(epoll, |files, _| files.net.config.has_pwait2), Errno::ENOSYS)?;
        self.wait(epoll, events, timeout)
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit> {
        let Resource::Nofile = resource;
        self.enter(|state, process| state.files.processes[process].prlimit(new))
    }

    fn now(&mut self) -> Instant {
        self.enter(|state, _| state.now)
    }
}
