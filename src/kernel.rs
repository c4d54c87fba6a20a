//! The syscall layer: everything this crate needs of an operating system, one method per system
//! call.
//!
//! Knows the primitive types below it and nothing above: no reactor, no policy. A kernel returns
//! every result, `EINTR` and `EAGAIN` included; the layer above decides how to handle them.

mod datagram;
mod epoll;
pub(crate) mod fd;
mod forward;
mod hook;
mod itself;
#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
pub(crate) mod kernel;
mod option;
mod received_datagram;
mod signal;
mod syscall;

pub(crate) use datagram::{is_refused, is_source_unusable};
pub use datagram::{recv_datagram, reply_datagram};
pub use epoll::{EpollEvent, EpollOp};
pub(crate) use fd::Fd;
pub use hook::{Hooked, SyscallHook};
pub use itself::is_connected_to_itself;
pub(crate) use kernel::Kernel;
pub use option::{MembershipV4, MembershipV6, SocketOption, SocketOptionName};
pub(crate) use option::{OptionBytes, for_each_socket_option};
pub use received_datagram::ReceivedDatagram;
pub use signal::{SIGINFO_BYTES, Signal, SignalSet};
pub use syscall::Syscall;
pub(crate) use syscall::for_each_syscall;

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

/// Closes a descriptor without data on a disk: a socket, an epoll, an eventfd. The result is
/// ignored: an error could only concern such data, and the descriptor is closed in any case.
/// Cost: one system call.
///
/// Man page: close(2)
pub fn close_quietly<K: Kernel + ?Sized>(kernel: &mut K, fd: Fd) {
    let _ = kernel.close(fd);
}
