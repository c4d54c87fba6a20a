//! `PacketInfo`: the local address that a datagram was sent to, or is sent from.
//!
//! Knows addresses; the control messages that carry it are the real kernel's (`linux/control.rs`).

use core::net::IpAddr;

/// The local side of a datagram: `struct in_pktinfo` or `struct in6_pktinfo`.
///
/// A socket bound to the wildcard address receives what is sent to any address of the machine, and
/// its datagrams use the source address that the routing table prefers. A client that sent to
/// another address does not accept a reply from there. So a server must keep the info of a received
/// datagram and pass it when sending the reply.
///
/// Man page: ip(7), `IP_PKTINFO`; ipv6(7), `IPV6_RECVPKTINFO`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PacketInfo {
    /// Received: the destination address. For an IPv4 broadcast or multicast it is the local
    /// address that a reply should use as its source (`ipi_spec_dst`). To send: the source address.
    pub addr: IpAddr,
    /// Received: the interface index. To send: the interface to use, 0 to let the routing table
    /// decide.
    pub interface: u32,
}

impl PacketInfo {
    /// The info for a reply: the same address, with the interface left to the routing table.
    /// `None` when the address cannot be a source: it is a group or the broadcast address.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::PacketInfo;
    /// let received = PacketInfo { addr: "192.0.2.7".parse()?, interface: 3 };
    /// let reply = received.reply().expect("a local address");
    /// assert_eq!((reply.addr, reply.interface), (received.addr, 0));
    /// assert_eq!(PacketInfo { addr: "ff02::1".parse()?, interface: 3 }.reply(), None);
    /// # Ok::<(), core::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn reply(self) -> Option<Self> {
        let is_sender = match self.addr.to_canonical() {
            IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
            IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
        };
        is_sender.then_some(Self { addr: self.addr, interface: 0 })
    }
}
