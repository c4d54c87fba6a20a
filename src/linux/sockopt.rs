//! setsockopt(2) and getsockopt(2): typed options to levels, numbers and bytes, and back.
//!
//! Knows the level and number of each option; its meaning is documented in `kernel/option.rs`.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ptr::{from_mut, from_ref};

use super::result::check_ok;
use crate::errno::Errno;
use crate::kernel::{Fd, SocketOption, SocketOptionName};

/// The level and the number of an option.
const fn level_and_name(name: SocketOptionName) -> (i32, i32) {
    match name {
        SocketOptionName::ReuseAddr => (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        SocketOptionName::ReusePort => (libc::SOL_SOCKET, libc::SO_REUSEPORT),
        SocketOptionName::Broadcast => (libc::SOL_SOCKET, libc::SO_BROADCAST),
        SocketOptionName::NoDelay => (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        SocketOptionName::QuickAck => (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
        SocketOptionName::KeepAlive => (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        SocketOptionName::KeepIdleSeconds => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
        SocketOptionName::KeepIntervalSeconds => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
        SocketOptionName::KeepCount => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
        SocketOptionName::LingerSeconds => (libc::SOL_SOCKET, libc::SO_LINGER),
        SocketOptionName::ReceiveBufferBytes => (libc::SOL_SOCKET, libc::SO_RCVBUF),
        SocketOptionName::SendBufferBytes => (libc::SOL_SOCKET, libc::SO_SNDBUF),
        SocketOptionName::RecvLowWatermark => (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
        SocketOptionName::NotSentLowWatermark => (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
        SocketOptionName::UserTimeoutMillis => (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
        SocketOptionName::DeferAcceptSeconds => (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
        SocketOptionName::V6Only => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        SocketOptionName::JoinMulticastV4 => (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
        SocketOptionName::JoinMulticastV6 => (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
        SocketOptionName::MulticastInterfaceV4 => (libc::IPPROTO_IP, libc::IP_MULTICAST_IF),
        SocketOptionName::PacketInfoV4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketOptionName::PacketInfoV6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        SocketOptionName::OutOfBandInline => (libc::SOL_SOCKET, libc::SO_OOBINLINE),
        SocketOptionName::GroupAllV4 => (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL),
        SocketOptionName::GroupAllV6 => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL),
        SocketOptionName::Error => (libc::SOL_SOCKET, libc::SO_ERROR),
    }
}

/// The lengths of values: an `int`, and `struct linger`, which has the length of `struct ip_mreq`.
const INT_BYTES: libc::socklen_t = 4;
const LINGER_BYTES: libc::socklen_t = 8;
const GROUP_V6_BYTES: libc::socklen_t = 20;
const _: () = assert!(size_of::<libc::c_int>() == INT_BYTES as usize);
const _: () = assert!(size_of::<libc::linger>() == LINGER_BYTES as usize);
const _: () = assert!(size_of::<libc::ip_mreq>() == LINGER_BYTES as usize);
const _: () = assert!(size_of::<libc::ipv6_mreq>() == GROUP_V6_BYTES as usize);

pub(super) fn setsockopt(socket: &Fd, option: SocketOption) -> Result<(), Errno> {
    use SocketOption as O;
    let value: i32 = match option {
        O::ReuseAddr(on)
        | O::ReusePort(on)
        | O::Broadcast(on)
        | O::NoDelay(on)
        | O::QuickAck(on)
        | O::KeepAlive(on)
        | O::PacketInfoV4(on)
        | O::PacketInfoV6(on)
        | O::OutOfBandInline(on)
        | O::V6Only(on)
        | O::GroupAllV4(on)
        | O::GroupAllV6(on) => i32::from(on),
        O::KeepIdleSeconds(amount)
        | O::KeepIntervalSeconds(amount)
        | O::KeepCount(amount)
        | O::ReceiveBufferBytes(amount)
        | O::SendBufferBytes(amount)
        | O::RecvLowWatermark(amount)
        | O::UserTimeoutMillis(amount)
        | O::DeferAcceptSeconds(amount) => i32::try_from(amount).unwrap_or(i32::MAX),
        // The kernel reads this one as unsigned, and its default is u32::MAX.
        O::NotSentLowWatermark(amount) => amount.cast_signed(),
        O::Error(errno) => errno.map_or(0, Errno::number),
        // An address is in network byte order in memory.
        O::MulticastInterfaceV4(interface) => i32::from_ne_bytes(interface.octets()),
        O::LingerSeconds(seconds) => return set_linger(socket, seconds),
        O::JoinMulticastV4 { group, interface } => return join_v4(socket, group, interface),
        O::JoinMulticastV6 { group, interface } => return join_v6(socket, group, interface),
    };
    let (level, number) = level_and_name(option.name());
    let value = from_ref(&value).cast();
    // SAFETY: setsockopt(2) reads INT_BYTES bytes at `value`, an `int` that lives until the
    // call returns, and keeps no pointer.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, INT_BYTES) })
}

fn set_linger(socket: &Fd, seconds: Option<u16>) -> Result<(), Errno> {
    let value = libc::linger {
        l_onoff: i32::from(seconds.is_some()),
        l_linger: seconds.map_or(0, i32::from),
    };
    let (level, number) = level_and_name(SocketOptionName::LingerSeconds);
    let value = from_ref(&value).cast();
    // SAFETY: setsockopt(2) reads LINGER_BYTES bytes at `value`, a `struct linger` that lives
    // until the call returns, and keeps no pointer.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, LINGER_BYTES) })
}

fn join_v4(socket: &Fd, group: Ipv4Addr, interface: Ipv4Addr) -> Result<(), Errno> {
    // `struct ip_mreq`: two addresses, in network byte order.
    let value = [group.octets(), interface.octets()];
    let (level, number) = level_and_name(SocketOptionName::JoinMulticastV4);
    let value = from_ref(&value).cast();
    // SAFETY: setsockopt(2) reads LINGER_BYTES bytes at `value`, twice four of them, which live
    // until the call returns, and keeps no pointer.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, LINGER_BYTES) })
}

fn join_v6(socket: &Fd, group: Ipv6Addr, interface: u32) -> Result<(), Errno> {
    // `struct ipv6_mreq`: an address, and an interface index.
    let mut value = [0; GROUP_V6_BYTES as usize];
    value[..16].copy_from_slice(&group.octets());
    value[16..].copy_from_slice(&interface.to_ne_bytes());
    let (level, number) = level_and_name(SocketOptionName::JoinMulticastV6);
    let value = from_ref(&value).cast();
    // SAFETY: setsockopt(2) reads GROUP_V6_BYTES bytes at `value`, an array of as many, which
    // lives until the call returns, and keeps no pointer.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, GROUP_V6_BYTES) })
}

pub(super) fn getsockopt(socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
    use SocketOption as O;
    use SocketOptionName as N;
    // Both kinds of value fit: an `int` is the first of the two, `struct linger` is both.
    let mut value = [0i32; 2];
    let mut len = if matches!(name, N::LingerSeconds) { LINGER_BYTES } else { INT_BYTES };
    let (level, number) = level_and_name(name);
    let (into, len) = (value.as_mut_ptr().cast(), from_mut(&mut len));
    // SAFETY: getsockopt(2) writes at most `*len` bytes at `into`, which has eight, and one
    // number at `len`; both live until the call returns, and it keeps no pointer.
    check_ok(unsafe { libc::getsockopt(socket.raw(), level, number, into, len) })?;
    let [first, second] = value;
    let (on, amount) = (first != 0, first.cast_unsigned());
    Ok(match name {
        N::ReuseAddr => O::ReuseAddr(on),
        N::ReusePort => O::ReusePort(on),
        N::Broadcast => O::Broadcast(on),
        N::NoDelay => O::NoDelay(on),
        N::QuickAck => O::QuickAck(on),
        N::KeepAlive => O::KeepAlive(on),
        N::V6Only => O::V6Only(on),
        N::PacketInfoV4 => O::PacketInfoV4(on),
        N::PacketInfoV6 => O::PacketInfoV6(on),
        N::OutOfBandInline => O::OutOfBandInline(on),
        N::GroupAllV4 => O::GroupAllV4(on),
        N::GroupAllV6 => O::GroupAllV6(on),
        N::KeepIdleSeconds => O::KeepIdleSeconds(amount),
        N::KeepIntervalSeconds => O::KeepIntervalSeconds(amount),
        N::KeepCount => O::KeepCount(amount),
        N::ReceiveBufferBytes => O::ReceiveBufferBytes(amount),
        N::SendBufferBytes => O::SendBufferBytes(amount),
        N::RecvLowWatermark => O::RecvLowWatermark(amount),
        N::NotSentLowWatermark => O::NotSentLowWatermark(amount),
        N::UserTimeoutMillis => O::UserTimeoutMillis(amount),
        N::DeferAcceptSeconds => O::DeferAcceptSeconds(amount),
        N::LingerSeconds => O::LingerSeconds(on.then(|| u16::try_from(second).unwrap_or(u16::MAX))),
        N::MulticastInterfaceV4 => O::MulticastInterfaceV4(Ipv4Addr::from(first.to_ne_bytes())),
        // The kernel has returned an error already; a membership has no value.
        N::JoinMulticastV4 | N::JoinMulticastV6 => return Err(Errno::ENOPROTOOPT),
        N::Error => O::Error(Errno::new(first)),
    })
}
