//! Datagrams, one by one.
//!
//! Knows recvfrom(2) and sendto(2). For thousands at once there is
//! [`server::datagram`](crate::server::datagram).

use core::fmt;
use core::future::poll_fn;

use super::Handle;
use super::watched::{Side, Watched};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel};

/// A datagram socket. Dropping it closes it.
pub struct Datagram<K: Kernel>(Watched<K>);

impl<K: Kernel> Handle<K> {
    /// Takes a datagram socket over, a non-blocking one. Work: one system call.
    ///
    /// # Errors
    /// As [`watch`](Self::watch). It is closed then.
    ///
    /// Man page: epoll_ctl(2)
    pub fn datagram(&self, socket: Fd) -> Result<Datagram<K>, Errno> {
        self.watch(socket).map(Datagram)
    }
}

impl<K: Kernel> Datagram<K> {
    /// Receives one datagram and who sent it. Returns its *whole* length: more than `buf` has
    /// means that the rest is lost. Work: one system call, when there is one.
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram met a closed port; go on.
    ///
    /// Man page: recvfrom(2)
    pub fn recvfrom(
        &mut self,
        buf: &mut [u8],
    ) -> impl Future<Output = Result<(usize, Addr), Errno>> {
        let call = |kernel: &mut K, fd: &Fd| kernel.recvfrom(fd, buf);
        self.0.attempt(Side::Read, call)
    }

    /// Sends one datagram to `addr`. Work: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EMSGSIZE`]: too long for a datagram.
    /// * [`Errno::EACCES`]: a broadcast address, without `Broadcast`.
    ///
    /// Man page: sendto(2)
    pub fn sendto(
        &mut self,
        bytes: &[u8],
        addr: &Addr,
    ) -> impl Future<Output = Result<usize, Errno>> {
        poll_fn(move |cx| {
            self.0.poll_call(
                cx,
                Side::Write,
                |kernel, fd| kernel.sendto(fd, bytes, addr),
                |_| false,
            )
        })
    }

    /// The descriptor, for calls that have no verb here. Work: O(1).
    pub const fn watched(&mut self) -> &mut Watched<K> {
        &mut self.0
    }

    /// Gives the descriptor back, open. Work: one system call.
    pub fn into_fd(self) -> Fd {
        self.0.into_fd()
    }
}

impl<K: Kernel> fmt::Debug for Datagram<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Datagram").field(&self.0).finish()
    }
}
