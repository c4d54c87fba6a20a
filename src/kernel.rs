//! The waist: everything this crate asks of an operating system, one method a system call.
//!
//! Knows the words below it and nothing above: no reactor, no policy. A kernel reports what
//! happened, `EINTR` and `EAGAIN` included; what to do about it is decided once, one floor up.

mod call;
mod datagram;
mod epoll;
mod fd;
mod itself;
mod lend;
mod message;
mod option;
mod signal;
mod tap;

pub use call::Call;
pub(crate) use datagram::{is_refused, is_source_unusable};
pub use datagram::{recv_datagram, reply_datagram};
pub use epoll::{Control, EpollEvent};
pub use fd::Fd;
pub use itself::is_connected_to_itself;
pub use message::Message;
pub use option::{OptionName, SocketOption};
pub use signal::{SIGINFO_BYTES, Signal, SignalSet};
pub use tap::{Tap, Tapped};

use core::time::Duration;

use crate::addr::{Addr, Family, PacketInfo};
use crate::batch::Batch;
use crate::errno::Errno;
use crate::instant::Instant;

/// What kind of socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A stream of bytes: TCP, Unix stream.
    Stream,
    /// Datagrams: UDP, Unix datagram.
    Datagram,
}

/// Which direction to shut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shut {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`: the peer reads an end after all that was sent.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// A resource that a process has only so much of.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resource {
    /// `RLIMIT_NOFILE`: one more than the highest descriptor.
    OpenFiles,
}

/// A limit: what is enforced, and how far the process may raise it itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// Enforced now.
    pub soft: u64,
    /// The ceiling of `soft`.
    pub hard: u64,
}

/// An operating system, as far as sockets and epoll need one.
///
/// Three promises hold for every method and every implementation:
///
/// * One method is one system call: its name, its man page, its errors. Nothing is retried.
/// * Descriptors are close-on-exec and non-blocking from birth.
/// * Slices in and counts out; nothing is kept after the call returns.
///
/// The trait is object-safe, and `&mut K` is a kernel when `K` is, so that a test can keep
/// its simulated kernel and lend it. Implementations outside this crate are welcome; nothing
/// unsafe here trusts one: a kernel that lies can cause a panic, not undefined behaviour.
pub trait Kernel {
    // Sockets: coming to be.

    /// Makes a socket. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    /// * [`Errno::EAFNOSUPPORT`]: the system was built without this family.
    ///
    /// Man page: socket(2)
    fn socket(&mut self, family: Family, kind: Kind) -> Result<Fd, Errno>;

    /// Makes two Unix sockets connected to each other. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: socketpair(2)
    fn socketpair(&mut self, kind: Kind) -> Result<(Fd, Fd), Errno>;

    /// Gives a socket its own address. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EADDRINUSE`]: another socket has it; for a Unix path: the file is there.
    /// * [`Errno::EACCES`]: a privileged port, or a folder that may not be written.
    /// * [`Errno::EADDRNOTAVAIL`]: no interface of this machine has it.
    ///
    /// Man page: bind(2)
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno>;

    /// Lets connections queue, at most about `backlog` of them. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EADDRINUSE`]: another socket listens there.
    /// * [`Errno::EOPNOTSUPP`]: not a kind of socket that listens.
    ///
    /// Man page: listen(2)
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno>;

