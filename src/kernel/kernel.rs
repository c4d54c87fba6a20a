//! The [`Kernel`] trait: the system calls that this crate makes, one method each.

use core::time::Duration;

use super::{
    Decision, EpollEvent, EpollOp, Fd, OutgoingMessage, ReceiveMode, ReceivedDatagram,
    ReceivedMessage, Resource, Rlimit, Shutdown, SignalSet, SocketOption, SocketOptionName,
    SocketType, TcpInfo,
};
use crate::errno::Errno;
use crate::instant::Instant;
use crate::net::{Addr, AddressFamily, DatagramBatch, PacketInfo};

/// The part of an operating system that sockets and epoll need.
///
/// Nine methods are required: those without which nothing can be served. Every other returns
/// [`Errno::ENOSYS`] unless it is implemented, as Linux does for a call that it does not have.
///
/// Three guarantees hold for every method and every implementation:
///
/// * One method is one system call: its name, its man page, its errors. Nothing is retried.
///   ([`now`](Self::now) and [`on_decision`](Self::on_decision) are none.)
/// * New descriptors are close-on-exec and non-blocking.
/// * Arguments are slices and results are counts; nothing is kept after the call returns.
///
/// The trait is object-safe, and `&mut K` is a kernel when `K` is, so that a test can keep
/// its simulated kernel and lend it. It may be implemented outside this crate; no unsafe code
/// here trusts an implementation: a wrong result can cause a panic, not undefined behaviour.
#[expect(unused_variables, reason = "a call that is not implemented ignores its arguments")]
pub trait Kernel {
    // Sockets: creating and connecting.

