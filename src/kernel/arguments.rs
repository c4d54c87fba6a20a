//! Arguments of system calls that are one word: types, directions, limits.

/// The type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SocketType {
    /// A stream of bytes: TCP, Unix stream.
    Stream,
    /// Datagrams: UDP, Unix datagram.
    Datagram,
    /// A connection that keeps the boundaries of messages: Unix sockets only.
    ///
    /// One receive takes one message, and what does not fit the buffer is lost. Nothing is lost
    /// otherwise, and the order is kept. recv(2) returns 0 for an empty message and for the end
    /// alike; only with [`SocketOption::PassCredentials`](super::SocketOption::PassCredentials) can
    /// they be told apart, as a message has credentials then and the end has none.
    ///
    /// ```
    /// use epollite::Kernel;
    /// use epollite::kernel::SocketType;
    /// use epollite::sim::Sim;
    /// let mut kernel = Sim::default();
    /// let (near, far) = kernel.socketpair(SocketType::SeqPacket)?;
    /// kernel.send(&near, b"one")?;
    /// kernel.send(&near, b"two")?;
    /// let mut buf = [0; 16];
    /// assert_eq!(kernel.recv(&far, &mut buf)?, 3);
    /// # kernel.close(near)?; kernel.close(far)?;
    /// # Ok::<(), epollite::Errno>(())
    /// ```
    ///
    /// Man page: unix(7), `SOCK_SEQPACKET`
    SeqPacket,
}

/// Which direction to shut down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shutdown {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`: the peer reads an end of file after all that was sent.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// A limited resource of a process.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resource {
    /// `RLIMIT_NOFILE`: one more than the highest descriptor.
    Nofile,
}

/// A limit: the enforced value, and how far the process may raise it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rlimit {
    /// The enforced value.
    pub soft: u64,
    /// The maximum of `soft`.
    pub hard: u64,
}
