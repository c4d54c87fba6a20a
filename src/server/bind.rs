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
    stream(kernel, addr, sharing, true)
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
    everywhere(port, |addr, is_v6_only| stream(kernel, addr, sharing, is_v6_only))
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
    everywhere(port, |addr, is_v6_only| datagram(kernel, addr, sharing, is_v6_only))
}

/// Both families with one socket; IPv4 alone where IPv6 is not available.
fn everywhere(
    port: u16,
    mut bind: impl FnMut(&Addr, bool) -> Result<(Fd, Addr), CallError>,
) -> Result<(Fd, Addr), CallError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into();
    match bind(&both, false) {
        Err(CallError { errno: Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL, .. }) => {
            bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into(), true)
        }
        bound => bound,
    }
}

fn stream<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: PortSharing,
    is_v6_only: bool,
) -> Result<(Fd, Addr), CallError> {
    // The port of a server that has just exited is free at once; a port with a live listener is
    // still refused.
    let options = [
        SocketOption::ReuseAddr(true),
        SocketOption::NoDelay(true),
        SocketOption::KeepAlive(true),
        SocketOption::OutOfBandInline(true),
    ];
    let options = options.into_iter().filter(|_| !matches!(addr, Addr::Unix(_)));
    let shared = sharing_options(addr, sharing, is_v6_only);
    create_socket(kernel, addr, SocketType::Stream, options.chain(shared))
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
    datagram(kernel, addr, sharing, true)
}

fn datagram<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: PortSharing,
    is_v6_only: bool,
) -> Result<(Fd, Addr), CallError> {
    let buffer = SocketOption::ReceiveBufferBytes(DATAGRAM_BUFFER_BYTES);
    // Before the first datagram can arrive.
    let options = [buffer].into_iter().chain(packet_info_option(addr));
    let shared = sharing_options(addr, sharing, is_v6_only);
    create_socket(kernel, addr, SocketType::Datagram, options.chain(shared))
}

/// Enables `PacketInfo`, the local destination of each datagram, on a datagram socket that is
/// bound to a wildcard `addr`. Cost: at most one system call.
pub(super) fn enable_packet_info<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    packet_info_option(addr).map_or(Ok(()), |option| kernel.setsockopt(socket, option))
}

fn packet_info_option(addr: &Addr) -> Option<SocketOption> {
    let ip = addr.ip().filter(IpAddr::is_unspecified)?;
    let is_v4 = ip.is_ipv4();
    Some(if is_v4 { SocketOption::PacketInfoV4(true) } else { SocketOption::PacketInfoV6(true) })
}

/// The options that decide which other sockets may have the port.
fn sharing_options(
    addr: &Addr,
    sharing: PortSharing,
    is_v6_only: bool,
) -> impl Iterator<Item = SocketOption> {
    let v6 = matches!(addr, Addr::V6(_)).then_some(SocketOption::V6Only(is_v6_only));
    let is_shared = sharing == PortSharing::ReusePort && !matches!(addr, Addr::Unix(_));
    v6.into_iter().chain(is_shared.then_some(SocketOption::ReusePort(true)))
}

/// Creates a socket, sets options, binds it; a stream socket listens. Closes it when any step
/// fails.
fn create_socket<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    kind: SocketType,
    mut options: impl Iterator<Item = SocketOption>,
) -> Result<(Fd, Addr), CallError> {
    let failed = |call| move |errno| CallError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Syscall::Socket))?;
    let socket = kernel.socket(family, kind).map_err(failed(Syscall::Socket))?;
    let mut prepare = || {
        options
            .try_for_each(|option| kernel.setsockopt(&socket, option))
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
