//! The verbs of [`Kernel`], each handed to the part that knows it.
//!
//! Knows which part that is, and where chance may interrupt a call before it begins.

use core::time::Duration;

use super::config::Ipv6;
use super::epoll::Epoll;
use super::eventfd::Counter;
use super::signal::Signals;
use super::socket::Socket;
use super::view::Sim;
use super::world::{FileId, Node, Result, World};
use crate::addr::{Addr, Family, PacketInfo};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT};
use crate::instant::Instant;
use crate::kernel::{
    Control, EpollEvent, Fd, Kernel, Kind, Limit, Message, OptionName, Resource, Shut, SignalSet,
    SocketOption,
};

impl Sim {
    /// The file that a descriptor names, and the world to use it in.
    fn with<R>(&mut self, fd: &Fd, use_it: impl FnOnce(&mut World, FileId) -> R) -> R {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, fd);
        use_it(&mut world, file)
    }

    /// As [`with`](Self::with), for what can be done to sockets only.
    fn with_socket<R>(
        &mut self,
        fd: &Fd,
        use_it: impl FnOnce(&mut World, FileId) -> Result<R>,
    ) -> Result<R> {
        self.with(fd, |world, file| {
            world.find_socket(file).ok_or(Errno::ENOTSOCK)?;
            use_it(world, file)
        })
    }

    /// A file is made, and gets a descriptor.
    fn open(&mut self, node: Node) -> Result<Fd> {
        self.world.borrow_mut().open(self.process, node)
    }
}

impl World {
    /// A signal may interrupt the calls that move bytes, before anything was done.
    fn unless_interrupted(&mut self) -> Result<&mut Self> {
        let odds = self.config.odds.interrupted;
        if self.chance.happens(odds) { Err(Errno::EINTR) } else { Ok(self) }
    }

    pub(super) fn read_any(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        match &mut self.at(file).node {
            // Reference: net/socket.c: `sock_read_iter`
            Node::Socket(_) if buf.is_empty() => Ok(0),
            Node::Socket(_) => self.recv_bytes(file, buf),
            &mut Node::Pipe(end) => self.read_pipe(end, buf),
            Node::Counter(counter) => counter.read(buf).inspect(|_| self.wake(file, EPOLLOUT)),
            &mut Node::Signals(signals) => self.read_signals(signals, buf),
            Node::Regular => Ok(0),
            Node::Epoll(_) | Node::PipeBuffer(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn write_any(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let version = self.config.version;
        match &mut self.at(file).node {
            Node::Socket(_) => self.send(file, buf, None),
            &mut Node::Pipe(end) => self.write_pipe(end, buf),
            // An edge each time, whether or not the last was read: a waker needs no read.
            Node::Counter(counter) => {
                counter.write(buf, version).inspect(|_| self.wake(file, EPOLLIN))
            }
            Node::Regular => Ok(buf.len()),
            Node::Epoll(_) | Node::Signals(_) | Node::PipeBuffer(_) => Err(Errno::EINVAL),
        }
    }
}

impl Kernel for Sim {
    fn socket(&mut self, family: Family, kind: Kind) -> Result<Fd> {
        let world = self.world.borrow();
        if family == Family::Inet6 && world.config.ipv6 == Ipv6::Absent {
            return Err(Errno::EAFNOSUPPORT);
        }
        let socket = Socket::new(family, kind, &world.config);
        drop(world);
        self.open(Node::Socket(socket.into()))
    }

    fn socketpair(&mut self, kind: Kind) -> Result<(Fd, Fd)> {
        self.world.borrow_mut().socketpair(self.process, kind)
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |world, file| world.bind(file, addr))
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<()> {
        self.with_socket(socket, |world, file| world.listen(file, backlog))
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr)> {
        let process = self.process;
        self.with(listener, |world, file| world.unless_interrupted()?.accept(process, file))
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<()> {
        self.with_socket(socket, |world, file| world.connect(file, addr))
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, World::getsockname)
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr> {
        self.with_socket(socket, World::getpeername)
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<()> {
        self.with_socket(socket, |world, file| world.setsockopt(file, option))
    }

    fn getsockopt(&mut self, socket: &Fd, name: OptionName) -> Result<SocketOption> {
        self.with_socket(socket, |world, file| world.getsockopt(file, name))
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with_socket(socket, |world, file| world.unless_interrupted()?.recv_bytes(file, buf))
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize> {
        self.with_socket(socket, |world, file| world.unless_interrupted()?.send(file, buf, None))
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr)> {
        self.with_socket(socket, |world, file| world.unless_interrupted()?.recv(file, buf))
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize> {
        let addr = Some(addr);
        self.with_socket(socket, |world, file| world.unless_interrupted()?.send(file, buf, addr))
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut Batch) -> Result<usize> {
        self.with_socket(socket, |world, file| world.unless_interrupted()?.recvmmsg(file, batch))
    }

    fn sendmmsg(&mut self, socket: &Fd, batch: &Batch, first: usize) -> Result<usize> {
        self.with_socket(socket, |world, file| {
            world.unless_interrupted()?.sendmmsg(file, batch, first)
        })
    }

    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message> {
        self.with_socket(socket, |world, file| world.unless_interrupted()?.recvmsg(file, buf))
    }

    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize> {
        self.with_socket(socket, |world, file| {
            world.unless_interrupted()?.sendmsg(file, buf, Some(addr), packet_info)
        })
    }

    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize> {
        self.with(socket, World::outq)
    }

    fn shutdown(&mut self, socket: &Fd, how: Shut) -> Result<()> {
        self.with_socket(socket, |world, file| world.shutdown(file, how))
    }

    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize> {
        self.with(fd, |world, file| world.unless_interrupted()?.read_any(file, buf))
    }

    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize> {
        self.with(fd, |world, file| world.unless_interrupted()?.write_any(file, buf))
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize> {
        let process = self.process;
        self.with(from, |world, from| {
            let into = world.file(process, into);
            world.unless_interrupted()?.splice(from, into, len_bytes)
        })
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd)> {
        self.world.borrow_mut().pipe2(self.process)
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd> {
        self.open(Node::Counter(Counter(initial.into())))
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd> {
        self.open(Node::Signals(Signals { process: self.process, wanted: signals }))
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet> {
        Ok(self.world.borrow_mut().block(self.process, signals))
    }

    fn dup(&mut self, fd: &Fd) -> Result<Fd> {
        self.world.borrow_mut().dup(self.process, fd)
    }

    fn close(&mut self, fd: Fd) -> Result<()> {
        self.world.borrow_mut().close(self.process, &fd);
        Ok(())
    }

    fn epoll_create1(&mut self) -> Result<Fd> {
        self.open(Node::Epoll(Epoll::default()))
    }

    fn epoll_ctl(&mut self, epoll: &Fd, control: Control, fd: &Fd) -> Result<()> {
        let process = self.process;
        self.with(epoll, |world, epoll| {
            let file = world.file(process, fd);
            world.epoll_ctl(epoll, control, (file, fd.number()))
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
        self.with(epoll, |world, epoll| world.epoll_wait(process, epoll, events, timeout))
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let process = self.process;
        self.with(epoll, |world, epoll| {
            if !world.config.has_pwait2 {
                return Err(Errno::ENOSYS);
            }
            world.epoll_wait(process, epoll, events, timeout)
        })
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Limit>) -> Result<Limit> {
        let Resource::OpenFiles = resource;
        self.world.borrow_mut().prlimit(self.process, new)
    }

    fn now(&mut self) -> Instant {
        self.world.borrow().now
    }
}
