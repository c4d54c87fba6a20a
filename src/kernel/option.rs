//! Socket options as values: the arguments of setsockopt(2) and the results of getsockopt(2).
//!
//! One table has for each option its documentation, its type, its level and name in C, and the
//! encoding of its value. Knows C's structs by their layout, which `linux/sockopt.rs` compares with
//! libc's; what an option does is in the kernels.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::Credentials;
use crate::errno::Errno;

/// Passes the table to the macro `$apply`. A row is
///
/// ```text
/// Variant(type of the value): LEVEL NAME, ENCODING;
/// ```
macro_rules! for_each_socket_option {
    ($apply:ident) => {
        $apply! {
            /// `SO_REUSEADDR`: bind although connections of an earlier server linger (`TIME_WAIT`).
            ReuseAddr(bool): SOL_SOCKET SO_REUSEADDR, FLAG;
            /// `SO_REUSEPORT`: several sockets on one port; the kernel distributes what arrives.
            ReusePort(bool): SOL_SOCKET SO_REUSEPORT, FLAG;
            /// `SO_BROADCAST`: may send to broadcast addresses.
            Broadcast(bool): SOL_SOCKET SO_BROADCAST, FLAG;
            /// `TCP_NODELAY`: small segments are sent at once. Inherited from the listener.
            NoDelay(bool): SOL_TCP TCP_NODELAY, FLAG;
            /// `TCP_QUICKACK`: acknowledge at once, for now.
            QuickAck(bool): SOL_TCP TCP_QUICKACK, FLAG;
            /// `SO_KEEPALIVE`: probe an idle peer. Inherited from the listener.
            KeepAlive(bool): SOL_SOCKET SO_KEEPALIVE, FLAG;
            /// `TCP_KEEPIDLE`: idle time before the first probe.
            KeepIdleSeconds(u32): SOL_TCP TCP_KEEPIDLE, INT;
            /// `TCP_KEEPINTVL`: time between probes.
            KeepIntervalSeconds(u32): SOL_TCP TCP_KEEPINTVL, INT;
            /// `TCP_KEEPCNT`: unanswered probes after which the connection is dropped.
            KeepCount(u32): SOL_TCP TCP_KEEPCNT, INT;
            /// `SO_LINGER`: `Some(0)` makes close send a reset, `None` is the default.
            LingerSeconds(Option<u16>): SOL_SOCKET SO_LINGER, LINGER;
            /// `SO_RCVBUF`: the kernel doubles the value that is set, and returns the double.
            ReceiveBufferBytes(u32): SOL_SOCKET SO_RCVBUF, INT;
            /// `SO_SNDBUF`: the kernel doubles the value that is set, and returns the double.
            SendBufferBytes(u32): SOL_SOCKET SO_SNDBUF, INT;
            /// `SO_RCVLOWAT`: readable only when at least this many bytes are available.
            RecvLowWatermark(u32): SOL_SOCKET SO_RCVLOWAT, INT;
            /// `TCP_NOTSENT_LOWAT`: writable only while fewer bytes wait unsent.
            NotSentLowWatermark(u32): SOL_TCP TCP_NOTSENT_LOWAT, UNSIGNED;
            /// `TCP_USER_TIMEOUT`: time after which unacknowledged data drops the connection; 0 is
            /// the system's default.
            UserTimeoutMillis(u32): SOL_TCP TCP_USER_TIMEOUT, INT;
            /// `TCP_DEFER_ACCEPT`: accept only when data has arrived; the kernel rounds.
            DeferAcceptSeconds(u32): SOL_TCP TCP_DEFER_ACCEPT, INT;
            /// `IPV6_V6ONLY`: no IPv4 through this IPv6 socket.
            V6Only(bool): SOL_IPV6 IPV6_V6ONLY, FLAG;
            /// `IP_ADD_MEMBERSHIP`: joins a group, on the interface that has this address
            /// (`UNSPECIFIED` leaves the choice to the kernel). It has no value to get.
            JoinMulticastV4(MembershipV4): SOL_IP IP_ADD_MEMBERSHIP, IP_MREQ;
            /// `IPV6_ADD_MEMBERSHIP`: the same, on the interface of this index (0: the kernel's
            /// choice).
            JoinMulticastV6(MembershipV6): SOL_IPV6 IPV6_ADD_MEMBERSHIP, IPV6_MREQ;
            /// `IP_DROP_MEMBERSHIP`: leaves a group that was joined with the same value. It has no
            /// value to get.
            LeaveMulticastV4(MembershipV4): SOL_IP IP_DROP_MEMBERSHIP, IP_MREQ;
            /// `IPV6_DROP_MEMBERSHIP`: the same for IPv6; 0 is any interface.
            LeaveMulticastV6(MembershipV6): SOL_IPV6 IPV6_DROP_MEMBERSHIP, IPV6_MREQ;
            /// `IP_MULTICAST_IF`: the interface, by its address, from which groups are sent to.
            MulticastInterfaceV4(Ipv4Addr): SOL_IP IP_MULTICAST_IF, IN_ADDR;
            /// `IPV6_MULTICAST_IF`: the same, by its index (0: by the routes).
            MulticastInterfaceV6(u32): SOL_IPV6 IPV6_MULTICAST_IF, INT;
            /// `IP_MULTICAST_TTL`: how many routers a packet to a group may pass; up to 255, 1 by
            /// default: it stays in this network. Not for streams.
            MulticastTtl(u32): SOL_IP IP_MULTICAST_TTL, INT;
            /// `IPV6_MULTICAST_HOPS`: the same for IPv6.
            MulticastHops(u32): SOL_IPV6 IPV6_MULTICAST_HOPS, INT;
            /// `IP_MULTICAST_LOOP`: members on this machine receive what this socket sends to a
            /// group, too. It is set by default. Over loopback they receive it in any case.
            MulticastLoopV4(bool): SOL_IP IP_MULTICAST_LOOP, FLAG;
            /// `IPV6_MULTICAST_LOOP`: the same for IPv6.
            MulticastLoopV6(bool): SOL_IPV6 IPV6_MULTICAST_LOOP, FLAG;
            /// `IP_PKTINFO`: each datagram is received with its destination address
            /// ([`PacketInfo`](crate::net::PacketInfo)).
            PacketInfoV4(bool): SOL_IP IP_PKTINFO, FLAG;
            /// `IPV6_RECVPKTINFO`: the same; on a dual-stack socket for IPv4 datagrams too.
            PacketInfoV6(bool): SOL_IPV6 IPV6_RECVPKTINFO, FLAG;
            /// `SO_OOBINLINE`: urgent bytes stay in the stream. Without it a normal read leaves
            /// them out. TCP inherits it from the listener, a Unix socket does not.
            OutOfBandInline(bool): SOL_SOCKET SO_OOBINLINE, FLAG;
            /// `IP_MULTICAST_ALL`: receives from groups that any socket of this machine has joined,
            /// not only this one. It is set by default.
            GroupAllV4(bool): SOL_IP IP_MULTICAST_ALL, FLAG;
            /// `IPV6_MULTICAST_ALL`: the same for IPv6. Since Linux 4.20.
            GroupAllV6(bool): SOL_IPV6 IPV6_MULTICAST_ALL, FLAG;
            /// `UDP_GRO`: datagrams that arrived as one packet with equal lengths are received in
            /// one piece ([`Datagram::segment_bytes`](crate::net::Datagram::segment_bytes)). Since
            /// Linux 5.0, which also sends such pieces.
            UdpGro(bool): SOL_UDP UDP_GRO, FLAG;
            /// `IP_TTL`: how many routers an IPv4 packet may pass; 1 to 255, 64 by default.
            Ttl(u32): SOL_IP IP_TTL, INT;
            /// `IP_TOS`: the DSCP of IPv4 packets, in its six upper bits, and ECN. The kernel keeps
            /// eight bits, of a stream without ECN.
            Tos(u32): SOL_IP IP_TOS, INT;
            /// `IPV6_UNICAST_HOPS`: how many routers an IPv6 packet may pass; up to 255, 64 by
            /// default.
            UnicastHops(u32): SOL_IPV6 IPV6_UNICAST_HOPS, INT;
            /// `IPV6_TCLASS`: as [`Tos`](SocketOption::Tos), of IPv6 packets; up to 255.
            TrafficClass(u32): SOL_IPV6 IPV6_TCLASS, INT;
            /// `TCP_FASTOPEN`: a listener accepts data in a SYN, from at most this many clients
            /// whose handshake is not complete; limited by `net.core.somaxconn`. Whether servers do
            /// it at all is bit 1 of `net.ipv4.tcp_fastopen`.
            FastOpen(u32): SOL_TCP TCP_FASTOPEN, INT;
            /// `TCP_FASTOPEN_CONNECT`: connect(2) returns at once if the server has given a cookie
            /// before, and the first send carries its data in the SYN. Since Linux 4.11.
            FastOpenConnect(bool): SOL_TCP TCP_FASTOPEN_CONNECT, FLAG;
            /// `TCP_CONGESTION`: the congestion control, by its name: `reno`, `cubic`, `bbr`, or
            /// another of `net.ipv4.tcp_allowed_congestion_control`.
            CongestionControl(ShortName): SOL_TCP TCP_CONGESTION, NAME;
            /// `SO_BINDTODEVICE`: only packets of the interface of this name; an empty name ends
            /// that.
            BindToDevice(ShortName): SOL_SOCKET SO_BINDTODEVICE, NAME;
            /// `SO_PEERCRED`: the process at the other end of a Unix stream when it was
            /// connected. It cannot be set. Without a peer the numbers are 0 and twice `u32::MAX`.
            PeerCredentials(Credentials): SOL_SOCKET SO_PEERCRED, UCRED;
            /// `SO_PASSCRED`: each message of a Unix socket is received with its sender's identity
            /// ([`ReceivedMessage::credentials`](super::ReceivedMessage::credentials)).
            PassCredentials(bool): SOL_SOCKET SO_PASSCRED, FLAG;
            /// `SO_TIMESTAMPNS`: each datagram is received with the time of its arrival
            /// ([`ReceivedMessage::timestamp`](super::ReceivedMessage::timestamp)).
            Timestamp(bool): SOL_SOCKET SO_TIMESTAMPNS, FLAG;
            /// `IP_RECVERR`: errors are queued, with the datagrams that caused them
            /// ([`ReceiveMode::ErrorQueue`](super::ReceiveMode::ErrorQueue)), also those of a
            /// socket that is not connected. `EPOLLERR` is reported until the queue is empty.
            ReceiveErrorsV4(bool): SOL_IP IP_RECVERR, FLAG;
            /// `IPV6_RECVERR`: the same for IPv6.
            ReceiveErrorsV6(bool): SOL_IPV6 IPV6_RECVERR, FLAG;
            /// `SO_ERROR`: the pending error. Getting it clears it; it cannot be set.
            Error(Option<Errno>): SOL_SOCKET SO_ERROR, ERRNO;
        }
    };
}
pub(crate) use for_each_socket_option;

