//! Socket options as values: what setsockopt(2) takes and getsockopt(2) gives.
//!
//! Knows names and units; which level and number each has is the real kernel's affair.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::errno::Errno;

/// A socket option with its value; units are in the names.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SocketOption {
    /// `SO_REUSEADDR`: bind although connections of an earlier server linger.
    ReuseAddr(bool),
    /// `SO_REUSEPORT`: several sockets on one port; the kernel spreads what arrives.
    ReusePort(bool),
    /// `SO_BROADCAST`: may send to broadcast addresses.
    Broadcast(bool),
    /// `TCP_NODELAY`: small segments go at once. Inherited from the listener.
    NoDelay(bool),
    /// `TCP_QUICKACK`: acknowledge at once, for now.
    QuickAck(bool),
    /// `SO_KEEPALIVE`: probe a silent peer. Inherited from the listener.
    KeepAlive(bool),
    /// `TCP_KEEPIDLE`: silence before the first probe.
    KeepIdleSeconds(u32),
    /// `TCP_KEEPINTVL`: between probes.
    KeepIntervalSeconds(u32),
    /// `TCP_KEEPCNT`: probes unanswered before the peer counts as gone.
    KeepCount(u32),
    /// `SO_LINGER`: `Some(0)` makes close send a reset, `None` is the default.
    LingerSeconds(Option<u16>),
    /// `SO_RCVBUF`: the kernel doubles what is set, and says the double.
    ReceiveBufferBytes(u32),
    /// `SO_SNDBUF`: the kernel doubles what is set, and says the double.
    SendBufferBytes(u32),
    /// `SO_RCVLOWAT`: readable only from so many bytes on.
    ReceiveLowBytes(u32),
    /// `TCP_NOTSENT_LOWAT`: writable only while fewer bytes wait unsent.
    NotSentLowBytes(u32),
    /// `TCP_USER_TIMEOUT`: unacknowledged for so long is dead; 0 is the system's default.
    UserTimeoutMillis(u32),
    /// `TCP_DEFER_ACCEPT`: accept only when data has come; the kernel rounds.
    DeferAcceptSeconds(u32),
    /// `IPV6_V6ONLY`: no IPv4 through this IPv6 socket.
    V6Only(bool),
    /// `IP_ADD_MEMBERSHIP`: hears what is sent to a group, on the interface that has this
    /// address (`UNSPECIFIED` leaves that to the kernel). There is no value to ask for.
    JoinV4 {
        /// Which group: 224.0.0.0 to 239.255.255.255.
        group: Ipv4Addr,
        /// An address of the interface.
        interface: Ipv4Addr,
    },
    /// `IPV6_ADD_MEMBERSHIP`: the same, on the interface of this number (0: the kernel's choice).
    JoinV6 {
        /// Which group: `ff00::/8`.
        group: Ipv6Addr,
        /// The interface, by its number.
        interface: u32,
    },
    /// `IP_MULTICAST_IF`: sends to groups from the interface that has this address.
    GroupInterfaceV4(Ipv4Addr),
    /// `IP_PKTINFO`: each datagram comes with the address that it was sent to
    /// ([`PacketInfo`](crate::PacketInfo)).
    PacketInfoV4(bool),
    /// `IPV6_RECVPKTINFO`: the same; on a dual-stack socket of IPv4 datagrams too.
    PacketInfoV6(bool),
    /// `SO_OOBINLINE`: urgent bytes stay where they stand among the others. Without it a plain
    /// read leaves them out. TCP inherits it from the listener, a Unix socket does not.
    OutOfBandInline(bool),
    /// `IP_MULTICAST_ALL`: receives what any socket of this machine has joined for, not only what
    /// this one has. It is so unless it is unset.
    GroupAllV4(bool),
    /// `IPV6_MULTICAST_ALL`: the same for IPv6. Since Linux 4.20.
    GroupAllV6(bool),
    /// `SO_ERROR`: the pending error. Reading takes it; it cannot be set.
    Error(Option<Errno>),
}