    /// Takes the first connection off the queue, with its peer's address. Work: one system
    /// call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: the queue is empty.
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOBUFS`], [`Errno::ENOMEM`]: out of
    ///   something; the connection stays in the queue, and a level-triggered listener stays
    ///   readable.
    /// * [`Errno::ECONNABORTED`] and network errors: that one connection is gone; go on.
    ///
    /// Man page: accept4(2)
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno>;

    /// Begins to connect; a datagram socket is merely given a default peer. Work: one system
    /// call.
    ///
    /// # Errors
    /// * [`Errno::EINPROGRESS`]: writable will tell when it is done, `SO_ERROR` how it ended.
    /// * [`Errno::ECONNREFUSED`]: nobody listens there.
    /// * [`Errno::EAGAIN`]: a Unix listener's queue is full.
    ///
    /// Man page: connect(2)
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno>;

    // Sockets: asking and setting.

    /// The socket's own address. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTSOCK`]: not a socket.
    ///
    /// Man page: getsockname(2)
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno>;

    /// The peer's address. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: there is no peer, or no more.
    ///
    /// Man page: getpeername(2)
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno>;

    /// Sets an option. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOPROTOOPT`], [`Errno::EOPNOTSUPP`]: this socket does not know it, or it
    ///   cannot be set.
    /// * [`Errno::EINVAL`]: the value is out of range.
    ///
    /// Man page: setsockopt(2)
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno>;

    /// Asks for an option; asking for `Error` takes it. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOPROTOOPT`], [`Errno::EOPNOTSUPP`]: this socket does not know it.
    ///
    /// Man page: getsockopt(2)
    fn getsockopt(&mut self, socket: &Fd, name: OptionName) -> Result<SocketOption, Errno>;

    // Sockets: bytes and datagrams.

    /// Reads bytes; 0 is the peer's end (of a stream, and when `buf` is not empty).
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing is there now.
    /// * [`Errno::ECONNRESET`]: the peer broke the connection.
    ///
    /// Man page: recv(2)
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Sends bytes, or as many of them as there is room for; never raises SIGPIPE.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no room at all now.
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: nobody will ever read it.
    ///
    /// Man page: send(2)
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno>;

    /// Reads one datagram and who sent it. Returns its *whole* length: more than `buf` has
    /// means that the rest is lost. For datagrams only: of a stream, Linux counts the bytes
    /// and throws them away (`MSG_TRUNC`). Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing is there now.
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram met a closed port.
    ///
    /// Man page: recvfrom(2)
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno>;

    /// Sends one datagram to `addr`; never raises SIGPIPE. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no room now.
    /// * [`Errno::EMSGSIZE`]: too long for a datagram.
    /// * [`Errno::EACCES`]: a broadcast address, without `Broadcast`.
    ///
    /// Man page: sendto(2)
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno>;

    /// Fills `batch` with what datagrams are there, from its first place on; returns how
    /// many. Work: one system call, O(datagrams).
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing is there now; the batch is empty.
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram met a closed port.
    ///
    /// Man page: recvmmsg(2)
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut Batch) -> Result<usize, Errno>;

    /// Sends the datagrams of `batch` from index `first` on, until the last or the first that
    /// fails; returns how many went. Work: one system call, O(datagrams).
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto), of the datagram at `first`; none went.
    ///
    /// Man page: sendmmsg(2)
    fn sendmmsg(&mut self, socket: &Fd, batch: &Batch, first: usize) -> Result<usize, Errno>;

    /// Reads one datagram, with who sent it and which of our addresses it came to. As
    /// [`recvfrom`](Self::recvfrom) otherwise. Work: one system call.
    ///
    /// # Errors
    /// As [`recvfrom`](Self::recvfrom).
    ///
    /// Man page: recvmsg(2), ip(7), ipv6(7)
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<Message, Errno> {
        let _ = (socket, buf);
        Err(Errno::ENOSYS)
    }

    /// Sends one datagram to `addr`, from the address of ours that `packet_info` names; never
    /// raises SIGPIPE. Work: one system call.
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto); and
    /// * [`Errno::ENETUNREACH`] over IPv4, [`Errno::EINVAL`] over IPv6: `packet_info` names no
    ///   address of this machine.
    ///
    /// Man page: sendmsg(2), ip(7), ipv6(7)
    fn sendmsg(
        &mut self,
        socket: &Fd,
        buf: &[u8],
        addr: &Addr,
        packet_info: Option<PacketInfo>,
    ) -> Result<usize, Errno> {
        let _ = (socket, buf, addr, packet_info);
        Err(Errno::ENOSYS)
    }

    /// How much of what was sent is still on our side: of TCP the bytes that the peer's kernel
    /// has not acknowledged, of a Unix socket the memory of what the peer has not read, its
    /// bookkeeping included. That it falls is how a sender sees that the peer reads.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EINVAL`]: a TCP listener.
    /// * [`Errno::ENOTTY`]: no socket.
    ///
    /// Man page: ioctl(2), tcp(7) and unix(7), `SIOCOUTQ`
    #[doc(alias = "SIOCOUTQ")]
    #[doc(alias = "TIOCOUTQ")]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        let _ = socket;
        Err(Errno::ENOSYS)
    }

    /// Ends one direction or both. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: there is no peer, or no more.
    ///
    /// Man page: shutdown(2)
    fn shutdown(&mut self, socket: &Fd, how: Shut) -> Result<(), Errno>;

    // Descriptors of every kind.

    /// Reads from an eventfd (8 bytes), a signalfd (128 a record), a pipe, a file.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing is there now.
    ///
    /// Man page: read(2)
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Writes to an eventfd (8 bytes), a pipe, a file. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no room now; of an eventfd: its counter is at its maximum.
    /// * [`Errno::EPIPE`]: nobody reads the pipe; SIGPIPE is raised too.
    ///
    /// Man page: write(2)
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno>;

    /// Moves up to `len_bytes` bytes from a pipe or into one, without a copy of ours.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing to take, or no room to put it.
    /// * [`Errno::EINVAL`]: neither is a pipe.
    ///
    /// Man page: splice(2)
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno>;

    /// Makes a pipe: the reading and the writing end. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: pipe2(2)
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno>;

    /// Makes a counter that can be waited for. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: eventfd(2)
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno>;

    /// Makes a descriptor from which signals are read, those of `signals` that are blocked
    /// ([`sigprocmask`](Self::sigprocmask)). Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: signalfd(2)
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno>;

    /// Blocks `signals` in the calling thread (and threads it will start), and returns which
    /// were blocked before. Work: one system call.
    ///
    /// # Errors
    /// None on Linux.
    ///
    /// Man page: sigprocmask(2)
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno>;

    /// A second descriptor for the same open file. Closing one leaves the other, and an epoll
    /// registration lives until the last is closed. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`]: out of descriptors.
    ///
    /// Man page: fcntl(2), `F_DUPFD_CLOEXEC`
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno>;

    /// Closes. The descriptor is gone whatever is returned, and must not be closed again.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EIO`], [`Errno::ENOSPC`]: an earlier write to a file failed after all.
    ///
    /// Man page: close(2)
    fn close(&mut self, fd: Fd) -> Result<(), Errno>;

    // Epoll.

    /// Makes an epoll. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of something.
    ///
    /// Man page: epoll_create1(2)
    fn epoll_create1(&mut self) -> Result<Fd, Errno>;

    /// Adds, changes or deletes what `epoll` hears of `fd`. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EEXIST`]: added already.
    /// * [`Errno::ENOENT`]: not there to be changed or deleted.
    /// * [`Errno::EPERM`]: a kind of file that cannot be waited for, a regular file say.
    /// * [`Errno::EINVAL`]: a mix with `EPOLLEXCLUSIVE` that Linux does not take.
    /// * [`Errno::ENOSPC`], [`Errno::ENOMEM`]: out of watches or memory.
    /// * [`Errno::ELOOP`]: epolls would watch each other in a ring.
    ///
    /// Man page: epoll_ctl(2)
    fn epoll_ctl(&mut self, epoll: &Fd, control: Control, fd: &Fd) -> Result<(), Errno>;

    /// Waits, `None` for ever, and fills `events` from the front; returns how many.
    /// Work: one system call, O(events).
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: a signal came, or the process was stopped and continued.
    ///
    /// Man page: epoll_wait(2)
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno>;

    /// As [`epoll_wait`](Self::epoll_wait), to the nanosecond. Work: one system call,
    /// O(events).
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: a signal came, or the process was stopped and continued.
    /// * [`Errno::ENOSYS`]: Linux before 5.11.
    ///
    /// Man page: epoll_pwait2(2)
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno>;

    // The process and its clock.

    /// Says a limit, and sets it first when `new` is given; what is returned held before.
    /// Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPERM`]: over the hard limit.
    ///
    /// Man page: prlimit(2)
    fn prlimit(&mut self, resource: Resource, new: Option<Limit>) -> Result<Limit, Errno>;

    /// What time it is on the monotonic clock. Work: no system call on Linux, where the
    /// kernel lends its clock to the process.
    ///
    /// Man page: clock_gettime(2), `CLOCK_MONOTONIC`
    fn now(&mut self) -> Instant;
}

/// Closes what is no file with data on a disk: a socket, an epoll, an eventfd. How it went says
/// nothing then: an error could only be about such data, and the descriptor is gone in any case.
/// Work: one system call.
///
/// Man page: close(2)
pub fn release<K: Kernel + ?Sized>(kernel: &mut K, fd: Fd) {
    let _ = kernel.close(fd);
}
