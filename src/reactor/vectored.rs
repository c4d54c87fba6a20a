//! Several buffers in one call on a registration.
//!
//! Knows readv(2) and sendmsg(2). As in `io.rs` `EAGAIN` is an outcome, and `EINTR` is retried.

use super::io::{Io, Received, Sent};
use super::storage::Storage;
use crate::errno::Errno;
use crate::kernel::{IOVECS_MAX, Kernel, OutgoingMessage};

impl<K: Kernel, S: Storage> Io<'_, K, S> {
    /// Receives bytes of a stream into several buffers, one after the other; those after the first
    /// [`IOVECS_MAX`] are left as they are. Descriptors that come with
    /// the bytes are not installed. Cost: one system call, O(buffers).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    /// The buffers have no room: the result could not be told from an end of file.
    ///
    /// Man page: readv(2)
    #[doc(alias = "readv")]
    pub fn recv_vectored(&mut self, bufs: &mut [&mut [u8]]) -> Result<Received, Errno> {
        let mut first = bufs.iter().take(IOVECS_MAX);
        assert!(first.any(|buf| !buf.is_empty()), "the receive buffers must not be empty");
        match self.syscall(|kernel, fd| kernel.readv(fd, bufs)) {
            Ok(0) => Ok(Received::Eof),
            Ok(count) => Ok(Received::Bytes(count)),
            Err(errno) if errno.is_would_block() => Ok(Received::WouldBlock),
            Err(errno) => Err(errno),
        }
    }

    /// Sends bytes from several buffers, one after the other: a header and a body need not be
    /// copied into one. What does not fit the send buffer is left, and so is every buffer after the
    /// first [`IOVECS_MAX`]. Never raises SIGPIPE.
    /// Cost: one system call, O(buffers).
    ///
    /// ```
    /// use epollite::{Interest, Kernel, Reactor, Received, Sent, Trigger};
    /// use epollite::kernel::SocketType;
    /// use epollite::sim::Sim;
    ///
    /// let mut reactor = Reactor::with_kernel(Sim::default())?;
    /// let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
    /// let near = reactor.register_or_close(near, Interest::NONE, Trigger::Edge, ())?;
    /// let far = reactor.register_or_close(far, Interest::READABLE, Trigger::Level, ())?;
    /// let (_, mut io) = reactor.get_mut(near).unwrap();
    /// assert_eq!(io.send_vectored(&[b"head", b"body"])?, Sent::Bytes(8));
    /// let (mut head, mut body) = ([0; 4], [0; 16]);
    /// let (_, mut io) = reactor.get_mut(far).unwrap();
    /// assert_eq!(io.recv_vectored(&mut [&mut head, &mut body])?, Received::Bytes(8));
    /// assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// Man page: sendmsg(2)
    #[doc(alias = "writev")]
    pub fn send_vectored(&mut self, bufs: &[&[u8]]) -> Result<Sent, Errno> {
        let bufs = &bufs[..bufs.len().min(IOVECS_MAX)];
        let message = OutgoingMessage { bufs, ..OutgoingMessage::default() };
        match self.syscall(|kernel, fd| kernel.send_message(fd, &message)) {
            Ok(count) => Ok(Sent::Bytes(count)),
            Err(errno) if errno.is_would_block() => Ok(Sent::WouldBlock),
            Err(errno) => Err(errno),
        }
    }
}
