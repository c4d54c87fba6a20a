//! The options of one socket: values and defaults.
//!
//! Knows the values; the effect of an option is implemented where it is read.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::address::{is_broadcast, source_addr};
use super::config::SimConfig;
use crate::kernel::{SocketOption, SocketOptionName};
use crate::net::{Addr, AddressFamily, PacketInfo};

/// The interface index of the loopback interface, the only one.
pub(super) const LOOPBACK_IFINDEX: u32 = 1;

#[derive(Clone)]
pub(super) struct SocketOptions {
    /// The effective `SO_RCVBUF`, `SO_SNDBUF` and `SO_RCVLOWAT`.
    pub(super) receive_bytes: usize,
    pub(super) send_bytes: usize,
    pub(super) recv_low_watermark: usize,
    /// The others that were set.
    set: Vec<SocketOption>,
    /// The multicast groups that it has joined.
    pub(super) groups: Vec<IpAddr>,
}

/// The values of options that are not set.
const DEFAULTS: [SocketOption; 36] = [
    SocketOption::ReuseAddr(false),
    SocketOption::ReusePort(false),
    SocketOption::Broadcast(false),
    SocketOption::NoDelay(false),
    SocketOption::QuickAck(true),
    SocketOption::KeepAlive(false),
    SocketOption::KeepIdleSeconds(7_200),
    SocketOption::KeepIntervalSeconds(75),
    SocketOption::KeepCount(9),
    SocketOption::LingerSeconds(None),
    SocketOption::NotSentLowWatermark(0),
    SocketOption::UserTimeoutMillis(0),
    SocketOption::DeferAcceptSeconds(0),
    SocketOption::V6Only(false),
    SocketOption::MulticastInterfaceV4(Ipv4Addr::UNSPECIFIED),
    SocketOption::MulticastInterfaceV6(0),
    SocketOption::MulticastTtl(1),
    SocketOption::MulticastHops(1),
    SocketOption::MulticastLoopV4(true),
    SocketOption::MulticastLoopV6(true),
    SocketOption::PacketInfoV4(false),
    SocketOption::PacketInfoV6(false),
    SocketOption::OutOfBandInline(false),
    SocketOption::GroupAllV4(true),
    SocketOption::GroupAllV6(true),
    SocketOption::UdpGro(false),
    SocketOption::Ttl(64),
    SocketOption::Tos(0),
    SocketOption::UnicastHops(64),
    SocketOption::TrafficClass(0),
    SocketOption::FastOpen(0),
    SocketOption::FastOpenConnect(false),
    SocketOption::PassCredentials(false),
    SocketOption::Timestamp(false),
    SocketOption::ReceiveErrorsV4(false),
    SocketOption::ReceiveErrorsV6(false),
];

impl SocketOptions {
    /// Reference: net/ipv6/af_inet6.c: `inet6_create`, which leaves IPv4's `IP_MULTICAST_ALL` off
    pub(super) fn new(family: AddressFamily, config: &SimConfig) -> Self {
        let is_v6 = family == AddressFamily::Inet6;
        let v6_only = config.is_v6_only.then_some(SocketOption::V6Only(true));
        let group_all = is_v6.then_some(SocketOption::GroupAllV4(false));
        Self {
            receive_bytes: config.receive_buffer_bytes,
            send_bytes: config.send_buffer_bytes,
            recv_low_watermark: 1,
            set: v6_only.into_iter().chain(group_all).collect(),
            groups: Vec::new(),
        }
    }

    /// Those of a connection that a listener of `family` with these options has accepted: what is
    /// sent to groups takes the hops and the interface of the packet from `from`, the client, with
    /// options `of_client`.
    ///
    /// Reference: net/ipv4/tcp_ipv4.c: `tcp_v4_syn_recv_sock`, net/ipv6/tcp_ipv6.c:
    /// `tcp_v6_syn_recv_sock`
    pub(super) fn of_accepted(
        mut self,
        family: AddressFamily,
        of_client: &Self,
        from: Option<Addr>,
    ) -> Self {
        let is_v4 = from.and_then(|from| from.ip()).is_some_and(|ip| ip.to_canonical().is_ipv4());
        let name = if is_v4 { SocketOptionName::Ttl } else { SocketOptionName::UnicastHops };
        let Some(SocketOption::Ttl(hops) | SocketOption::UnicastHops(hops)) = of_client.get(name)
        else {
            return self;
        };
        if is_v4 {
            self.set(SocketOption::MulticastTtl(hops));
        }
        if family == AddressFamily::Inet6 {
            self.set(SocketOption::MulticastHops(hops));
            self.set(SocketOption::MulticastInterfaceV6(LOOPBACK_IFINDEX));
        }
        self
    }

    /// Sets an option that has no field of its own.
    pub(super) fn set(&mut self, option: SocketOption) {
        self.set.retain(|known| known.name() != option.name());
        self.set.push(option);
    }

    /// The value that was set, or the default. Memberships and errors have none.
    pub(super) fn get(&self, name: SocketOptionName) -> Option<SocketOption> {
        let mut known = self.set.iter().chain(&DEFAULTS);
        known.find(|option| option.name() == name).copied()
    }

    pub(super) fn has(&self, option: SocketOption) -> bool {
        self.get(option.name()) == Some(option)
    }

    /// The local destination of a datagram that was sent to `to`, if the socket has enabled it: the
    /// source address of a reply.
    ///
    /// Reference: net/ipv4/ip_sockglue.c: `ipv4_pktinfo_prepare`,
    /// net/ipv6/datagram.c: `ip6_datagram_recv_common_ctl`
    pub(super) fn packet_info(&self, to: IpAddr) -> Option<PacketInfo> {
        let interface = LOOPBACK_IFINDEX;
        match to {
            IpAddr::V4(ip) if self.has(SocketOption::PacketInfoV4(true)) => {
                let is_many = ip.is_multicast() || is_broadcast(ip);
                let addr = if is_many { source_addr(to) } else { to };
                Some(PacketInfo { addr, interface })
            }
            IpAddr::V4(ip) if self.has(SocketOption::PacketInfoV6(true)) => {
                Some(PacketInfo { addr: ip.to_ipv6_mapped().into(), interface })
            }
            IpAddr::V6(_) if self.has(SocketOption::PacketInfoV6(true)) => {
                Some(PacketInfo { addr: to, interface })
            }
            _ => None,
        }
    }
}
