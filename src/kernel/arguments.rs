//! Arguments of system calls that are one word: types, directions, limits.

/// The type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SocketType {
    /// A stream of bytes: TCP, Unix stream.
    Stream,
    /// Datagrams: UDP, Unix datagram.
    Datagram,
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
