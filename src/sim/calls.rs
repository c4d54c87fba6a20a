//! The verbs of [`Kernel`], each handed to the part that knows it.
//!
//! Knows which part that is, and where chance may interrupt a call before it begins.

use core::time::Duration;

use super::datagram::Datagram;
use super::epoll::Epoll;
use super::eventfd::Counter;
use super::signal::Signals;
use super::stream::Stream;
use super::view::Sim;
use super::world::{FileId, Node, World};
use crate::addr::{Addr, Family};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::kernel::{
    Control, EpollEvent, Fd, Kernel, Kind, Limit, OptionName, Resource, Shut, SignalSet,
    SocketOption,
};

impl Sim {
    /// The file that a descriptor names, and the world to use it in.
    fn with<R>(&mut self, fd: &Fd, use_it: impl FnOnce(&mut World, FileId) -> R) -> R {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, fd);
        use_it(&mut world, file)
    }

    /// As [`with`](Self::with), for the calls that a signal may interrupt.
    fn unless_interrupted<R>(
        &mut self,
        fd: &Fd,
        use_it: impl FnOnce(&mut World, FileId) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        self.with(fd, |world, file| {
            let odds = world.config.odds.interrupted;
            if world.chance.happens(odds) {
                return Err(Errno::EINTR);
            }
            use_it(world, file)
        })
    }
}

impl World {
    pub(super) fn read_any(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize, Errno> {
        match &self.at(file).node {
            // Reference: net/socket.c: `sock_read_iter`
            Node::Stream(_) | Node::Datagram(_) if buf.is_empty() => Ok(0),
            Node::Stream(_) => self.recv_stream(file, buf),
            Node::Datagram(_) => {
                let room = buf.len();
                self.recv_datagram(file, buf).map(|(len, _)| len.min(room))
            }
            Node::Pipe(_) => self.read_pipe(file, buf),
            Node::Counter(_) => self.read_counter(file, buf),
            Node::Signals(signals) => {
                let signals = *signals;
                self.read_signals(signals, buf)
            }
            Node::Regular => Ok(0),
            Node::Epoll(_) | Node::PipeBuffer(_) => Err(Errno::EINVAL),
        }
    }

    pub(super) fn write_any(&mut self, file: FileId, buf: &[u8]) -> Result<usize, Errno> {
        match &self.at(file).node {
            Node::Stream(_) => self.send_stream(file, buf),
            Node::Datagram(_) => self.send_datagram(file, buf, None),
            Node::Pipe(_) => self.write_pipe(file, buf),
            Node::Counter(_) => self.write_counter(file, buf),
            Node::Regular => Ok(buf.len()),
            Node::Epoll(_) | Node::Signals(_) | Node::PipeBuffer(_) => Err(Errno::EINVAL),
        }
    }
}

impl Kernel for Sim {
    fn socket(&mut self, family: Family, kind: Kind) -> Result<Fd, Errno> {
        let node = match kind {
            Kind::Stream => Node::Stream(Stream::new(family)),
            Kind::Datagram => Node::Datagram(Datagram::new(family)),
        };
        self.world.borrow_mut().open(self.process, node)
    }

    fn socketpair(&mut self, kind: Kind) -> Result<(Fd, Fd), Errno> {
        self.world.borrow_mut().socketpair(self.process, kind)
    }

    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.with(socket, |world, file| world.bind(file, addr))
    }

    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        self.with(socket, |world, file| world.listen(file, backlog))
    }

    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno> {
        let process = self.process;
        self.unless_interrupted(listener, |world, file| world.accept(process, file))
    }

    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        self.with(socket, |world, file| world.connect(file, addr))
    }

    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.with(socket, World::getsockname)
    }

    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        self.with(socket, World::getpeername)
    }

    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        self.with(socket, |world, file| world.setsockopt(file, option))
    }

    fn getsockopt(&mut self, socket: &Fd, name: OptionName) -> Result<SocketOption, Errno> {
        self.with(socket, |world, file| world.getsockopt(file, name))
    }

    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            let room = buf.len();
            world.recv_message(file, buf).map(|(len, _)| len.min(room))
        })
    }

    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            world.write_any(file, buf)
        })
    }

    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            world.recv_message(file, buf)
        })
    }

    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            world.send_message(file, buf, Some(addr))
        })
    }

    fn recvmmsg(&mut self, socket: &Fd, batch: &mut Batch) -> Result<usize, Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            world.recvmmsg(file, batch)
        })
    }

    fn sendmmsg(&mut self, socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno> {
        self.unless_interrupted(socket, |world, file| {
            world.socket(file)?;
            world.sendmmsg(file, batch, first)
        })
    }

    fn shutdown(&mut self, socket: &Fd, how: Shut) -> Result<(), Errno> {
        self.with(socket, |world, file| {
            world.socket(file)?;
            match world.find_stream(file).map(|stream| stream.is_unix()) {
                None => world.shutdown_datagram(file, how),
                Some(false) => world.shutdown_tcp(file, how),
                Some(true) => {
                    world.shutdown_unix(file, how);
                    Ok(())
                }
            }
        })
    }

    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.unless_interrupted(fd, |world, file| world.read_any(file, buf))
    }

    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.unless_interrupted(fd, |world, file| world.write_any(file, buf))
    }

    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        let process = self.process;
        self.unless_interrupted(from, |world, from| {
            let into = world.file(process, into);
            world.splice(from, into, len_bytes)
        })
    }

    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        self.world.borrow_mut().pipe2(self.process)
    }

    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        let counter = Node::Counter(Counter(initial.into()));
        self.world.borrow_mut().open(self.process, counter)
    }

    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        let signals = Node::Signals(Signals { process: self.process, wanted: signals });
        self.world.borrow_mut().open(self.process, signals)
    }

    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        Ok(self.world.borrow_mut().block(self.process, signals))
    }

    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        self.world.borrow_mut().dup(self.process, fd)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.world.borrow_mut().close(self.process, &fd);
        Ok(())
    }

    fn epoll_create1(&mut self) -> Result<Fd, Errno> {
        let epoll = Node::Epoll(Epoll::default());
        self.world.borrow_mut().open(self.process, epoll)
    }

    fn epoll_ctl(&mut self, epoll: &Fd, control: Control, fd: &Fd) -> Result<(), Errno> {
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
    ) -> Result<usize, Errno> {
        let timeout = timeout_millis.map(|millis| Duration::from_millis(millis.into()));
        let process = self.process;
        self.with(epoll, |world, epoll| world.epoll_wait(process, epoll, events, timeout))
    }

    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let process = self.process;
        self.with(epoll, |world, epoll| {
            if !world.config.has_pwait2 {
                return Err(Errno::ENOSYS);
            }
            world.epoll_wait(process, epoll, events, timeout)
        })
    }

    fn prlimit(&mut self, resource: Resource, new: Option<Limit>) -> Result<Limit, Errno> {
        let Resource::OpenFiles = resource;
        self.world.borrow_mut().prlimit(self.process, new)
    }

    fn now(&mut self) -> Instant {
        self.world.borrow().now
    }
}
