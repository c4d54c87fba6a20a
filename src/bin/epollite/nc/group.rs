//! Multicast: to join a group in order to hear it, and to say from where it is spoken to.
//!
//! Knows sockets and their options. A group is no address of anybody's: who listens must say
//! that he wants to hear it, and on which interface; `-s` names that by an address it has.

use std::net::{IpAddr, Ipv4Addr};

use epollite::kernel::release;
use epollite::server::BindError;
use epollite::{Addr, Call, Errno, Fd, Kernel, Kind, SocketOption};

use super::name;
use crate::args::Nc;

pub(super) fn is_group(addr: &Addr) -> bool {
    addr.ip().is_some_and(|ip| ip.is_multicast())
}

/// A socket that hears what is sent to the group and port `addr`. Others of this machine may
/// hear the same, and so the address is shared.
pub(super) fn listen<K: Kernel>(
    options: &Nc,
    kernel: &mut K,
    addr: &Addr,
) -> Result<(Fd, Addr), BindError> {
    let failed = |call| move |errno| BindError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Call::Socket))?;
    let socket = kernel.socket(family, Kind::Datagram).map_err(failed(Call::Socket))?;
    let opened = kernel
        .setsockopt(&socket, SocketOption::ReuseAddr(true))
        .and_then(|()| hear_own_only(kernel, &socket, addr))
        .and_then(|()| membership(options, addr))
        .and_then(|membership| kernel.setsockopt(&socket, membership))
        .map_err(failed(Call::Setsockopt))
        .and_then(|()| kernel.bind(&socket, addr).map_err(failed(Call::Bind)))
        .and_then(|()| kernel.getsockname(&socket).map_err(failed(Call::Getsockname)));
    match opened {
        Ok(actual) => Ok((socket, actual)),
        Err(error) => {
            release(kernel, socket);
            Err(error)
        }
    }
}

/// What others have joined, on other interfaces too, is not for this socket: unless this is said,
/// Linux gives everything for the group to all who are bound to it.
fn hear_own_only<K: Kernel>(kernel: &mut K, socket: &Fd, addr: &Addr) -> Result<(), Errno> {
    match addr {
        Addr::V6(_) => match kernel.setsockopt(socket, SocketOption::GroupAllV6(false)) {
            // Before Linux 4.20: it hears more than it should then.
            Err(Errno::ENOPROTOOPT) => Ok(()),
            set => set,
        },
        _ => kernel.setsockopt(socket, SocketOption::GroupAllV4(false)),
    }
}

/// Version six names the interface in the address itself, behind a `%`.
fn membership(options: &Nc, addr: &Addr) -> Result<SocketOption, Errno> {
    match addr {
        Addr::V4(v4) => Ok(SocketOption::JoinV4 {
            group: *v4.ip(),
            interface: interface(options, addr)?.unwrap_or(Ipv4Addr::UNSPECIFIED),
        }),
        Addr::V6(v6) => Ok(SocketOption::JoinV6 { group: *v6.ip(), interface: v6.scope_id() }),
        Addr::Unix(_) | Addr::Unspec => Err(Errno::EAFNOSUPPORT),
    }
}

/// Has what is sent to a group leave through the interface of `-s`. Without it the routes decide.
pub(super) fn speak<K: Kernel>(
    options: &Nc,
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    match interface(options, addr)? {
        Some(interface) if is_group(addr) => {
            kernel.setsockopt(socket, SocketOption::GroupInterfaceV4(interface))
        }
        _ => Ok(()),
    }
}

fn interface(options: &Nc, addr: &Addr) -> Result<Option<Ipv4Addr>, Errno> {
    let source = if options.source.is_some() { name::source(options, addr)? } else { None };
    match source.and_then(|source| source.ip()) {
        Some(IpAddr::V4(ip)) => Ok(Some(ip)),
        _ => Ok(None),
    }
}
