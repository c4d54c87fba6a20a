//! Calls of an experiment that connect: a pair of sockets, many clients at once.
//!
//! Knows the [`Kernel`] trait only.

use super::experiment::Name;
use super::probe::loopback;
use super::run_state::{RunState, Stop, fd};
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT};
use crate::kernel::{Fd, Kernel, SocketOption, SocketType, close_quietly};
use crate::net::{Addr, AddressFamily};

impl RunState<'_, '_> {
    /// Connects clients that have no names.
    pub(super) fn connect_clients(&mut self, listener: Name, count: u32) -> Result<(), Stop> {
        let addr = self.address(listener)?;
        for _ in 0..count {
            let client = self.tracer.socket(AddressFamily::Inet, SocketType::Stream)?;
            let connected = self.tracer.connect(&client, &addr);
            self.unnamed.push(client);
            match connected {
                Ok(()) | Err(Errno::EINPROGRESS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Accepts every connection of the queue, and closes it; returns how many there were.
    pub(super) fn accept_all(&mut self, listener: Name) -> Result<u64, Stop> {
        let mut count = 0;
        loop {
            match self.tracer.accept4(fd(&self.open, listener)?) {
                Ok((accepted, _)) => {
                    self.tracer.close(accepted)?;
                    count += 1;
                }
                Err(errno) if errno.is_would_block() => return Ok(count),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Both ends of a new connection: the accepted one and the connecting one.
    pub(super) fn tcp(&mut self) -> Result<(Fd, Fd), Errno> {
        let listener = self.tracer.socket(AddressFamily::Inet, SocketType::Stream)?;
        let pair = self.connect_to(&listener);
        let closed = self.tracer.close(listener);
        match (pair, closed) {
            (Ok((server, client)), Err(errno)) => {
                close_quietly(&mut self.tracer.kernel, server);
                close_quietly(&mut self.tracer.kernel, client);
                Err(errno)
            }
            (pair, _) => pair,
        }
    }

    fn connect_to(&mut self, listener: &Fd) -> Result<(Fd, Fd), Errno> {
        self.tracer.bind(listener, &loopback())?;
        self.tracer.listen(listener, 1)?;
        let addr = self.tracer.getsockname(listener)?;
        let client = self.tracer.socket(AddressFamily::Inet, SocketType::Stream)?;
        match self.accept_from(listener, &client, &addr) {
            Ok(server) => Ok((server, client)),
            Err(errno) => {
                close_quietly(&mut self.tracer.kernel, client);
                Err(errno)
            }
        }
    }

    fn accept_from(&mut self, listener: &Fd, client: &Fd, addr: &Addr) -> Result<Fd, Errno> {
        self.tracer.setsockopt(client, SocketOption::NoDelay(true))?;
        match self.tracer.connect(client, addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        self.has_settled = false;
        self.settle_packets();
        self.wait_ready(client, EPOLLOUT);
        self.wait_ready(listener, EPOLLIN);
        let (server, _) = self.tracer.accept4(listener)?;
        match self.tracer.setsockopt(&server, SocketOption::NoDelay(true)) {
            Ok(()) => Ok(server),
            Err(errno) => {
                close_quietly(&mut self.tracer.kernel, server);
                Err(errno)
            }
        }
    }
}
