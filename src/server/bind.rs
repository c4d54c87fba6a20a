//! How a server comes by its socket: the calls from socket(2) to listen(2), in order.
//!
//! Knows a kernel, and no reactor: what it returns is not registered anywhere.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::release;
use crate::kernel::{Call, Fd, Kernel, Kind, SocketOption};

/// Connections that may queue before they are accepted. The system cuts it to its own
/// `net.core.somaxconn`; asking for its usual value gets all there is.
const BACKLOG: u32 = 4096;

/// Room for datagrams that wait, asked for; the system cuts it to `net.core.rmem_max`. The
/// usual 208 KiB is filled by a burst of a few hundred small datagrams, and the rest is lost.
const DATAGRAM_BUFFER_BYTES: u32 = 4 << 20;

/// Whether other sockets may be bound to the same port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// No: a port in use is an error.
    Alone,
    /// Yes, with those of the same user that say so too (`SO_REUSEPORT`): the kernel spreads
    /// connections and datagrams over them.
    Shared,
}

/// Which of the calls failed, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BindError {
    /// The call.
    pub call: Call,
    /// How it failed.
    pub errno: Errno,
}

/// A listening socket on `addr`, and the address it really has (port 0 becomes a port).
/// Work: at most ten system calls.
///
/// What connections inherit is set here, once: no delay, probes of silent peers, and that urgent
/// bytes are read where they stand among the others (RFC 862 echoes whatever it receives). A Unix
/// connection inherits nothing: out-of-band bytes are left out of what is read there. An IPv6
/// address means IPv6 alone.
///
/// # Errors
/// [`BindError`]: [`Errno::EADDRINUSE`], [`Errno::EACCES`], [`Errno::EADDRNOTAVAIL`] of bind,
/// [`Errno::EMFILE`] of socket, … Nothing stays open.
///
/// Man page: socket(2), bind(2), listen(2)
pub fn bind_stream<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: Sharing,
) -> Result<(Fd, Addr), BindError> {
    stream(kernel, addr, sharing, true)
}

/// A listening socket on `port` of every address of this machine, of IPv6 and of IPv4: one
/// socket that takes both, or where there is no IPv6 one for IPv4 alone. Work: as
/// [`bind_stream`], twice where there is no IPv6.
///
/// A client of IPv4 has an address in `::ffff:0:0/96` then.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: ipv6(7), `IPV6_V6ONLY`
pub fn bind_stream_everywhere<K: Kernel>(
    kernel: &mut K,
    port: u16,
    sharing: Sharing,
) -> Result<(Fd, Addr), BindError> {
    everywhere(port, |addr, is_v6_only| stream(kernel, addr, sharing, is_v6_only))
}

/// A datagram socket on `port` of every address of this machine, as [`bind_stream_everywhere`].
/// Work: as [`bind_datagram`], twice where there is no IPv6.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: ipv6(7), `IPV6_V6ONLY`
pub fn bind_datagram_everywhere<K: Kernel>(
    kernel: &mut K,
    port: u16,
    sharing: Sharing,
) -> Result<(Fd, Addr), BindError> {
    everywhere(port, |addr, is_v6_only| datagram(kernel, addr, sharing, is_v6_only))
}

/// Both families with one socket; IPv4 where the other is not there.
fn everywhere(
    port: u16,
    mut bind: impl FnMut(&Addr, bool) -> Result<(Fd, Addr), BindError>,
) -> Result<(Fd, Addr), BindError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into();
    match bind(&both, false) {
        Err(BindError { errno: Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL, .. }) => {
            bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into(), true)
        }
        bound => bound,
    }
}

fn stream<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: Sharing,
    is_v6_only: bool,
) -> Result<(Fd, Addr), BindError> {
    open(kernel, addr, Kind::Stream, |kernel, socket, family| {
        if family != Family::Unix {
            // The port of a server that has just ended is free at once; one that is
            // listened on is still refused.
            set(kernel, socket, SocketOption::ReuseAddr(true))?;
            set(kernel, socket, SocketOption::NoDelay(true))?;
            set(kernel, socket, SocketOption::KeepAlive(true))?;
            set(kernel, socket, SocketOption::OutOfBandInline(true))?;
        }
        bind(kernel, socket, addr, sharing, is_v6_only)?;
        kernel.listen(socket, BACKLOG).map_err(|errno| BindError { call: Call::Listen, errno })
    })
}

/// A datagram socket on `addr`, and the address it really has. Work: at most eight system
/// calls.
///
/// On a wildcard address it tells of each datagram which address it came to
/// ([`PacketInfo`](crate::PacketInfo)): an answer must leave from there.
///
/// `SO_REUSEADDR` is left alone: on UDP it would share the port in silence.
///
/// # Errors
/// As [`bind_stream`]. Nothing stays open.
///
/// Man page: socket(2), bind(2), udp(7)
pub fn bind_datagram<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: Sharing,
) -> Result<(Fd, Addr), BindError> {
    datagram(kernel, addr, sharing, true)
}

fn datagram<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    sharing: Sharing,
    is_v6_only: bool,
) -> Result<(Fd, Addr), BindError> {
    open(kernel, addr, Kind::Datagram, |kernel, socket, _| {
        set(kernel, socket, SocketOption::ReceiveBufferBytes(DATAGRAM_BUFFER_BYTES))?;
        // Before the first datagram can come.
        enable_packet_info(kernel, socket, addr)
            .map_err(|errno| BindError { call: Call::Setsockopt, errno })?;
        bind(kernel, socket, addr, sharing, is_v6_only)
    })
}

/// Has a datagram socket that is bound to `addr` tell of each datagram which address of ours it
/// came to, when there may be several. Work: at most one system call.
pub(super) fn enable_packet_info<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    match addr.ip() {
        Some(IpAddr::V4(ip)) if ip.is_unspecified() => {
            kernel.setsockopt(socket, SocketOption::PacketInfoV4(true))
        }
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => {
            kernel.setsockopt(socket, SocketOption::PacketInfoV6(true))
        }
        _ => Ok(()),
    }
}

/// Makes a socket, has `prepare` do the rest, asks for its name; closes it when any fails.
fn open<K: Kernel>(
    kernel: &mut K,
    addr: &Addr,
    kind: Kind,
    prepare: impl FnOnce(&mut K, &Fd, Family) -> Result<(), BindError>,
) -> Result<(Fd, Addr), BindError> {
    let failed = |call| move |errno| BindError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Call::Socket))?;
    let socket = kernel.socket(family, kind).map_err(failed(Call::Socket))?;
    let named = prepare(kernel, &socket, family)
        .and_then(|()| kernel.getsockname(&socket).map_err(failed(Call::Getsockname)));
    match named {
        Ok(actual) => Ok((socket, actual)),
        Err(error) => {
            release(kernel, socket);
            Err(error)
        }
    }
}

fn bind<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
    sharing: Sharing,
    is_v6_only: bool,
) -> Result<(), BindError> {
    if matches!(addr, Addr::V6(_)) {
        set(kernel, socket, SocketOption::V6Only(is_v6_only))?;
    }
    if !matches!(addr, Addr::Unix(_)) && sharing == Sharing::Shared {
        set(kernel, socket, SocketOption::ReusePort(true))?;
    }
    kernel.bind(socket, addr).map_err(|errno| BindError { call: Call::Bind, errno })
}

fn set<K: Kernel>(kernel: &mut K, socket: &Fd, option: SocketOption) -> Result<(), BindError> {
    kernel.setsockopt(socket, option).map_err(|errno| BindError { call: Call::Setsockopt, errno })
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call.name(), self.errno)
    }
}

impl core::error::Error for BindError {}
