//! Multicast: joining and leaving groups, and the receivers of what is sent to one.
//!
//! Knows IP datagram sockets, and the one interface there is: loopback.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::file::{FileId, Result, err_if};
use super::net::Net;
use super::socket_options::SocketOptions;
use crate::errno::Errno;
use crate::kernel::{SocketOption, SocketOptionName, SocketType};
use crate::net::Addr;

impl Net {
    /// Reference: net/ipv4/igmp.c: `__ip_mc_join_group`, net/ipv6/mcast.c: `__ipv6_sock_mc_join`
    pub(super) fn join_group(
        &mut self,
        file: FileId,
        group: IpAddr,
        is_loopback: bool,
    ) -> Result<()> {
        let socket = self.socket(file);
        err_if(socket.kind == SocketType::Stream, Errno::EPROTO)?;
        err_if(!group.is_multicast(), Errno::EINVAL)?;
        err_if(!is_loopback, Errno::ENODEV)?;
        err_if(socket.options.groups.contains(&group), Errno::EADDRINUSE)?;
        socket.options.groups.push(group);
        Ok(())
    }

    /// Leaves a group. `error` is that of a value that names no group or interface.
    ///
    /// Reference: net/ipv4/igmp.c: `ip_mc_leave_group`, net/ipv6/mcast.c: `ipv6_sock_mc_drop`
    pub(super) fn leave_group(
        &mut self,
        file: FileId,
        group: IpAddr,
        is_loopback: bool,
        error: Option<Errno>,
    ) -> Result<()> {
        let socket = self.socket(file);
        err_if(socket.kind == SocketType::Stream, Errno::EPROTO)?;
        error.map_or(Ok(()), Err)?;
        let groups = &mut socket.options.groups;
        let joined = groups.iter().position(|&joined| joined == group && is_loopback);
        groups.remove(joined.ok_or(Errno::EADDRNOTAVAIL)?);
        Ok(())
    }

    /// Whether there is a route from this socket to `to`. For a multicast group of IPv4 there is
    /// none, so that the socket must have set its interface; for one of IPv6 there is none over
    /// loopback, whatever is set.
    ///
    /// Reference: net/ipv6/addrconf.c: `addrconf_add_dev`, which gives every interface but loopback
    /// a route to all groups
    pub(super) fn is_routable(&mut self, file: FileId, to: &Addr) -> bool {
        match (to, to.ip()) {
            (_, Some(ip)) if !ip.is_multicast() => self.has_address(ip),
            (Addr::V4(_), _) => {
                let from = self.socket(file).options.get(SocketOptionName::MulticastInterfaceV4);
                matches!(from, Some(SocketOption::MulticastInterfaceV4(ip)) if ip.is_loopback())
            }
            (Addr::V6(_) | Addr::Unix(_) | Addr::Unspecified, _) => false,
        }
    }

    /// The sockets that receive what is sent to an IPv4 group. Linux delivers to all sockets bound
    /// to the port, once any socket of the machine has joined, except to those that accept only
    /// groups they have joined themselves (`IP_MULTICAST_ALL`).
    ///
    /// Reference: net/ipv4/udp.c: `__udp4_lib_mcast_deliver`, net/ipv4/igmp.c: `ip_mc_sf_allow`
    pub(super) fn multicast_receivers(&mut self, to: &Addr, from: Option<Addr>) -> Vec<FileId> {
        let has_joined = |group| self.sockets().any(|(_, it)| it.options.groups.contains(&group));
        if !to.ip().is_some_and(has_joined) {
            return Vec::new();
        }
        let datagrams = self.sockets().filter(|(_, socket)| socket.kind == SocketType::Datagram);
        let wants = |options: &SocketOptions| {
            let accepts_all = options.has(SocketOption::GroupAllV4(true));
            accepts_all || to.ip().is_some_and(|ip| options.groups.contains(&ip))
        };
        let receivers =
            datagrams.filter(|(_, socket)| socket.matches_dest(to, from) && wants(&socket.options));
        receivers.map(|(file, _)| file).collect()
    }
}
