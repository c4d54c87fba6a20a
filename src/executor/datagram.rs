//! Datagram sockets, one datagram per call.
//!
//! Knows recvfrom(2), sendto(2), recvmsg(2) and sendmsg(2), and those of a connected socket. For
//! batches use [`server::datagram`](crate::server::datagram).

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;

use super::Handle;
use super::async_fd::AsyncFd;
use super::io_state::Direction;
use crate::errno::Errno;
use crate::kernel::{
    Fd, Kernel, ReceivedDatagram, SocketType, close_quietly, recv_datagram, reply_datagram,
};
use crate::net::{Addr, AddressFamily};

/// A datagram socket. Dropping it closes it.
pub struct DatagramSocket<K: Kernel> {
    async_fd: AsyncFd<K>,
    is_unix: bool,
}

/// The half of a [`DatagramSocket`] that receives. The socket is closed when both are dropped.
pub struct DatagramRecvHalf<K: Kernel>(Rc<DatagramSocket<K>>);

/// The half of a [`DatagramSocket`] that sends. The socket is closed when both are dropped.
pub struct DatagramSendHalf<K: Kernel>(Rc<DatagramSocket<K>>);

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

    /// Creates a datagram socket with `addr` as its own address: UDP, port 0 for any, or Unix.
    /// Cost: three system calls.
    ///
    /// # Errors
    /// * [`Errno::EADDRINUSE`], [`Errno::EADDRNOTAVAIL`], [`Errno::EACCES`]: from bind(2).
    /// * [`Errno::EMFILE`], …: no socket can be created.
    ///
    /// Man page: socket(2), bind(2)
    pub fn bind_datagram(&self, addr: &Addr) -> Result<DatagramSocket<K>, Errno> {
        self.datagram_socket(addr, |kernel, socket| kernel.bind(socket, addr))
    }

    /// Creates a datagram socket that is connected to `peer`: it sends to that address and receives
    /// from it only. A Unix socket has no name of its own, and gets no replies. Cost: three system
    /// calls.
    ///
    /// # Errors
    /// * [`Errno::ENETUNREACH`], and for Unix [`Errno::ECONNREFUSED`], [`Errno::ENOENT`]: from
    ///   connect(2).
    /// * [`Errno::EMFILE`], …: no socket can be created.
    ///
    /// Man page: socket(2), connect(2)
    pub fn connect_datagram(&self, peer: &Addr) -> Result<DatagramSocket<K>, Errno> {
        self.datagram_socket(peer, |kernel, socket| kernel.connect(socket, peer))
    }

    fn datagram_socket(
        &self,
        addr: &Addr,
        prepare: impl FnOnce(&mut K, &Fd) -> Result<(), Errno>,
    ) -> Result<DatagramSocket<K>, Errno> {
        let family = addr.family().ok_or(Errno::EAFNOSUPPORT)?;
        let socket = self.with_kernel(|kernel| {
            let socket = kernel.socket(family, SocketType::Datagram)?;
            match prepare(kernel, &socket) {
                Ok(()) => Ok(socket),
                Err(errno) => {
                    close_quietly(kernel, socket);
                    Err(errno)
                }
            }
        })?;
        let async_fd = self.async_fd(socket)?;
        Ok(DatagramSocket { async_fd, is_unix: family == AddressFamily::Unix })
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
        self.recv_with(|kernel, fd| kernel.recvfrom(fd, buf))
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
        self.recv_with(|kernel, fd| recv_datagram(kernel, fd, buf))
    }

    /// Receives one datagram of a connected socket. Returns how many of its bytes `buf` holds; the
    /// rest is lost. An empty datagram is 0 bytes, too. Cost: one system call, when there is a
    /// datagram.
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram reached a closed port; continue.
    ///
    /// Man page: recv(2)
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.recv_with(|kernel, fd| kernel.recv(fd, buf))
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
        self.send_with(move |kernel, fd| {
            reply_datagram(kernel, fd, bytes, &message.from, message.packet_info)
        })
    }

    /// Sends one datagram to `addr`. Cost: one system call, when there is room.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: of a Unix socket only: the receiver's queue is full. No event reports
    ///   when it no longer is: a socket that is not connected stays writable all the time, so that
    ///   waiting for room would busy-poll. Retry later, or drop the datagram.
    /// * [`Errno::EMSGSIZE`]: too long for a datagram.
    /// * [`Errno::EACCES`]: a broadcast address, without `Broadcast`.
    ///
    /// Man page: sendto(2)
    pub fn sendto(
        &mut self,
        bytes: &[u8],
        addr: &Addr,
    ) -> impl Future<Output = Result<usize, Errno>> {
        self.send_with(move |kernel, fd| kernel.sendto(fd, bytes, addr))
    }

    /// Sends one datagram to the peer of a connected socket. Cost: one system call, when there is
    /// room.
    ///
    /// # Errors
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram reached a closed port; continue.
    /// * [`Errno::EDESTADDRREQ`], of Unix sockets [`Errno::ENOTCONN`]: it is not connected.
    /// * As [`sendto`](Self::sendto).
    ///
    /// Man page: send(2)
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.send_with(move |kernel, fd| kernel.send(fd, bytes))
    }

    /// Splits it, for one task that receives and another that sends. Cost: one allocation.
    #[must_use]
    pub fn split(self) -> (DatagramRecvHalf<K>, DatagramSendHalf<K>) {
        let socket = Rc::new(self);
        (DatagramRecvHalf(Rc::clone(&socket)), DatagramSendHalf(socket))
    }

    fn recv_with<R>(
        &self,
        mut call: impl FnMut(&mut K, &Fd) -> Result<R, Errno>,
    ) -> impl Future<Output = Result<R, Errno>> {
        poll_fn(move |cx| self.async_fd.poll_io(cx, Direction::Read, &mut call, |_| false))
    }

    fn send_with(
        &self,
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

impl<K: Kernel> DatagramRecvHalf<K> {
    /// As [`DatagramSocket::recvfrom`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn recvfrom(
        &mut self,
        buf: &mut [u8],
    ) -> impl Future<Output = Result<(usize, Addr), Errno>> {
        self.0.recv_with(|kernel, fd| kernel.recvfrom(fd, buf))
    }

    /// As [`DatagramSocket::recv`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn recv(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.recv_with(|kernel, fd| kernel.recv(fd, buf))
    }
}

impl<K: Kernel> DatagramSendHalf<K> {
    /// As [`DatagramSocket::sendto`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn sendto(
        &mut self,
        bytes: &[u8],
        addr: &Addr,
    ) -> impl Future<Output = Result<usize, Errno>> {
        self.0.send_with(move |kernel, fd| kernel.sendto(fd, bytes, addr))
    }

    /// As [`DatagramSocket::send`]. Cost: as there.
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, Errno>> {
        self.0.send_with(move |kernel, fd| kernel.send(fd, bytes))
    }
}

impl<K: Kernel> fmt::Debug for DatagramSocket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatagramSocket").field(&self.async_fd).finish()
    }
}

impl<K: Kernel> fmt::Debug for DatagramRecvHalf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatagramRecvHalf").field(&self.0).finish()
    }
}

impl<K: Kernel> fmt::Debug for DatagramSendHalf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatagramSendHalf").field(&self.0).finish()
    }
}
