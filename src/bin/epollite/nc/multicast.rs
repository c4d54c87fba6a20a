//! Multicast: joining a group to receive from it, and choosing the interface to send from.
//!
//! Knows sockets and their options. A group address belongs to no host: a receiver must join it, on
//! a given interface; `-s` selects the interface by one of its addresses.

use std::net::{IpAddr, Ipv4Addr};

use epollite::kernel::{CallError, MembershipV4, MembershipV6, SocketOption, SocketType, Syscall};
use epollite::{Addr, Errno, Fd, Kernel};

use super::connect::or_close;
use super::resolve;
use crate::args::NcOptions;

pub(super) fn is_group(addr: &Addr) -> bool {
    addr.ip().is_some_and(|ip| ip.is_multicast())
}

/// A socket that receives datagrams sent to the group and port `addr`. Other processes of this
/// machine may receive the same, so the address is shared.
pub(super) fn bind_group<K: Kernel>(
    options: &NcOptions,
    kernel: &mut K,
    addr: &Addr,
) -> Result<(Fd, Addr), CallError> {
    let failed = |call| move |errno| CallError { call, errno };
    let family = addr.family().ok_or(Errno::EAFNOSUPPORT).map_err(failed(Syscall::Socket))?;
    let socket = kernel.socket(family, SocketType::Datagram).map_err(failed(Syscall::Socket))?;
    let opened = kernel
        .setsockopt(&socket, SocketOption::ReuseAddr(true))
        .and_then(|()| receive_joined_groups_only(kernel, &socket, addr))
        .and_then(|()| membership(options, addr))
        .and_then(|membership| kernel.setsockopt(&socket, membership))
        .map_err(failed(Syscall::Setsockopt))
        .and_then(|()| kernel.bind(&socket, addr).map_err(failed(Syscall::Bind)));
    let socket = or_close(kernel, socket, opened)?;
    let actual = kernel.getsockname(&socket).map_err(failed(Syscall::Getsockname));
    let socket = or_close(kernel, socket, actual.map(drop))?;
    Ok((socket, actual?))
}

/// Excludes groups that other sockets have joined, also on other interfaces: without this option
/// Linux delivers every datagram of a group to all sockets bound to its address.
fn receive_joined_groups_only<K: Kernel>(
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    match addr {
        Addr::V6(_) => match kernel.setsockopt(socket, SocketOption::GroupAllV6(false)) {
            // Before Linux 4.20 the option is missing: the socket receives more than it should.
            Err(Errno::ENOPROTOOPT) => Ok(()),
            set => set,
        },
        _ => kernel.setsockopt(socket, SocketOption::GroupAllV4(false)),
    }
}

/// IPv6 names the interface in the address itself, after a `%`.
fn membership(options: &NcOptions, addr: &Addr) -> Result<SocketOption, Errno> {
    match addr {
        Addr::V4(v4) => Ok(SocketOption::JoinMulticastV4(MembershipV4 {
            group: *v4.ip(),
            interface: interface(options, addr)?.unwrap_or(Ipv4Addr::UNSPECIFIED),
        })),
        Addr::V6(v6) => Ok(SocketOption::JoinMulticastV6(MembershipV6 {
            group: *v6.ip(),
            interface: v6.scope_id(),
        })),
        Addr::Unix(_) | Addr::Unspecified => Err(Errno::EAFNOSUPPORT),
    }
}

/// Sends multicast through the interface of `-s`. Without it the routing table decides.
pub(super) fn set_send_interface<K: Kernel>(
    options: &NcOptions,
    kernel: &mut K,
    socket: &Fd,
    addr: &Addr,
) -> Result<(), Errno> {
    match interface(options, addr)? {
        Some(interface) if is_group(addr) => {
            kernel.setsockopt(socket, SocketOption::MulticastInterfaceV4(interface))
        }
        _ => Ok(()),
    }
}

fn interface(options: &NcOptions, addr: &Addr) -> Result<Option<Ipv4Addr>, Errno> {
    let source = if options.source.is_some() { resolve::source_addr(options, addr)? } else { None };
    match source.and_then(|source| source.ip()) {
        Some(IpAddr::V4(ip)) => Ok(Some(ip)),
        _ => Ok(None),
    }
}