macro_rules! define_socket_option {
    ($($(#[$doc:meta])* $option:ident($ty:ty): $level:ident $name:ident, $codec:ident;)*) => {
        /// A socket option with its value; units are in the names.
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum SocketOption {
            $($(#[$doc])* $option($ty),)*
        }

        /// The name of a socket option, to get its value.
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum SocketOptionName {
            $(#[doc = concat!("`", stringify!($name), "`: [`SocketOption::", stringify!($option),
                "`].")]
            $option,)*
        }

        impl SocketOptionName {
            /// All names, to iterate over.
            pub const ALL: [Self; [$(stringify!($option)),*].len()] = [$(Self::$option),*];

            /// The level and the name in C: `("SOL_SOCKET", "SO_REUSEADDR")`. Cost: O(1).
            #[must_use]
            pub const fn c_names(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$option => (stringify!($level), stringify!($name)),)*
                }
            }

            /// The length of its value in C.
            #[cfg_attr(epl_staticlib, inline(always))]
            pub(crate) const fn value_bytes(self) -> u32 {
                match self {
                    $(Self::$option => $codec.len_bytes,)*
                }
            }

            /// The option whose value is in `bytes`; `None` if there is no such value.
            pub(crate) fn decode(self, bytes: OptionBytes) -> Option<SocketOption> {
                match self {
                    $(Self::$option => ($codec.decode)(bytes).map(SocketOption::$option),)*
                }
            }
        }

        impl SocketOption {
            /// The name without the value. Cost: O(1).
            #[must_use]
            #[cfg_attr(epl_staticlib, inline(always))]
            pub const fn name(self) -> SocketOptionName {
                match self {
                    $(Self::$option(_) => SocketOptionName::$option,)*
                }
            }

            /// The value in C: as many bytes as [`SocketOptionName::value_bytes`] returns.
            #[cfg_attr(epl_staticlib, inline(always))]
            pub(crate) fn encode(self) -> OptionBytes {
                match self {
                    $(Self::$option(value) => ($codec.encode)(value),)*
                }
            }
        }
    };
}
for_each_socket_option!(define_socket_option);

