//! Waits until everything sent over the loopback interface has arrived, without sleeping.
//!
//! Knows the [`Kernel`] trait only. The real kernel queues packets of the loopback interface for
//! each CPU, in order: when a datagram to itself comes back, all earlier packets were delivered.

use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::kernel::{EpollEvent, EpollOp, Fd, Kernel, SocketType, close_quietly};
use crate::net::{Addr, AddressFamily};

/// Rounds of [`Probe::settle`]: connecting takes three segments, closing two more.
const ROUNDS: usize = 4;
/// How long a datagram may take to come back: too long on any machine.
const RETURN_MILLIS: u32 = 5_000;

/// A datagram socket that sends to itself.
#[derive(Debug)]
pub(super) struct Probe {
    socket: Fd,
    epoll: Fd,
    addr: Addr,
}

impl Probe {
    pub(super) fn open(kernel: &mut dyn Kernel) -> Result<Self, Errno> {
        let socket = kernel.socket(AddressFamily::Inet, SocketType::Datagram)?;
        match watched(kernel, &socket) {
            Ok((addr, epoll)) => Ok(Self { socket, epoll, addr }),
            Err(errno) => {
                close_quietly(kernel, socket);
                Err(errno)
            }
        }
    }

    /// Waits until what was sent before has arrived. `other` is called in each round, for what only
    /// the caller can wait for.
    pub(super) fn settle(&self, kernel: &mut dyn Kernel, other: &mut dyn FnMut()) {
        for _ in 0..ROUNDS {
            other();
            if kernel.sendto(&self.socket, b"?", &self.addr).is_err() {
                continue;
            }
            let mut events = [EpollEvent::default()];
            while kernel.recv(&self.socket, &mut [0; 1]).is_err_and(Errno::is_would_block) {
                match kernel.epoll_wait(&self.epoll, &mut events, Some(RETURN_MILLIS)) {
                    Ok(1..) | Err(Errno::EINTR) => {}
                    Ok(0) | Err(_) => break,
                }
            }
        }
    }

    pub(super) fn close(self, kernel: &mut dyn Kernel) {
        close_quietly(kernel, self.socket);
        close_quietly(kernel, self.epoll);
    }
}

/// Binds a socket, and creates an epoll that watches it.
fn watched(kernel: &mut dyn Kernel, socket: &Fd) -> Result<(Addr, Fd), Errno> {
    kernel.bind(socket, &loopback())?;
    let addr = kernel.getsockname(socket)?;
    let epoll = kernel.epoll_create1()?;
    match kernel.epoll_ctl(&epoll, EpollOp::Add(EpollEvent::new(EPOLLIN, 0)), socket) {
        Ok(()) => Ok((addr, epoll)),
        Err(errno) => {
            close_quietly(kernel, epoll);
            Err(errno)
        }
    }
}

/// Any port of the loopback interface.
pub(super) fn loopback() -> Addr {
    Addr::V4(core::net::SocketAddrV4::new(core::net::Ipv4Addr::LOCALHOST, 0))
}