    /// Creates a socket. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    /// * [`Errno::EAFNOSUPPORT`]: the system was built without this family.
    ///
    /// Man page: socket(2)
    fn socket(&mut self, family: AddressFamily, kind: SocketType) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates two Unix sockets connected to each other. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: socketpair(2)
    fn socketpair(&mut self, kind: SocketType) -> Result<(Fd, Fd), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Binds a socket to a local address. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EADDRINUSE`]: another socket is bound to it; for a Unix path: the file exists.
    /// * [`Errno::EACCES`]: a privileged port, or a directory without write permission.
    /// * [`Errno::EADDRNOTAVAIL`]: it is not an address of this machine.
    ///
    /// Man page: bind(2)
    fn bind(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Listens for connections, with an accept queue of about `backlog`. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EADDRINUSE`]: another socket listens on the address.
    /// * [`Errno::EOPNOTSUPP`]: not a type of socket that listens.
    ///
    /// Man page: listen(2)
    fn listen(&mut self, socket: &Fd, backlog: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Accepts the first connection of the queue; returns it with its peer's address. Cost: one
    /// system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: the queue is empty.
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOBUFS`], [`Errno::ENOMEM`]: out of
    ///   descriptors or memory; the connection stays in the queue, and a level-triggered listener
    ///   stays readable.
    /// * [`Errno::ECONNABORTED`] and network errors: that one connection was aborted; continue.
    ///
    /// Man page: accept4(2)
    fn accept4(&mut self, listener: &Fd) -> Result<(Fd, Addr), Errno>;

    /// Begins to connect; on a datagram socket it only sets the default peer. Cost: one system
    /// call.
    ///
    /// # Errors
    /// * [`Errno::EINPROGRESS`]: `EPOLLOUT` reports its completion, `SO_ERROR` the outcome.
    /// * [`Errno::ECONNREFUSED`]: no socket listens there.
    /// * [`Errno::EAGAIN`]: a Unix listener's accept queue is full.
    ///
    /// Man page: connect(2)
    fn connect(&mut self, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    // Sockets: addresses and options.

    /// The socket's own address. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTSOCK`]: not a socket.
    ///
    /// Man page: getsockname(2)
    fn getsockname(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The peer's address. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: it is not connected, or no longer.
    ///
    /// Man page: getpeername(2)
    fn getpeername(&mut self, socket: &Fd) -> Result<Addr, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sets an option. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOPROTOOPT`], [`Errno::EOPNOTSUPP`]: this socket does not support it, or it
    ///   cannot be set.
    /// * [`Errno::EINVAL`]: the value is out of range.
    ///
    /// Man page: setsockopt(2)
    fn setsockopt(&mut self, socket: &Fd, option: SocketOption) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Gets an option; getting `Error` clears it. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOPROTOOPT`], [`Errno::EOPNOTSUPP`]: this socket does not support it.
    ///
    /// Man page: getsockopt(2)
    fn getsockopt(&mut self, socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
        Err(Errno::ENOSYS)
    }

    /// What TCP knows of a connection: round-trip time, congestion window, losses.
    /// Cost: one system call.
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> std::io::Result<()> {
    /// use epollite::{Fd, Kernel, Linux};
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let socket: Fd = std::net::TcpStream::connect(listener.local_addr()?)?.into();
    /// let info = Linux.getsockopt_tcp_info(&socket)?;
    /// println!("{:?}, round trip {:?}", info.state, info.rtt);
    /// # Linux.close(socket)?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// * [`Errno::ENOPROTOOPT`], [`Errno::EOPNOTSUPP`]: it is no TCP socket.
    ///
    /// Man page: getsockopt(2); tcp(7), `TCP_INFO`
    #[doc(alias = "TCP_INFO")]
    fn getsockopt_tcp_info(&mut self, socket: &Fd) -> Result<TcpInfo, Errno> {
        Err(Errno::ENOSYS)
    }

    // Sockets: bytes and datagrams.

    /// Receives bytes; 0 is the end of file (of a stream, and when `buf` is not empty).
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no data is available.
    /// * [`Errno::ECONNRESET`]: the peer reset the connection.
    ///
    /// Man page: recv(2)
    fn recv(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno>;

    /// As [`recv`](Self::recv), and the bytes stay in the receive queue: the next call returns them
    /// again. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: recv(2)
    #[doc(alias = "MSG_PEEK")]
    fn recv_peek(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends bytes, or as many of them as fit the send buffer; never raises SIGPIPE.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: the send buffer is full.
    /// * [`Errno::EPIPE`], [`Errno::ECONNRESET`]: the peer can no longer receive.
    ///
    /// Man page: send(2)
    fn send(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno>;

    /// Receives one datagram with its sender. Returns its *whole* length: if that is more than
    /// `buf` holds, the rest is lost. For datagrams only: on a stream, Linux counts the bytes and
    /// discards them (`MSG_TRUNC`). Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no datagram is available.
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram reached a closed port.
    ///
    /// Man page: recvfrom(2)
    fn recvfrom(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<(usize, Addr), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends one datagram to `addr`; never raises SIGPIPE. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: the send buffer is full.
    /// * [`Errno::EMSGSIZE`]: too long for a datagram.
    /// * [`Errno::EACCES`]: a broadcast address, without `Broadcast`.
    ///
    /// Man page: sendto(2)
    fn sendto(&mut self, socket: &Fd, buf: &[u8], addr: &Addr) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Fills `batch` with available datagrams, from its first slot on; returns how many.
    /// Cost: one system call, O(datagrams).
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: no datagram is available; the batch is empty.
    /// * [`Errno::ECONNREFUSED`]: an earlier datagram reached a closed port.
    ///
    /// Man page: recvmmsg(2)
    fn recvmmsg(&mut self, socket: &Fd, batch: &mut DatagramBatch) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends the datagrams of `batch` from index `first` on, until the last or the first that
    /// fails; returns how many were sent. Cost: one system call, O(datagrams).
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto), for the datagram at `first`; none was sent.
    ///
    /// Man page: sendmmsg(2)
    fn sendmmsg(
        &mut self,
        socket: &Fd,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Receives one datagram, with its sender and its local destination. As
    /// [`recvfrom`](Self::recvfrom) otherwise. Cost: one system call.
    ///
    /// # Errors
    /// As [`recvfrom`](Self::recvfrom).
    ///
    /// Man page: recvmsg(2), ip(7), ipv6(7)
    fn recvmsg(&mut self, socket: &Fd, buf: &mut [u8]) -> Result<ReceivedDatagram, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends one datagram to `addr`, with the source address of `packet_info`; never raises
    /// SIGPIPE. Cost: one system call.
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto); and
    /// * [`Errno::ENETUNREACH`] over IPv4, [`Errno::EINVAL`] over IPv6: `packet_info` has no
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
        Err(Errno::ENOSYS)
    }

    /// Receives one message into several buffers, one after the other, with what came beside its
    /// bytes: descriptors, credentials, its local destination, the time of its arrival, an entry of
    /// the error queue. On a stream it receives bytes as [`recv`](Self::recv) does. At most
    /// [`IOVECS_MAX`](super::IOVECS_MAX) buffers. Cost: one system call, O(buffers).
    ///
    /// Descriptors are close-on-exec, and blocking if the sender's are: their flags are shared
    /// ([`MaybeBlockingFd`](super::MaybeBlockingFd)). All that the kernel has installed are in
    /// [`ReceivedMessage::descriptors`], also when some did not fit: take or close them.
    ///
    /// ```
    /// use epollite::Kernel;
    /// use epollite::kernel::{OutgoingMessage, ReceiveMode, SocketType};
    /// use epollite::sim::Sim;
    ///
    /// fn pass_a_descriptor(kernel: &mut impl Kernel) -> Result<(), epollite::Errno> {
    ///     let (near, far) = kernel.socketpair(SocketType::Stream)?;
    ///     let eventfd = kernel.eventfd(7)?;
    ///     let (bufs, descriptors) = ([&b"to"[..], b"ken"], [&eventfd]);
    ///     let message = OutgoingMessage {
    ///         bufs: &bufs, descriptors: &descriptors, ..OutgoingMessage::default()
    ///     };
    ///     assert_eq!(kernel.send_message(&near, &message)?, 5);
    ///
    ///     let (mut head, mut rest) = ([0; 1], [0; 16]);
    ///     let mut bufs = [&mut head[..], &mut rest[..]];
    ///     let mut received = kernel.recv_message(&far, &mut bufs, ReceiveMode::Consume)?;
    ///     assert_eq!((received.len_bytes, &head, &rest[..4]), (5, b"t", &b"oken"[..]));
    ///     let passed = received.descriptors.take().expect("it came with the bytes");
    ///     let passed = passed.into_nonblocking(kernel)?;
    ///     kernel.read(&passed, &mut [0; 8])?;
    /// #   received.descriptors.close_all(kernel);
    /// #   for fd in [near, far, eventfd, passed] { kernel.close(fd)?; }
    ///     Ok(())
    /// }
    /// pass_a_descriptor(&mut Sim::default())?;
    /// # #[cfg(feature = "std")] pass_a_descriptor(&mut epollite::Linux)?;
    /// # Ok::<(), epollite::Errno>(())
    /// ```
    ///
    /// # Errors
    /// As [`recv`](Self::recv) and [`recvfrom`](Self::recvfrom); and
    /// * [`Errno::EAGAIN`]: no message is available; the error queue is empty.
    /// * [`Errno::EMSGSIZE`]: too many buffers; no call is made.
    ///
    /// Man page: recvmsg(2), cmsg(3), unix(7), ip(7)
    #[doc(alias = "SCM_RIGHTS")]
    #[doc(alias = "MSG_ERRQUEUE")]
    #[doc(alias = "MSG_PEEK")]
    fn recv_message(
        &mut self,
        socket: &Fd,
        bufs: &mut [&mut [u8]],
        mode: ReceiveMode,
    ) -> Result<ReceivedMessage, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sends one message from several buffers, with descriptors, credentials, its source address or
    /// the length of its segments; on a stream as many bytes as fit. Never raises SIGPIPE. There is
    /// an example at [`recv_message`](Self::recv_message). Cost: one system call, O(buffers).
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`sendto`](Self::sendto); and
    /// * [`Errno::EMSGSIZE`]: more than [`IOVECS_MAX`](super::IOVECS_MAX) buffers; no call is made.
    /// * [`Errno::EINVAL`]: more than [`SENT_DESCRIPTORS_MAX`](super::SENT_DESCRIPTORS_MAX)
    ///   descriptors; no call is made.
    /// * [`Errno::EPERM`]: credentials that the process may not state.
    /// * [`Errno::ETOOMANYREFS`]: too many descriptors of this user are in flight.
    ///
    /// Man page: sendmsg(2), cmsg(3), unix(7)
    fn send_message(&mut self, socket: &Fd, message: &OutgoingMessage<'_>) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The amount of sent data that is still in the send queue: for TCP the bytes that the peer's
    /// kernel has not acknowledged, for a Unix socket the memory of what the peer has not read,
    /// with its overhead. A sender sees by its decrease that the peer reads.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EINVAL`]: a TCP listener.
    /// * [`Errno::ENOTTY`]: not a socket.
    ///
    /// Man page: ioctl(2), tcp(7) and unix(7), `SIOCOUTQ`
    #[doc(alias = "SIOCOUTQ")]
    #[doc(alias = "TIOCOUTQ")]
    fn ioctl_outq(&mut self, socket: &Fd) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Shuts down one direction or both. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ENOTCONN`]: it is not connected, or no longer.
    ///
    /// Man page: shutdown(2)
    fn shutdown(&mut self, socket: &Fd, how: Shutdown) -> Result<(), Errno>;

    // Descriptors of any kind.

    /// Reads from an eventfd (8 bytes), a signalfd (128 per record), a pipe, a file.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: nothing is available.
    ///
    /// Man page: read(2)
    fn read(&mut self, fd: &Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Writes to an eventfd (8 bytes), a pipe, a file. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: it is full; for an eventfd: its counter is at its maximum.
    /// * [`Errno::EPIPE`]: the reading end is closed; SIGPIPE is raised too.
    ///
    /// Man page: write(2)
    fn write(&mut self, fd: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Reads into several buffers, one after the other; each is filled before the next. Buffers
    /// after the first [`IOVECS_MAX`](super::IOVECS_MAX) are left as they are: a short read. Of a
    /// datagram that loses the rest. Cost: one system call, O(buffers).
    ///
    /// ```
    /// # use epollite::Kernel;
    /// # use epollite::sim::Sim;
    /// # let mut kernel = Sim::default();
    /// let (reader, writer) = kernel.pipe2()?;
    /// assert_eq!(kernel.writev(&writer, &[b"head", b"", b"body"])?, 8);
    /// let (mut head, mut body) = ([0; 4], [0; 16]);
    /// assert_eq!(kernel.readv(&reader, &mut [&mut head, &mut body])?, 8);
    /// assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    /// # kernel.close(reader)?; kernel.close(writer)?;
    /// # Ok::<(), epollite::Errno>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// Man page: readv(2)
    fn readv(&mut self, fd: &Fd, bufs: &mut [&mut [u8]]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Writes from several buffers, one after the other. Buffers after the first
    /// [`IOVECS_MAX`](super::IOVECS_MAX) are not written: a short write. To a datagram socket that
    /// sends a shorter datagram, and a closed connection raises SIGPIPE: on sockets use
    /// [`send_message`](Self::send_message). Cost: one system call, O(buffers).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    ///
    /// Man page: writev(2)
    fn writev(&mut self, fd: &Fd, bufs: &[&[u8]]) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Makes a descriptor non-blocking that may not be: one that was passed by another process or
    /// inherited. It is a property of the open file, and so of every duplicate, too.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EBADF`]: it is not open.
    /// * [`Errno::EPERM`], [`Errno::ENOSYS`]: a sandbox that does not permit it.
    ///
    /// Man page: ioctl(2), `FIONBIO`; fcntl(2), `O_NONBLOCK`
    #[doc(alias = "FIONBIO")]
    #[doc(alias = "O_NONBLOCK")]
    fn ioctl_fionbio(&mut self, fd: &Fd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Moves up to `len_bytes` bytes from a pipe or into one, without a copy in user space.
    /// Cost: one system call.
    ///
    /// From a TCP socket it stops at an urgent mark, and moves nothing past it: it returns
    /// `EAGAIN`, or 0 when the peer has half-closed, although bytes follow. Only recv(2) goes on.
    ///
    /// # Errors
    /// * [`Errno::EAGAIN`]: the source is empty, or the target is full.
    /// * [`Errno::EPIPE`]: the target can no longer send; SIGPIPE is raised too.
    /// * [`Errno::EINVAL`]: neither is a pipe.
    ///
    /// Man page: splice(2)
    fn splice(&mut self, from: &Fd, into: &Fd, len_bytes: usize) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a pipe: the reading and the writing end. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: pipe2(2)
    fn pipe2(&mut self) -> Result<(Fd, Fd), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Sets how many bytes a pipe holds, through either end, rounded up to a power of two of
    /// pages; returns how many it holds now. A new pipe holds 16 pages. Cost: one system call, and
    /// one allocation of the kernel's.
    ///
    /// # Errors
    /// * [`Errno::EPERM`]: more than an unprivileged process may set
    ///   (`/proc/sys/fs/pipe-max-size`, 1 MiB), or the user's pipes hold too many pages
    ///   (`pipe-user-pages-soft`, 64 MiB).
    /// * [`Errno::EBUSY`]: the pipe contains more pages than that now.
    /// * [`Errno::ENOMEM`]: out of memory.
    /// * [`Errno::EBADF`]: not a pipe. [`Errno::EINVAL`]: more than 2 GiB.
    ///
    /// Man page: fcntl(2), `F_SETPIPE_SZ`; pipe(7)
    #[doc(alias = "F_SETPIPE_SZ")]
    fn fcntl_setpipe_sz(&mut self, pipe: &Fd, bytes: usize) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a counter that can be polled. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: eventfd(2)
    fn eventfd(&mut self, initial: u32) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Creates a descriptor that reads blocked signals of `signals`
    /// ([`sigprocmask`](Self::sigprocmask)). Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    ///
    /// Man page: signalfd(2)
    fn signalfd(&mut self, signals: SignalSet) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Blocks `signals` in the calling thread (and threads it will start), and returns the set
    /// that was blocked before. Cost: one system call.
    ///
    /// # Errors
    /// None on Linux.
    ///
    /// Man page: sigprocmask(2)
    fn sigprocmask(&mut self, signals: SignalSet) -> Result<SignalSet, Errno> {
        Err(Errno::ENOSYS)
    }

    /// A second descriptor of the same open file. Closing one leaves the other open, and an epoll
    /// registration lives until the last is closed. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`]: out of descriptors.
    ///
    /// Man page: fcntl(2), `F_DUPFD_CLOEXEC`
    fn dup(&mut self, fd: &Fd) -> Result<Fd, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Closes a descriptor. It is closed whatever is returned, and must not be closed again.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EIO`], [`Errno::ENOSPC`]: an earlier write to a file has failed.
    ///
    /// Man page: close(2)
    fn close(&mut self, fd: Fd) -> Result<(), Errno>;

    // Epoll.

    /// Creates an epoll. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of descriptors or memory.
    ///
    /// Man page: epoll_create1(2)
    fn epoll_create1(&mut self) -> Result<Fd, Errno>;

    /// Adds, modifies or deletes the registration of `fd` in `epoll`. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EEXIST`]: it is registered already.
    /// * [`Errno::ENOENT`]: it is not registered.
    /// * [`Errno::EPERM`]: a kind of file that cannot be polled, such as a regular file.
    /// * [`Errno::EINVAL`]: a combination with `EPOLLEXCLUSIVE` that Linux does not accept.
    /// * [`Errno::ENOSPC`], [`Errno::ENOMEM`]: out of epoll watches or memory.
    /// * [`Errno::ELOOP`]: epolls would watch each other in a cycle.
    ///
    /// Man page: epoll_ctl(2)
    fn epoll_ctl(&mut self, epoll: &Fd, op: EpollOp, fd: &Fd) -> Result<(), Errno>;

    /// Waits, without a limit if `None`, and fills `events` from the front; returns how many.
    /// Cost: one system call, O(events).
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: interrupted by a signal, or the process was stopped and continued.
    ///
    /// Man page: epoll_wait(2)
    fn epoll_wait(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout_millis: Option<u32>,
    ) -> Result<usize, Errno>;

    /// As [`epoll_wait`](Self::epoll_wait), with nanoseconds. Cost: one system call,
    /// O(events).
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: interrupted by a signal, or the process was stopped and continued.
    /// * [`Errno::ENOSYS`]: Linux before 5.11.
    ///
    /// Man page: epoll_pwait2(2)
    fn epoll_pwait2(
        &mut self,
        epoll: &Fd,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    // The process and its clock.

    /// Returns a limit, and sets it if `new` is given; the previous limit is returned.
    /// Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EPERM`]: `new` is over the hard limit.
    ///
    /// Man page: prlimit(2)
    fn prlimit(&mut self, resource: Resource, new: Option<Rlimit>) -> Result<Rlimit, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The current time of the monotonic clock. Cost: no system call on Linux, where the vDSO
    /// reads the clock in user space.
    ///
    /// Man page: clock_gettime(2), `CLOCK_MONOTONIC`
    fn now(&mut self) -> Instant;

    // Not a system call.

    /// Takes note of what the program decided because of the calls before: for kernels that are
    /// wrapped to explain it. Like the clock it is here so that a reactor needs no second type
    /// parameter. Cost: none, unless a kernel does something with it; no system call.
    ///
    /// Man page: none
    #[inline]
    fn on_decision(&mut self, decision: Decision) {}
}
