//! DatagramSocket sockets, one datagram per call.
//!
//! Knows recvfrom(2), sendto(2), recvmsg(2) and sendmsg(2). For batches use
//! [`server::datagram`](crate::server::datagram).

use core::fmt;
use core::future::poll_fn;

use super::Handle;
use super::async_fd::AsyncFd;
use super::io_state::Direction;
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel, ReceivedDatagram, recv_datagram, reply_datagram};
use crate::net::{Addr, AddressFamily};

/// A datagram socket. Dropping it closes it.
pub struct DatagramSocket<K: Kernel> {
    async_fd: AsyncFd<K>,
    is_unix: bool,
}

impl<K: Kernel> Handle<K> {
    /// Takes ownership of a non-blocking datagram socket. Cost: two system calls.
    ///
    /// # Errors
    /// What getsockname(2) returned, or as [`async_fd`](Self::async_fd). It is closed then.
    ///
    /// Man page: epoll_ctl(2)
    pub fn datagram(&self, socket: Fd) -> Result<DatagramSocket<K>, Errno> {
        let (socket, family) = self.family(socket)?;
        let async_fd = self.async_fd(socket)?;
        Ok(DatagramSocket { async_fd, is_unix: family == Some(AddressFamily::Unix) })
    }
}

impl<K: Kernel> DatagramSocket<K> {
    /// Receives one datagram and its sender's address. Returns its *whole* length: if that is more
    /// than `buf` holds, the rest is lost. Cost: one system call, when there is a datagram.
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram reached a closed port; continue.
    ///
    /// Man page: recvfrom(2)
    pub fn recvfrom(
        &mut self,
        buf: &mut [u8],
    ) -> impl Future<Output = Result<(usize, Addr), Errno>> {
        let call = |kernel: &mut K, fd: &Fd| kernel.recvfrom(fd, buf);
        self.async_fd.async_io(Direction::Read, call)
    }

    /// Receives one datagram with its sender's address and, when enabled on the socket
    /// ([`SocketOption::PacketInfoV4`](crate::kernel::SocketOption::PacketInfoV4) and `V6`), its
    /// local destination. Cost: one system call, when there is a datagram; two where recvmsg(2) is
    /// denied.
    ///
    /// # Errors
    /// As [`recvfrom`](Self::recvfrom).
    ///
    /// Man page: recvmsg(2)
    pub fn recvmsg(
        &mut self,
        buf: &mut [u8],
    ) -> impl Future<Output = Result<ReceivedDatagram, Errno>> {
        let call = |kernel: &mut K, fd: &Fd| recv_datagram(kernel, fd, buf);
        self.async_fd.async_io(Direction::Read, call)
    }

    /// Replies to a datagram that [`recvmsg`](Self::recvmsg) received, from its local destination.
    /// As [`sendto`](Self::sendto) otherwise. Cost: one system call, when there is room; two
    /// where that address cannot be used.
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto).
    ///
    /// Man page: sendmsg(2)
    pub fn reply(
        &mut self,
        bytes: &[u8],
        message: &ReceivedDatagram,
    ) -> impl Future<Output = Result<usize, Errno>> {
        self.send(move |kernel, fd| {
            reply_datagram(kernel, fd, bytes, &message.from, message.packet_info)
        })
    }

    /// Sends one datagram to `addr`. Cost: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: of a Unix socket only: the receiver's queue is full. No event reports
    ///   when it no longer is: the socket stays writable all the time, so that waiting for room
    ///   would busy-poll. Retry later, or drop the datagram.
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
            let sent = self.async_fd.poll_io(
                cx,
                Direction::Write,
                |kernel, fd| match call(kernel, fd) {
                    Err(errno) if is_unix && errno.is_would_block() => Ok(None),
                    result => result.map(Some),
                },
                |_| false,
            );
            sent.map(|sent| sent.and_then(|sent| sent.ok_or(Errno::EAGAIN)))
        })
    }

    /// The descriptor, for calls that have no method here. Cost: O(1).
    pub const fn async_fd(&mut self) -> &mut AsyncFd<K> {
        &mut self.async_fd
    }

    /// Deregisters the descriptor and returns it, open. Cost: one system call.
    pub fn into_fd(self) -> Fd {
        self.async_fd.into_fd()
    }
}

impl<K: Kernel> fmt::Debug for DatagramSocket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatagramSocket").field(&self.async_fd).finish()
    }
}
