//! Every option of every kind of descriptor: who knows it, what it is, and what may be set.

use epollite::{OptionName, SocketOption};

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::misuse::on_each;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

#[test]
fn options() {
    const NAMES: [OptionName; 24] = [
        OptionName::ReuseAddr,
        OptionName::ReusePort,
        OptionName::Broadcast,
        OptionName::NoDelay,
        OptionName::KeepAlive,
        OptionName::KeepIdleSeconds,
        OptionName::KeepIntervalSeconds,
        OptionName::KeepCount,
        OptionName::LingerSeconds,
        OptionName::ReceiveBufferBytes,
        OptionName::SendBufferBytes,
        OptionName::ReceiveLowBytes,
        OptionName::UserTimeoutMillis,
        OptionName::DeferAcceptSeconds,
        OptionName::V6Only,
        OptionName::JoinV4,
        OptionName::JoinV6,
        OptionName::GroupInterfaceV4,
        OptionName::PacketInfoV4,
        OptionName::PacketInfoV6,
        OptionName::OutOfBandInline,
        OptionName::GroupAllV4,
        OptionName::GroupAllV6,
        OptionName::Error,
    ];
    for name in NAMES {
        on_each(|stage, fd| {
            let _ = stage.k.getsockopt(fd, name);
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
        SocketOption::ReceiveLowBytes(2),
        SocketOption::V6Only(true),
        SocketOption::GroupInterfaceV4(Ipv4Addr::LOCALHOST),
        SocketOption::GroupAllV4(false),
        SocketOption::GroupAllV6(false),
        SocketOption::JoinV4 { group: GROUP, interface: Ipv4Addr::LOCALHOST },
        SocketOption::JoinV4 { group: Ipv4Addr::LOCALHOST, interface: Ipv4Addr::LOCALHOST },
        SocketOption::JoinV4 { group: GROUP, interface: Ipv4Addr::new(192, 0, 2, 1) },
        SocketOption::JoinV6 { group: GROUP_V6, interface: 1 },
        SocketOption::JoinV6 { group: GROUP_V6, interface: 9_999 },
        SocketOption::JoinV6 { group: Ipv6Addr::LOCALHOST, interface: 1 },
        SocketOption::PacketInfoV4(true),
        SocketOption::PacketInfoV6(true),
        SocketOption::OutOfBandInline(true),
        SocketOption::Error(None),
    ];
    for option in SET {
        on_each(|stage, fd| {
            let _ = stage.k.setsockopt(fd, option);
            let _ = stage.k.getsockopt(fd, option.name());
        });
    }
}
