//! Every option of every kind of descriptor: whether it is supported, its value, and what may be
//! set.

use epollite::kernel::{Credentials, MembershipV4, MembershipV6};
use epollite::kernel::{ShortName, SocketOption, SocketOptionName};

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::misuse::on_each;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

const NAMES: [SocketOptionName; 24] = [
    SocketOptionName::ReuseAddr,
    SocketOptionName::ReusePort,
    SocketOptionName::Broadcast,
    SocketOptionName::NoDelay,
    SocketOptionName::KeepAlive,
    SocketOptionName::KeepIdleSeconds,
    SocketOptionName::KeepIntervalSeconds,
    SocketOptionName::KeepCount,
    SocketOptionName::LingerSeconds,
    SocketOptionName::ReceiveBufferBytes,
    SocketOptionName::SendBufferBytes,
    SocketOptionName::RecvLowWatermark,
    SocketOptionName::UserTimeoutMillis,
    SocketOptionName::DeferAcceptSeconds,
    SocketOptionName::V6Only,
    SocketOptionName::JoinMulticastV4,
    SocketOptionName::JoinMulticastV6,
    SocketOptionName::MulticastInterfaceV4,
    SocketOptionName::PacketInfoV4,
    SocketOptionName::PacketInfoV6,
    SocketOptionName::OutOfBandInline,
    SocketOptionName::GroupAllV4,
    SocketOptionName::GroupAllV6,
    SocketOptionName::Error,
];

#[test]
fn options() {
    for name in NAMES {
        on_each(|harness, fd| {
            let _ = harness.k.getsockopt(fd, name);
        });
    }
    const SET: [SocketOption; 29] = [
        SocketOption::ReuseAddr(true),
        SocketOption::ReusePort(true),
        SocketOption::Broadcast(true),
        SocketOption::NoDelay(false),
        SocketOption::KeepAlive(true),
        SocketOption::KeepIdleSeconds(0),
        SocketOption::KeepIdleSeconds(40),
        SocketOption::KeepIntervalSeconds(0),
        SocketOption::KeepIntervalSeconds(50),
        SocketOption::KeepCount(0),
        SocketOption::KeepCount(7),
        SocketOption::LingerSeconds(Some(3)),
        SocketOption::LingerSeconds(None),
        SocketOption::UserTimeoutMillis(500),
        SocketOption::RecvLowWatermark(2),
        SocketOption::V6Only(true),
        SocketOption::MulticastInterfaceV4(Ipv4Addr::LOCALHOST),
        SocketOption::GroupAllV4(false),
        SocketOption::GroupAllV6(false),
        SocketOption::JoinMulticastV4(MembershipV4 {
            group: GROUP,
            interface: Ipv4Addr::LOCALHOST,
        }),
        SocketOption::JoinMulticastV4(MembershipV4 {
            group: Ipv4Addr::LOCALHOST,
            interface: Ipv4Addr::LOCALHOST,
        }),
        SocketOption::JoinMulticastV4(MembershipV4 {
            group: GROUP,
            interface: Ipv4Addr::new(192, 0, 2, 1),
        }),
        SocketOption::JoinMulticastV6(MembershipV6 { group: GROUP_V6, interface: 1 }),
        SocketOption::JoinMulticastV6(MembershipV6 { group: GROUP_V6, interface: 9_999 }),
        SocketOption::JoinMulticastV6(MembershipV6 { group: Ipv6Addr::LOCALHOST, interface: 1 }),
        SocketOption::PacketInfoV4(true),
        SocketOption::PacketInfoV6(true),
        SocketOption::OutOfBandInline(true),
        SocketOption::Error(None),
    ];
    for option in SET {
        on_each(|harness, fd| {
            let _ = harness.k.setsockopt(fd, option);
            let _ = harness.k.getsockopt(fd, option.name());
        });
    }
}

