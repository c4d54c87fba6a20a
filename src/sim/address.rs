//! Addresses: what each means, and which match.
//!
//! Knows the addresses of this machine, and no socket.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::file::Result;
use crate::errno::Errno;
use crate::net::{Addr, AddressFamily, UnixAddr};

/// Bytes of a `sockaddr_in`.
const V4_LEN: u32 = 16;

/// Whether an address is of the socket's family.
///
/// Reference: net/ipv4/udp.c: `udp_sendmsg`
pub(super) fn family_matches(family: AddressFamily, addr: &Addr) -> Result<()> {
    match (family, addr.family()) {
        (_, Some(given)) if given == family => Ok(()),
        // The family is checked only if the address is long enough.
        (AddressFamily::Inet, Some(_)) if addr.encode().socklen() >= V4_LEN => {
            Err(Errno::EAFNOSUPPORT)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// This machine has the loopback addresses and no others.
pub(super) fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// Whether every socket of the port receives what is sent there: the whole network, or the loopback
/// network.
pub(super) fn is_broadcast(ip: Ipv4Addr) -> bool {
    ip.is_broadcast() || ip == Ipv4Addr::new(127, 255, 255, 255)
}

/// The address of a socket that has none.
pub(super) fn unspecified_addr(family: AddressFamily) -> Addr {
    match family {
        AddressFamily::Unix => Addr::Unix(UnixAddr::unnamed()),
        AddressFamily::Inet | AddressFamily::Inet6 => {
            SocketAddr::new(unspecified_ip(family), 0).into()
        }
    }
}

pub(super) fn unspecified_ip(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        AddressFamily::Inet | AddressFamily::Unix => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The destination of a connect or a send: the wildcard address means this machine.
pub(super) fn dest_addr(addr: &Addr) -> Addr {
    match (addr.ip(), addr.port()) {
        (Some(ip), Some(port)) if ip.is_unspecified() => {
            SocketAddr::new(source_addr(ip), port).into()
        }
        _ => *addr,
    }
}

/// The source address of a connection to `ip`.
pub(super) fn source_addr(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Whether a socket connected to `peer` receives from `from`.
pub(super) fn accepts_from(peer: &Addr, from: Option<Addr>) -> bool {
    let any_port = peer.port().filter(|port| *port == 0);
    from.map(|from| any_port.map_or(from, |port| from.with_port(port))) == Some(*peer)
}

/// Whether a socket bound to `local` receives what is sent to `addr`.
pub(super) fn matches_bind(local: &Addr, addr: &Addr) -> bool {
    local.family() == addr.family()
        && local.port() == addr.port()
        && (is_any(local) || local.ip() == addr.ip())
}

/// The Unix name in `addr`; any other address is an error.
pub(super) fn unix_name(addr: &Addr) -> Result<UnixAddr> {
    match addr {
        Addr::Unix(name) if !name.is_unnamed() => Ok(*name),
        _ => Err(Errno::EINVAL),
    }
}

fn is_any(addr: &Addr) -> bool {
    addr.ip().is_some_and(|ip| ip.is_unspecified())
}