/// A short name as the kernel has it: of a network interface, of a congestion control.
///
/// ```
/// use epollite::kernel::ShortName;
/// assert_eq!(ShortName::new("lo").unwrap().as_str(), "lo");
/// assert_eq!(ShortName::new("sixteen letters!"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShortName([u8; Self::LEN_MAX + 1]);

impl ShortName {
    /// The longest name.
    pub const LEN_MAX: usize = 15;

    /// `None` if it is longer, or has a NUL. Cost: O(1).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.len() > Self::LEN_MAX || name.contains('\0') {
            return None;
        }
        let mut bytes = [0; Self::LEN_MAX + 1];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// The name, up to what is no UTF-8. Cost: O(1).
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_else(|error| {
            core::str::from_utf8(&name[..error.valid_up_to()]).unwrap_or_default()
        })
    }
}

impl fmt::Debug for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A membership in an IPv4 multicast group: `struct ip_mreq`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MembershipV4 {
    /// The group: 224.0.0.0 to 239.255.255.255.
    pub group: Ipv4Addr,
    /// An address of the interface; `UNSPECIFIED` leaves the choice to the kernel.
    pub interface: Ipv4Addr,
}

/// A membership in an IPv6 multicast group: `struct ipv6_mreq`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MembershipV6 {
    /// The group: `ff00::/8`.
    pub group: Ipv6Addr,
    /// The interface's index; 0 leaves the choice to the kernel.
    pub interface: u32,
}