#[test]
fn options_of_groups() {
    let (local, nowhere) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1));
    let v4 = |group, interface| MembershipV4 { group, interface };
    let v6 = |group, interface| MembershipV6 { group, interface };
    let (join, leave) = (SocketOption::JoinMulticastV4, SocketOption::LeaveMulticastV4);
    let (join_v6, leave_v6) = (SocketOption::JoinMulticastV6, SocketOption::LeaveMulticastV6);
    for name in [SocketOptionName::LeaveMulticastV4, SocketOptionName::LeaveMulticastV6] {
        on_each(|harness, fd| {
            let _ = harness.k.getsockopt(fd, name);
        });
    }
    for option in [
        SocketOption::MulticastTtl(0),
        SocketOption::MulticastTtl(1),
        SocketOption::MulticastTtl(255),
        SocketOption::MulticastTtl(256),
        SocketOption::MulticastHops(0),
        SocketOption::MulticastHops(255),
        SocketOption::MulticastHops(256),
        SocketOption::MulticastLoopV4(false),
        SocketOption::MulticastLoopV6(false),
        SocketOption::MulticastInterfaceV6(0),
        SocketOption::MulticastInterfaceV6(1),
        SocketOption::MulticastInterfaceV6(9_999),
    ] {
        on_each(|harness, fd| {
            let _ = harness.k.getsockopt(fd, option.name());
            let _ = harness.k.setsockopt(fd, option);
            let _ = harness.k.getsockopt(fd, option.name());
        });
    }
    // The second leaves what the first has joined, or not.
    for (joined, left) in [
        (join(v4(GROUP, local)), leave(v4(GROUP, local))),
        (join(v4(GROUP, local)), leave(v4(GROUP, nowhere))),
        (join(v4(GROUP, local)), leave(v4(Ipv4Addr::new(239, 1, 2, 4), local))),
        (join(v4(GROUP, local)), leave(v4(local, local))),
        (join_v6(v6(GROUP_V6, 1)), leave_v6(v6(GROUP_V6, 1))),
        (join_v6(v6(GROUP_V6, 1)), leave_v6(v6(GROUP_V6, 0))),
        (join_v6(v6(GROUP_V6, 1)), leave_v6(v6(GROUP_V6, 9_999))),
        (join_v6(v6(GROUP_V6, 1)), leave_v6(v6(Ipv6Addr::LOCALHOST, 1))),
    ] {
        on_each(|harness, fd| {
            for option in [joined, left, left, joined] {
                let _ = harness.k.setsockopt(fd, option);
            }
        });
    }
}

#[test]
fn options_of_packets_and_names() {
    let name = |name| ShortName::new(name).unwrap();
    for option in [
        SocketOption::Ttl(0),
        SocketOption::Ttl(1),
        SocketOption::Ttl(255),
        SocketOption::Ttl(256),
        SocketOption::Tos(0x13),
        SocketOption::Tos(0x1b9),
        SocketOption::UnicastHops(0),
        SocketOption::UnicastHops(255),
        SocketOption::UnicastHops(256),
        SocketOption::TrafficClass(0xb9),
        SocketOption::TrafficClass(256),
        SocketOption::FastOpen(0),
        SocketOption::FastOpen(16),
        SocketOption::FastOpen(u32::MAX),
        SocketOption::BindToDevice(name("lo")),
        SocketOption::BindToDevice(name("no device")),
        SocketOption::BindToDevice(name("")),
        SocketOption::PeerCredentials(Credentials { pid: 1, uid: 0, gid: 0 }),
    ] {
        on_each(|harness, fd| {
            if !matches!(option, SocketOption::PeerCredentials(_)) {
                let _ = harness.k.getsockopt(fd, option.name());
            }
            let _ = harness.k.setsockopt(fd, option);
            if !matches!(option, SocketOption::PeerCredentials(_)) {
                let _ = harness.k.getsockopt(fd, option.name());
            }
        });
    }
    for option in ["reno", "no such one"].map(|of| SocketOption::CongestionControl(name(of))) {
        on_each(|harness, fd| {
            if harness.k.setsockopt(fd, option).is_ok() {
                assert_eq!(harness.k.getsockopt(fd, option.name()), Ok(option));
            }
        });
    }
}
