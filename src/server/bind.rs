//! Creating a server's socket: the calls from socket(2) to listen(2), in order.
//!
//! Knows a kernel, and no reactor: what it returns is not registered anywhere.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::errno::Errno;
use crate::kernel::close_quietly;
use crate::kernel::{CallError, Fd, Kernel, SocketOption, SocketType, Syscall};
use crate::net::Addr;

/// Length of the accept queue. The system limits it to `net.core.somaxconn`; requesting the
/// default of that limit gets the maximum.
const BACKLOG: u32 = 4096;

/// Size of the receive buffer of datagram sockets; the system limits it to `net.core.rmem_max`.
/// The default 208 KiB is filled by a burst of a few hundred small datagrams; the rest is lost.
const DATAGRAM_BUFFER_BYTES: u32 = 4 << 20;

/// Whether other sockets may be bound to the same port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortSharing {
    /// No: a port in use is an error.
    Exclusive,
    /// Yes, with sockets of the same user that set it too (`SO_REUSEPORT`): the kernel
    /// distributes connections and datagrams among them.
    ReusePort,
}

/// Creates a listening socket on `addr`; returns it with its actual address (port 0 becomes a
/// port). Cost: at most ten system calls.
///
/// Options that connections inherit are set here, once: no delay, keepalive probes, and urgent
/// bytes in line (RFC 862 echoes whatever it receives). A Unix connection inherits nothing:
/// out-of-band bytes are left out of what is read there. An IPv6 address means IPv6 alone.
///
/// # Errors
/// [`CallError`]: [`Errno::EADDRINUSE`], [`Errno::EACCES`], [`Errno::EADDRNOTAVAIL`] of bind,
/// [`Errno::EMFILE`] of socket, … Nothing stays open.
///
/// Man page: socket(2), bind(2), listen(2)
pub fn bind_stream<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: PortSharing,
) -> Result<(Fd, Addr), CallError> {
    create_socket(kernel, addr, SocketType::Stream, sharing, true)
}

/// Creates a listening socket on `port` of every address of this machine, IPv6 and IPv4: one
/// dual-stack socket, or where there is no IPv6 one for IPv4 alone. Cost: as [`bind_stream`],
/// twice where there is no IPv6.
///
/// An IPv4 client then has an address in `::ffff:0:0/96`.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: ipv6(7), `IPV6_V6ONLY`
pub fn bind_stream_everywhere<K: Kernel>(
    kernel: &mut K,
    port: u16,
    sharing: PortSharing,
) -> Result<(Fd, Addr), CallError> {
    everywhere(kernel, port, SocketType::Stream, sharing)
}

/// Creates a datagram socket on `port` of every address of this machine, as
/// [`bind_stream_everywhere`]. Cost: as [`bind_datagram`], twice where there is no IPv6.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: ipv6(7), `IPV6_V6ONLY`
pub fn bind_datagram_everywhere<K: Kernel>(
    kernel: &mut K,
    port: u16,
    sharing: PortSharing,
) -> Result<(Fd, Addr), CallError> {
    everywhere(kernel, port, SocketType::Datagram, sharing)
}

/// Both families with one socket; IPv4 alone where IPv6 is not available.
fn everywhere<K: Kernel>(
    kernel: &mut K,
    port: u16,
    kind: SocketType,
    sharing: PortSharing,
) -> Result<(Fd, Addr), CallError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into();
    match create_socket(kernel, &both, kind, sharing, false) {
        Err(CallError { errno: Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL, .. }) => {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into();
            create_socket(kernel, &v4, kind, sharing, true)
        }
        bound => bound,
    }
}

/// Creates a datagram socket on `addr`; returns it with its actual address. Cost: at most eight
/// system calls.
///
/// On a wildcard address each datagram carries its local destination address
/// ([`PacketInfo`](crate::net::PacketInfo)): a reply must be sent from there.
///
/// `SO_REUSEADDR` is not set: on UDP it would silently share the port.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: socket(2), bind(2), udp(7)
pub fn bind_datagram<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: PortSharing,
) -> Result<(Fd, Addr), CallError> {
    create_socket(kernel, addr, SocketType::Datagram, sharing, true)
}

/// Enables `PacketInfo`, the local destination of each datagram, on a datagram socket that is
/// bound to a wildcard `addr`. Cost: at most one system call.
pub(super) fn enable_packet_info<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    match addr.ip().filter(IpAddr::is_unspecified) {
        Some(IpAddr::V4(_)) => kernel.setsockopt(socket, SocketOption::PacketInfoV4(true)),
        Some(IpAddr::V6(_)) => kernel.setsockopt(socket, SocketOption::PacketInfoV6(true)),
        None => Ok(()),
    }
}

/// Creates a socket, sets options, binds it; a stream socket listens. Closes it when any step
/// fails.
pub(crate) fn create_socket<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    kind: SocketType,
    sharing: PortSharing,
    is_v6_only: bool,
) -> Result<(Fd, Addr), CallError> {
    let failed = |call| move |errno| CallError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Syscall::Socket))?;
    let socket = kernel.socket(family, kind).map_err(failed(Syscall::Socket))?;
    let mut prepare = || {
        set_options(kernel, &socket, addr, kind, sharing, is_v6_only)
            .map_err(failed(Syscall::Setsockopt))?;
        kernel.bind(&socket, addr).map_err(failed(Syscall::Bind))?;
        if kind == SocketType::Stream {
            kernel.listen(&socket, BACKLOG).map_err(failed(Syscall::Listen))?;
        }
        kernel.getsockname(&socket).map_err(failed(Syscall::Getsockname))
    };
    match prepare() {
        Ok(actual) => Ok((socket, actual)),
        Err(error) => {
            close_quietly(kernel, socket);
            Err(error)
        }
    }
}

/// Sets the options that come before bind(2).
fn set_options<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
    kind: SocketType,
    sharing: PortSharing,
    is_v6_only: bool,
) -> Result<(), Errno> {
    let is_unix = matches!(addr, Addr::Unix(_));
    if kind == SocketType::Datagram {
        kernel.setsockopt(socket, SocketOption::ReceiveBufferBytes(DATAGRAM_BUFFER_BYTES))?;
        // Before the first datagram can arrive.
        enable_packet_info(kernel, socket, addr)?;
    } else if !is_unix {
        // The port of a server that has just exited is free at once; a port with a live listener
        // is still refused.
        kernel.setsockopt(socket, SocketOption::ReuseAddr(true))?;
        kernel.setsockopt(socket, SocketOption::NoDelay(true))?;
        kernel.setsockopt(socket, SocketOption::KeepAlive(true))?;
        kernel.setsockopt(socket, SocketOption::OutOfBandInline(true))?;
    }
    if matches!(addr, Addr::V6(_)) {
        kernel.setsockopt(socket, SocketOption::V6Only(is_v6_only))?;
    }
    if sharing == PortSharing::ReusePort && !is_unix {
        kernel.setsockopt(socket, SocketOption::ReusePort(true))?;
    }
    Ok(())
}
