//! Multicast: who joins a group, and who hears what is sent to it.
//!
//! Knows IP datagram sockets, and the one interface there is: loopback.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::options::Options;
use super::world::{FileId, Result, World};
use crate::addr::Addr;
use crate::errno::Errno;
use crate::kernel::{Kind, OptionName, SocketOption};

/// The number of the loopback interface.
pub(super) const LOOPBACK: u32 = 1;

impl World {
    /// Reference: net/ipv4/igmp.c: `__ip_mc_join_group`, net/ipv6/mcast.c: `__ipv6_sock_mc_join`
    pub(super) fn join_group(&mut self, file: FileId, group: IpAddr, is_here: bool) -> Result<()> {
        let socket = self.socket(file);
        if socket.kind == Kind::Stream {
            return Err(Errno::EPROTO);
        }
        if !group.is_multicast() {
            return Err(Errno::EINVAL);
        }
        if !is_here {
            return Err(Errno::ENODEV);
        }
        if socket.options.groups.contains(&group) {
            return Err(Errno::EADDRINUSE);
        }
        socket.options.groups.push(group);
        Ok(())
    }

    /// Whether this socket has a way there. To a group of IPv4 there is no route, so that it must
    /// have said from which interface it sends; to one of IPv6 there is none over loopback whatever
    /// it says.
    ///
    /// Reference: net/ipv6/addrconf.c: `addrconf_add_dev`, which gives every interface but loopback
    /// a route to all groups
    pub(super) fn reaches(&mut self, file: FileId, to: &Addr) -> bool {
        match (to, to.ip()) {
            (_, Some(ip)) if !ip.is_multicast() => self.has_address(ip),
            (Addr::V4(_), _) => {
                let from = self.socket(file).options.find(OptionName::GroupInterfaceV4);
                matches!(from, Some(SocketOption::GroupInterfaceV4(ip)) if ip.is_loopback())
            }
            (Addr::V6(_) | Addr::Unix(_) | Addr::Unspec, _) => false,
        }
    }

    /// Everybody who hears what is sent to this group, which is one of IPv4. Linux lets all hear who are bound to the
    /// port, once anybody of the machine has joined, unless they have said that they hear only
    /// what they have joined themselves (`IP_MULTICAST_ALL`).
    ///
    /// Reference: net/ipv4/udp.c: `__udp4_lib_mcast_deliver`, net/ipv4/igmp.c: `ip_mc_sf_allow`
    pub(super) fn who_hears(&mut self, to: &Addr, from: Option<Addr>) -> Vec<FileId> {
        let has_joined = |group| self.sockets().any(|(_, it)| it.options.groups.contains(&group));
        if !to.ip().is_some_and(has_joined) {
            return Vec::new();
        }
        let datagrams = self.sockets().filter(|(_, socket)| socket.kind == Kind::Datagram);
        let wants = |options: &Options| {
            let hears_all = options.has(SocketOption::GroupAllV4(true));
            hears_all || to.ip().is_some_and(|ip| options.groups.contains(&ip))
        };
        let hearers =
            datagrams.filter(|(_, socket)| socket.is_addressed(to, from) && wants(&socket.options));
        hearers.map(|(file, _)| file).collect()
    }
}
