//! `Transport`: the operations of a socket that a connection needs, and the socket of a kernel.
//!
//! Knows one descriptor, and no connection.

use crate::errno::Errno;
use crate::kernel::{ConnectionDecision, Decision, Fd, Kernel, Shutdown};
use crate::reactor::retry::retry_on_eintr;
use crate::reactor::{Io, Received, Sent, io};

/// A socket, as a [`Connection`](super::Connection) uses it. It never blocks.
pub trait Transport {
    /// Receives bytes of the stream. `buf` is not empty. Cost: one system call.
    ///
    /// # Errors
    /// [`Errno::EINTR`]: interrupted; the work remains. Any other ends the connection.
    ///
    /// Man page: recv(2)
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno>;

    /// As [`recv`](Self::recv), and the bytes stay: the next call returns them again. The server
    /// calls it while its buffers have no room ([`StreamConfig::buffer_total_bytes`]). The default
    /// fails with [`Errno::ENOSYS`], which closes the connection. Cost: one system call.
    ///
    /// [`StreamConfig::buffer_total_bytes`]: super::StreamConfig::buffer_total_bytes
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: recv(2), `MSG_PEEK`
    fn peek(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        let _ = buf;
        Err(Errno::ENOSYS)
    }

    /// Sends bytes, or as many of them as fit the send buffer. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: send(2)
    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno>;

    /// Shuts down one direction or both. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: shutdown(2)
    fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno>;

    /// The amount of data in the send queue: for TCP what the peer's kernel has not acknowledged,
    /// for a Unix socket what the peer has not read; 0 where that is not known. Only changes
    /// matter: they show that the peer reads. Cost: one system call.
    ///
    /// Man page: tcp(7) and unix(7), `SIOCOUTQ`
    fn unsent_bytes(&mut self) -> usize;

    /// Moves up to `bytes_max` received bytes into a pipe of the transport, which is empty; returns
    /// how many. 0: nothing was moved, and [`recv`](Self::recv) tells why. `None`: it cannot, which
    /// is the default. Cost: one system call, and at most four to create a pipe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: splice(2)
    fn splice_in(&mut self, bytes_max: usize) -> Result<Option<usize>, Errno> {
        let _ = bytes_max;
        Ok(None)
    }

    /// Sends bytes from the pipe, which holds `bytes`. `None`: it cannot, and the bytes are still
    /// there. Called after [`splice_in`](Self::splice_in) only. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: splice(2)
    fn splice_out(&mut self, bytes: usize) -> Result<Option<Sent>, Errno> {
        let _ = bytes;
        Ok(None)
    }

    /// Reads bytes of the pipe, which holds some, because they cannot be sent from there; returns
    /// how many, at least one. Called after [`splice_in`](Self::splice_in) only. Cost: one system
    /// call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: read(2)
    fn read_pipe(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let _ = buf;
        Err(Errno::ENOSYS)
    }

    /// Takes note of a decision about the connection: not a system call. Cost: none, unless its
    /// kernel does something with it ([`Kernel::on_decision`]).
    #[inline]
    fn on_decision(&mut self, what: ConnectionDecision) {
        let _ = what;
    }
}

/// A socket of a kernel. Interrupted calls are repeated, up to 16 calls.
#[derive(Debug)]
pub struct Socket<'a, K: Kernel> {
    /// The kernel.
    pub kernel: &'a mut K,
    /// The descriptor.
    pub fd: &'a Fd,
}

impl<'a, K: Kernel> Socket<'a, K> {
    #[inline]
    pub(super) fn of(io: &'a mut Io<'_, K>) -> Self {
        Self { kernel: io.kernel, fd: &io.watched.fd }
    }
}

impl<K: Kernel> Transport for Socket<'_, K> {
    #[inline]
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        io::recv(self.kernel, self.fd, buf)
    }

    fn peek(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        match retry_on_eintr(|| self.kernel.recv_peek(self.fd, buf)) {
            Ok(0) => Ok(Received::Eof),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(errno) if errno.is_would_block() => Ok(Received::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    #[inline]
    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        io::send(self.kernel, self.fd, buf)
    }

    fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        retry_on_eintr(|| self.kernel.shutdown(self.fd, how))
    }

    fn unsent_bytes(&mut self) -> usize {
        retry_on_eintr(|| self.kernel.ioctl_outq(self.fd)).unwrap_or(0)
    }

    #[inline]
    fn on_decision(&mut self, what: ConnectionDecision) {
        self.kernel.on_decision(Decision::Connection { fd: self.fd.number(), what });
    }
}