/// Memory for the value of any option in C; unused bytes are 0.
pub(crate) type OptionBytes = [u8; 20];

/// How a type of value is encoded in C.
struct Codec<T> {
    len_bytes: u32,
    encode: fn(T) -> OptionBytes,
    decode: fn(OptionBytes) -> Option<T>,
}

/// `int`: 0 is off.
const FLAG: Codec<bool> = Codec {
    len_bytes: 4,
    encode: |is_on| word(i32::from(is_on).to_ne_bytes()),
    decode: |bytes| Some(int(bytes, 0) != 0),
};
/// `int`: a larger value is set as the largest.
const INT: Codec<u32> = Codec {
    len_bytes: 4,
    encode: |amount| word(i32::try_from(amount).unwrap_or(i32::MAX).to_ne_bytes()),
    decode: |bytes| Some(int(bytes, 0).cast_unsigned()),
};
/// An `int` that the kernel reads as unsigned: `u32::MAX` is the default of one option.
const UNSIGNED: Codec<u32> =
    Codec { len_bytes: 4, encode: |amount| word(amount.to_ne_bytes()), decode: INT.decode };
/// `int`: an errno, or 0.
const ERRNO: Codec<Option<Errno>> = Codec {
    len_bytes: 4,
    encode: |errno| word(errno.map_or(0, Errno::number).to_ne_bytes()),
    decode: |bytes| Some(Errno::new(int(bytes, 0))),
};
/// `struct linger`: whether it is on, and the time.
const LINGER: Codec<Option<u16>> = Codec {
    len_bytes: 8,
    encode: |seconds| {
        let (is_on, seconds) = (i32::from(seconds.is_some()), i32::from(seconds.unwrap_or(0)));
        pack(&[&is_on.to_ne_bytes(), &seconds.to_ne_bytes()])
    },
    decode: |bytes| {
        let seconds = u16::try_from(int(bytes, 4)).unwrap_or(u16::MAX);
        Some((int(bytes, 0) != 0).then_some(seconds))
    },
};
/// An array of `char` that ends with a NUL; a kernel may return fewer.
const NAME: Codec<ShortName> = Codec {
    len_bytes: 16,
    encode: |name| pack(&[&name.0]),
    decode: |bytes| {
        let mut name = ShortName::default();
        name.0[..ShortName::LEN_MAX].copy_from_slice(&bytes[..ShortName::LEN_MAX]);
        Some(name)
    },
};
/// `struct ucred`.
const UCRED: Codec<Credentials> = Codec {
    len_bytes: 12,
    encode: |of| pack(&[&of.pid.to_ne_bytes(), &of.uid.to_ne_bytes(), &of.gid.to_ne_bytes()]),
    decode: |bytes| {
        let word = |at| int(bytes, at).cast_unsigned();
        Some(Credentials { pid: word(0), uid: word(4), gid: word(8) })
    },
};
/// `struct in_addr`, in network byte order.
const IN_ADDR: Codec<Ipv4Addr> = Codec {
    len_bytes: 4,
    encode: |addr| word(addr.octets()),
    decode: |bytes| Some(Ipv4Addr::from(int(bytes, 0).to_ne_bytes())),
};
/// `struct ip_mreq`. A membership is set, and has no value to get.
const IP_MREQ: Codec<MembershipV4> = Codec {
    len_bytes: 8,
    encode: |of| pack(&[&of.group.octets(), &of.interface.octets()]),
    decode: |_| None,
};
/// `struct ipv6_mreq`.
const IPV6_MREQ: Codec<MembershipV6> = Codec {
    len_bytes: 20,
    encode: |of| pack(&[&of.group.octets(), &of.interface.to_ne_bytes()]),
    decode: |_| None,
};

/// The four bytes of a number. Not by [`pack`], whose loop is not for a constant.
#[inline]
const fn word([a, b, c, d]: [u8; 4]) -> OptionBytes {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The fields of a C struct without padding, one after the other.
fn pack(fields: &[&[u8]]) -> OptionBytes {
    let mut bytes = OptionBytes::default();
    let packed = fields.iter().copied().flatten();
    bytes.iter_mut().zip(packed).for_each(|(byte, &field)| *byte = field);
    bytes
}

/// The `int` at `offset`.
fn int(bytes: OptionBytes, offset: usize) -> i32 {
    i32::from_ne_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}
