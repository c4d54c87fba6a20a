//! Every option of every kind of descriptor: who knows it, what it is, and what may be set.

use epollite::{OptionName, SocketOption};

use crate::misuse::on_each;

#[test]
fn options() {
    const NAMES: [OptionName; 16] = [
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
        OptionName::Error,
    ];
    for name in NAMES {
        on_each(|stage, fd| {
            let _ = stage.k.getsockopt(fd, name);
        });
    }
    const SET: [SocketOption; 17] = [
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
        SocketOption::Error(None),
    ];
    for option in SET {
        on_each(|stage, fd| {
            let _ = stage.k.setsockopt(fd, option);
            let _ = stage.k.getsockopt(fd, option.name());
        });
    }
}
