//! Multicast: who joins a group, and who hears what is sent to it.
//!
//! Knows IP datagram sockets, and the one interface there is: loopback.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::socket::is_ours;
use super::world::{FileId, Node, World};
use crate::addr::{Addr, Family};
use crate::errno::Errno;
use crate::kernel::{OptionName, SocketOption};

/// The number of the loopback interface.
const LOOPBACK: u32 = 1;

/// The group that a membership is for, and whether its interface is the one there is.
fn group_of(option: SocketOption) -> Option<(IpAddr, bool)> {
    match option {
        SocketOption::JoinV4 { group, interface } => Some((group.into(), interface.is_loopback())),
        SocketOption::JoinV6 { group, interface } => Some((group.into(), interface == LOOPBACK)),
        _ => None,
    }
}

impl World {
    /// Reference: net/ipv4/igmp.c: `__ip_mc_join_group`, net/ipv6/mcast.c: `__ipv6_sock_mc_join`
    pub(super) fn join_group(&mut self, file: FileId, option: SocketOption) -> Result<(), Errno> {
        let family = self.socket(file)?.family;
        let is_stream = matches!(self.at(file).node, Node::Stream(_));
        match (family, option.name()) {
            (Family::Unix, _) => return Err(Errno::EOPNOTSUPP),
            (Family::Inet, OptionName::JoinV6) => return Err(Errno::ENOPROTOOPT),
            _ if is_stream => return Err(Errno::EPROTO),
            _ => {}
        }
        let Some((group, is_here)) = group_of(option).filter(|(group, _)| group.is_multicast())
        else {
            return Err(Errno::EINVAL);
        };
        if !is_here {
            return Err(Errno::ENODEV);
        }
        if self.has_joined(file, group) {
            return Err(Errno::EADDRINUSE);
        }
        self.socket(file)?.options.add(option);
        Ok(())
    }

    fn has_joined(&mut self, file: FileId, group: IpAddr) -> bool {
        self.socket(file).is_ok_and(|socket| {
            let mut groups = socket.options.iter().filter_map(group_of);
            groups.any(|(joined, _)| joined == group)
        })
    }

    /// Whether this socket has a way there. To a group there is no route, so that it must have
    /// said from which interface it sends.
    pub(super) fn reaches(&mut self, file: FileId, to: &Addr) -> bool {
        match to.ip() {
            Some(ip) if ip.is_multicast() => self.reaches_group(file, to),
            Some(ip) => is_ours(ip),
            None => false,
        }
    }

    fn reaches_group(&mut self, file: FileId, to: &Addr) -> bool {
        let from = self.socket(file).ok().and_then(|socket| {
            socket.options.iter().find(|option| option.name() == OptionName::GroupInterfaceV4)
        });
        match (to, from) {
            (Addr::V4(_), Some(SocketOption::GroupInterfaceV4(ip))) => ip.is_loopback(),
            (Addr::V6(v6), _) => v6.scope_id() == LOOPBACK,
            _ => false,
        }
    }

    /// Everybody who hears what is sent to this group. Linux lets all hear who are bound to the
    /// port, once anybody of the machine has joined (`IP_MULTICAST_ALL`).
    ///
    /// Reference: net/ipv4/udp.c: `__udp4_lib_mcast_deliver`, net/ipv4/igmp.c: `ip_mc_sf_allow`
    pub(super) fn who_hears(&mut self, to: &Addr, from: Option<Addr>) -> Vec<FileId> {
        let Some(group) = to.ip() else { return Vec::new() };
        let files: Vec<FileId> = self.files.keys().copied().collect();
        if !files.iter().any(|file| self.has_joined(*file, group)) {
            return Vec::new();
        }
        files.into_iter().filter(|file| self.is_addressed(*file, to, from)).collect()
    }
}