/// The name of a socket option, to ask for its value.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the name of the `SocketOption` it asks for")]
pub enum OptionName {
    ReuseAddr,
    ReusePort,
    Broadcast,
    NoDelay,
    QuickAck,
    KeepAlive,
    KeepIdleSeconds,
    KeepIntervalSeconds,
    KeepCount,
    LingerSeconds,
    ReceiveBufferBytes,
    SendBufferBytes,
    ReceiveLowBytes,
    NotSentLowBytes,
    UserTimeoutMillis,
    DeferAcceptSeconds,
    V6Only,
    JoinV4,
    JoinV6,
    GroupInterfaceV4,
    PacketInfoV4,
    PacketInfoV6,
    OutOfBandInline,
    GroupAllV4,
    GroupAllV6,
    Error,
}

impl OptionName {
    /// Every name there is, for those who go through them all.
    pub const ALL: [Self; 26] = [
        Self::ReuseAddr,
        Self::ReusePort,
        Self::Broadcast,
        Self::NoDelay,
        Self::QuickAck,
        Self::KeepAlive,
        Self::KeepIdleSeconds,
        Self::KeepIntervalSeconds,
        Self::KeepCount,
        Self::LingerSeconds,
        Self::ReceiveBufferBytes,
        Self::SendBufferBytes,
        Self::ReceiveLowBytes,
        Self::NotSentLowBytes,
        Self::UserTimeoutMillis,
        Self::DeferAcceptSeconds,
        Self::V6Only,
        Self::JoinV4,
        Self::JoinV6,
        Self::GroupInterfaceV4,
        Self::PacketInfoV4,
        Self::PacketInfoV6,
        Self::OutOfBandInline,
        Self::GroupAllV4,
        Self::GroupAllV6,
        Self::Error,
    ];
}

impl SocketOption {
    /// The name without the value. Work: O(1).
    #[must_use]
    pub const fn name(self) -> OptionName {
        match self {
            Self::ReuseAddr(_) => OptionName::ReuseAddr,
            Self::ReusePort(_) => OptionName::ReusePort,
            Self::Broadcast(_) => OptionName::Broadcast,
            Self::NoDelay(_) => OptionName::NoDelay,
            Self::QuickAck(_) => OptionName::QuickAck,
            Self::KeepAlive(_) => OptionName::KeepAlive,
            Self::KeepIdleSeconds(_) => OptionName::KeepIdleSeconds,
            Self::KeepIntervalSeconds(_) => OptionName::KeepIntervalSeconds,
            Self::KeepCount(_) => OptionName::KeepCount,
            Self::LingerSeconds(_) => OptionName::LingerSeconds,
            Self::ReceiveBufferBytes(_) => OptionName::ReceiveBufferBytes,
            Self::SendBufferBytes(_) => OptionName::SendBufferBytes,
            Self::ReceiveLowBytes(_) => OptionName::ReceiveLowBytes,
            Self::NotSentLowBytes(_) => OptionName::NotSentLowBytes,
            Self::UserTimeoutMillis(_) => OptionName::UserTimeoutMillis,
            Self::DeferAcceptSeconds(_) => OptionName::DeferAcceptSeconds,
            Self::V6Only(_) => OptionName::V6Only,
            Self::JoinV4 { .. } => OptionName::JoinV4,
            Self::JoinV6 { .. } => OptionName::JoinV6,
            Self::GroupInterfaceV4(_) => OptionName::GroupInterfaceV4,
            Self::PacketInfoV4(_) => OptionName::PacketInfoV4,
            Self::PacketInfoV6(_) => OptionName::PacketInfoV6,
            Self::OutOfBandInline(_) => OptionName::OutOfBandInline,
            Self::GroupAllV4(_) => OptionName::GroupAllV4,
            Self::GroupAllV6(_) => OptionName::GroupAllV6,
            Self::Error(_) => OptionName::Error,
        }
    }
}
