//! `PacketInfo`: which of this machine's addresses a datagram came to, and leaves from.
//!
//! Knows addresses; the control messages that carry it are the real kernel's (`linux/control.rs`).

use core::net::IpAddr;

/// The local side of a datagram: `struct in_pktinfo` or `struct in6_pktinfo`.
///
/// A socket bound to the wildcard address receives what is sent to any address of the machine, and
/// what it sends leaves from the address that the routing table prefers. A client that asked at
/// another one takes no answer from there. So a server must keep this of what it received and
/// give it to what it sends.
///
/// Man page: ip(7), `IP_PKTINFO`; ipv6(7), `IPV6_RECVPKTINFO`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PacketInfo {
    /// Received: the address that it was sent to. For an IPv4 broadcast or multicast it is the
    /// address of ours that an answer should come from (`ipi_spec_dst`). To send: the address
    /// that it leaves from.
    pub addr: IpAddr,
    /// Received: the number of the interface. To send: the interface it leaves by, 0 for what the
    /// routing table says.
    pub interface: u32,
}

impl PacketInfo {
    /// What an answer needs: the same address; by which interface is for the routing table to
    /// say. `None` when no datagram can leave from there: it came to a group, or to everybody.
    /// Work: O(1).
    ///
    /// ```
    /// # use epollite::PacketInfo;
    /// let asked = PacketInfo { addr: "192.0.2.7".parse()?, interface: 3 };
    /// let answer = asked.reply().expect("one of ours");
    /// assert_eq!((answer.addr, answer.interface), (asked.addr, 0));
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
