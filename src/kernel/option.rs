//! Socket options as values: the arguments of setsockopt(2) and the results of getsockopt(2).
//!
//! Knows names and units; their levels and numbers are in `linux/sockopt.rs`.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::errno::Errno;

/// A socket option with its value; units are in the names.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SocketOption {
    /// `SO_REUSEADDR`: bind although connections of an earlier server linger (`TIME_WAIT`).
    ReuseAddr(bool),
    /// `SO_REUSEPORT`: several sockets on one port; the kernel distributes what arrives.
    ReusePort(bool),
    /// `SO_BROADCAST`: may send to broadcast addresses.
    Broadcast(bool),
    /// `TCP_NODELAY`: small segments are sent at once. Inherited from the listener.
    NoDelay(bool),
    /// `TCP_QUICKACK`: acknowledge at once, for now.
    QuickAck(bool),
    /// `SO_KEEPALIVE`: probe an idle peer. Inherited from the listener.
    KeepAlive(bool),
    /// `TCP_KEEPIDLE`: idle time before the first probe.
    KeepIdleSeconds(u32),
    /// `TCP_KEEPINTVL`: time between probes.
    KeepIntervalSeconds(u32),
    /// `TCP_KEEPCNT`: unanswered probes after which the connection is dropped.
    KeepCount(u32),
    /// `SO_LINGER`: `Some(0)` makes close send a reset, `None` is the default.
    LingerSeconds(Option<u16>),
    /// `SO_RCVBUF`: the kernel doubles the value that is set, and returns the double.
    ReceiveBufferBytes(u32),
    /// `SO_SNDBUF`: the kernel doubles the value that is set, and returns the double.
    SendBufferBytes(u32),
    /// `SO_RCVLOWAT`: readable only when at least this many bytes are available.
    RecvLowWatermark(u32),
    /// `TCP_NOTSENT_LOWAT`: writable only while fewer bytes wait unsent.
    NotSentLowWatermark(u32),
    /// `TCP_USER_TIMEOUT`: time after which unacknowledged data drops the connection; 0 is the
    /// system's default.
    UserTimeoutMillis(u32),
    /// `TCP_DEFER_ACCEPT`: accept only when data has arrived; the kernel rounds.
    DeferAcceptSeconds(u32),
    /// `IPV6_V6ONLY`: no IPv4 through this IPv6 socket.
    V6Only(bool),
    /// `IP_ADD_MEMBERSHIP`: joins a group, on the interface that has this address (`UNSPECIFIED`
    /// leaves the choice to the kernel). It has no value to get.
    JoinMulticastV4 {
        /// The group: 224.0.0.0 to 239.255.255.255.
        group: Ipv4Addr,
        /// An address of the interface.
        interface: Ipv4Addr,
    },
    /// `IPV6_ADD_MEMBERSHIP`: the same, on the interface of this index (0: the kernel's choice).
    JoinMulticastV6 {
        /// The group: `ff00::/8`.
        group: Ipv6Addr,
        /// The interface's index.
        interface: u32,
    },
    /// `IP_MULTICAST_IF`: the interface, by its address, from which groups are sent to.
    MulticastInterfaceV4(Ipv4Addr),
    /// `IP_PKTINFO`: each datagram is received with its destination address
    /// ([`PacketInfo`](crate::PacketInfo)).
    PacketInfoV4(bool),
    /// `IPV6_RECVPKTINFO`: the same; on a dual-stack socket for IPv4 datagrams too.
    PacketInfoV6(bool),
    /// `SO_OOBINLINE`: urgent bytes stay in the stream. Without it a normal read leaves them out.
    /// TCP inherits it from the listener, a Unix socket does not.
    OutOfBandInline(bool),
    /// `IP_MULTICAST_ALL`: receives from groups that any socket of this machine has joined, not
    /// only this one. It is set by default.
    GroupAllV4(bool),
    /// `IPV6_MULTICAST_ALL`: the same for IPv6. Since Linux 4.20.
    GroupAllV6(bool),
    /// `SO_ERROR`: the pending error. Getting it clears it; it cannot be set.
    Error(Option<Errno>),
}

/// The name of a socket option, to get its value.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the name of the `SocketOption` it asks for")]
pub enum SocketOptionName {
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
    RecvLowWatermark,
    NotSentLowWatermark,
    UserTimeoutMillis,
    DeferAcceptSeconds,
    V6Only,
    JoinMulticastV4,
    JoinMulticastV6,
    MulticastInterfaceV4,
    PacketInfoV4,
    PacketInfoV6,
    OutOfBandInline,
    GroupAllV4,
    GroupAllV6,
    Error,
}

impl SocketOptionName {
    /// All names, to iterate over.
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
        Self::RecvLowWatermark,
        Self::NotSentLowWatermark,
        Self::UserTimeoutMillis,
        Self::DeferAcceptSeconds,
        Self::V6Only,
        Self::JoinMulticastV4,
        Self::JoinMulticastV6,
        Self::MulticastInterfaceV4,
        Self::PacketInfoV4,
        Self::PacketInfoV6,
        Self::OutOfBandInline,
        Self::GroupAllV4,
        Self::GroupAllV6,
        Self::Error,
    ];
}

impl SocketOption {
    /// The name without the value. Cost: O(1).
    #[must_use]
    pub const fn name(self) -> SocketOptionName {
        match self {
            Self::ReuseAddr(_) => SocketOptionName::ReuseAddr,
            Self::ReusePort(_) => SocketOptionName::ReusePort,
            Self::Broadcast(_) => SocketOptionName::Broadcast,
            Self::NoDelay(_) => SocketOptionName::NoDelay,
            Self::QuickAck(_) => SocketOptionName::QuickAck,
            Self::KeepAlive(_) => SocketOptionName::KeepAlive,
            Self::KeepIdleSeconds(_) => SocketOptionName::KeepIdleSeconds,
            Self::KeepIntervalSeconds(_) => SocketOptionName::KeepIntervalSeconds,
            Self::KeepCount(_) => SocketOptionName::KeepCount,
            Self::LingerSeconds(_) => SocketOptionName::LingerSeconds,
            Self::ReceiveBufferBytes(_) => SocketOptionName::ReceiveBufferBytes,
            Self::SendBufferBytes(_) => SocketOptionName::SendBufferBytes,
            Self::RecvLowWatermark(_) => SocketOptionName::RecvLowWatermark,
            Self::NotSentLowWatermark(_) => SocketOptionName::NotSentLowWatermark,
            Self::UserTimeoutMillis(_) => SocketOptionName::UserTimeoutMillis,
            Self::DeferAcceptSeconds(_) => SocketOptionName::DeferAcceptSeconds,
            Self::V6Only(_) => SocketOptionName::V6Only,
            Self::JoinMulticastV4 { .. } => SocketOptionName::JoinMulticastV4,
            Self::JoinMulticastV6 { .. } => SocketOptionName::JoinMulticastV6,
            Self::MulticastInterfaceV4(_) => SocketOptionName::MulticastInterfaceV4,
            Self::PacketInfoV4(_) => SocketOptionName::PacketInfoV4,
            Self::PacketInfoV6(_) => SocketOptionName::PacketInfoV6,
            Self::OutOfBandInline(_) => SocketOptionName::OutOfBandInline,
            Self::GroupAllV4(_) => SocketOptionName::GroupAllV4,
            Self::GroupAllV6(_) => SocketOptionName::GroupAllV6,
            Self::Error(_) => SocketOptionName::Error,
        }
    }
}
