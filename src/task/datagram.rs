//! Datagrams, one by one.
//!
//! Knows recvfrom(2), sendto(2), recvmsg(2) and sendmsg(2). For thousands at once there is
//! [`server::datagram`](crate::server::datagram).

use core::fmt;
use core::future::poll_fn;

use super::Handle;
use super::watched::{Side, Watched};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel, Message, recv_datagram, reply_datagram};

/// A datagram socket. Dropping it closes it.
pub struct Datagram<K: Kernel> {
    watched: Watched<K>,
    is_unix: bool,
}

impl<K: Kernel> Handle<K> {
    /// Takes a datagram socket over, a non-blocking one. Work: two system calls.
    ///
    /// # Errors
    /// What getsockname(2) said, or as [`watch`](Self::watch). It is closed then.
    ///
    /// Man page: epoll_ctl(2)
    pub fn datagram(&self, socket: Fd) -> Result<Datagram<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        let watched = self.watch(socket)?;
        Ok(Datagram { watched, is_unix: family == Some(Family::Unix) })
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
        self.watched.attempt(Side::Read, call)
    }

    /// Receives one datagram, with who sent it and, when the socket tells
    /// ([`SocketOption::PacketInfoV4`](crate::SocketOption::PacketInfoV4) and `V6`), which address
    /// of ours it came to. Work: one system call, when there is one; two where recvmsg(2) is
    /// refused.
    ///
    /// # Errors
    /// As [`recvfrom`](Self::recvfrom).
    ///
    /// Man page: recvmsg(2)
    pub fn recvmsg(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<Message, Errno>> {
        let call = |kernel: &mut K, fd: &Fd| recv_datagram(kernel, fd, buf);
        self.watched.attempt(Side::Read, call)
    }

    /// Answers a datagram that [`recvmsg`](Self::recvmsg) received, from the address that it came
    /// to. As [`sendto`](Self::sendto) otherwise. Work: one system call, when there is room; two
    /// where that address cannot be used.
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto).
    ///
    /// Man page: sendmsg(2)
    pub fn reply(
        &mut self,
        bytes: &[u8],
        message: &Message,
    ) -> impl Future<Output = Result<usize, Errno>> {
        self.send(move |kernel, fd| {
            reply_datagram(kernel, fd, bytes, &message.from, message.packet_info)
        })
    }

    /// Sends one datagram to `addr`. Work: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: of a Unix socket only: the receiver's queue is full. No event tells
    ///   when it is not: the socket is called writable all the while, so that to wait for room
    ///   would be to spin. Try later, or let the datagram go.
    /// * [`Errno::EMSGSIZE`]: too long for a datagram.
    /// * [`Errno::EACCES`]: a broadcast address, without `Broadcast`.
    ///
    /// Man page: sendto(2)
    pub fn sendto(
        &mut self,
        bytes: &[u8],
        addr: &Addr,
    ) -> impl Future<Output = Result<usize, Errno>> {
        self.send(move |kernel, fd| kernel.sendto(fd, bytes, addr))
    }

    fn send(
        &mut self,
        mut call: impl FnMut(&mut K, &Fd) -> Result<usize, Errno>,
    ) -> impl Future<Output = Result<usize, Errno>> {
        let is_unix = self.is_unix;
        poll_fn(move |cx| {
            let sent = self.watched.poll_call(
                cx,
                Side::Write,
                |kernel, fd| match call(kernel, fd) {
                    Err(errno) if is_unix && errno.would_block() => Ok(None),
                    result => result.map(Some),
                },
                |_| false,
            );
            sent.map(|sent| sent.and_then(|sent| sent.ok_or(Errno::EAGAIN)))
        })
    }

    /// The descriptor, for calls that have no verb here. Work: O(1).
    pub const fn watched(&mut self) -> &mut Watched<K> {
        &mut self.watched
    }

    /// Gives the descriptor back, open. Work: one system call.
    pub fn into_fd(self) -> Fd {
        self.watched.into_fd()
    }
}

impl<K: Kernel> fmt::Debug for Datagram<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Datagram").field(&self.watched).finish()
    }
}
