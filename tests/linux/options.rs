//! Every socket option set and read back, with the value that Linux makes of it.

use epollite::kernel::{SocketOption as O, SocketOptionName, SocketType};
use epollite::net::AddressFamily;
use epollite::{Errno, Fd, Kernel, Linux};

use super::support::{close, connected};

#[test]
fn options_read_back_as_set() {
    let socket = tcp(AddressFamily::Inet);
    for option in [
        O::ReuseAddr(true),
        O::ReusePort(true),
        O::Broadcast(true),
        O::NoDelay(true),
        O::KeepAlive(true),
        O::KeepIdleSeconds(33),
        O::KeepIntervalSeconds(11),
        O::KeepCount(5),
        O::LingerSeconds(Some(7)),
        O::LingerSeconds(Some(0)),
        O::LingerSeconds(None),
        O::RecvLowWatermark(3),
        O::NotSentLowWatermark(16_384),
        O::NotSentLowWatermark(u32::MAX),
        O::UserTimeoutMillis(1_500),
        O::ReuseAddr(false),
        O::ReusePort(false),
        O::Broadcast(false),
        O::NoDelay(false),
        O::KeepAlive(false),
    ] {
        assert_eq!(Linux.setsockopt(&socket, option), Ok(()), "{option:?}");
        assert_eq!(Linux.getsockopt(&socket, option.name()), Ok(option));
    }
    close([socket]);
}

#[test]
fn linux_doubles_the_buffers() {
    let socket = tcp(AddressFamily::Inet);
    for (set, read_back) in [
        (O::ReceiveBufferBytes(8_192), O::ReceiveBufferBytes(16_384)),
        (O::SendBufferBytes(8_192), O::SendBufferBytes(16_384)),
    ] {
        assert_eq!(Linux.setsockopt(&socket, set), Ok(()));
        assert_eq!(Linux.getsockopt(&socket, set.name()), Ok(read_back));
    }
    close([socket]);
}

#[test]
fn buffer_sizes_are_clamped_not_rejected() {
    let socket = tcp(AddressFamily::Inet);
    Linux.setsockopt(&socket, O::ReceiveBufferBytes(1)).unwrap();
    let least = Linux.getsockopt(&socket, SocketOptionName::ReceiveBufferBytes);
    Linux.setsockopt(&socket, O::ReceiveBufferBytes(u32::MAX)).unwrap();
    let most = Linux.getsockopt(&socket, SocketOptionName::ReceiveBufferBytes);
    let (Ok(O::ReceiveBufferBytes(least)), Ok(O::ReceiveBufferBytes(most))) = (least, most) else {
        panic!("set one, read back another: {least:?}, {most:?}")
    };
    assert!(2 < least && least < most && most < u32::MAX);
    close([socket]);
}

#[test]
fn linux_rounds_defer_accept_up_to_whole_retransmissions() {
    let socket = tcp(AddressFamily::Inet);
    for (set, read_back) in [(0, 0), (1, 1), (2, 3), (3, 3), (4, 7)] {
        let option = O::DeferAcceptSeconds(set);
        assert_eq!(Linux.setsockopt(&socket, option), Ok(()));
        let answer = Linux.getsockopt(&socket, option.name());
        assert_eq!(answer, Ok(O::DeferAcceptSeconds(read_back)), "of {set}");
    }
    close([socket]);
}

#[test]
fn quickack_can_be_set() {
    let (client, server) = connected();
    for on in [false, true] {
        assert_eq!(Linux.setsockopt(&client, O::QuickAck(on)), Ok(()));
        let read_back = Linux.getsockopt(&client, SocketOptionName::QuickAck);
        assert_eq!(read_back, Ok(O::QuickAck(on)));
    }
    close([client, server]);
}

#[test]
fn ipv4_can_be_kept_out_of_an_ipv6_socket_before_it_is_bound() {
    let Ok(socket) = Linux.socket(AddressFamily::Inet6, SocketType::Stream) else {
        return; // This system was built without it.
    };
    for on in [true, false] {
        assert_eq!(Linux.setsockopt(&socket, O::V6Only(on)), Ok(()));
        let read_back = Linux.getsockopt(&socket, SocketOptionName::V6Only);
        assert_eq!(read_back, Ok(O::V6Only(on)));
    }
    close([socket]);
}

#[test]
fn so_error_is_read_only() {
    let socket = tcp(AddressFamily::Inet);
    let none = Ok(O::Error(None));
    assert_eq!(Linux.getsockopt(&socket, SocketOptionName::Error), none);
    for error in [None, Some(Errno::EPIPE)] {
        let refused = Linux.setsockopt(&socket, O::Error(error));
        assert_eq!(refused, Err(Errno::ENOPROTOOPT));
    }
    close([socket]);
}

#[test]
fn getsockopt_returns_the_named_option_or_an_errno() {
    let sockets = [
        tcp(AddressFamily::Inet),
        Linux.socket(AddressFamily::Unix, SocketType::Datagram).unwrap(),
    ];
    for socket in &sockets {
        for name in SocketOptionName::ALL {
            match Linux.getsockopt(socket, name) {
                Ok(option) => assert_eq!(option.name(), name),
                Err(errno) => {
                    let unknown = [Errno::ENOPROTOOPT, Errno::EOPNOTSUPP];
                    assert!(unknown.contains(&errno), "{name:?}: {errno}");
                }
            }
        }
    }
    close(sockets);
}

#[test]
fn tcp_options_fail_on_unix_sockets() {
    let (near, far) = Linux.socketpair(SocketType::Stream).unwrap();
    assert_eq!(Linux.setsockopt(&near, O::NoDelay(true)), Err(Errno::EOPNOTSUPP));
    close([near, far]);
}

#[test]
fn values_out_of_range_are_refused() {
    let socket = tcp(AddressFamily::Inet);
    for option in [
        O::KeepIdleSeconds(0),
        O::KeepIdleSeconds(u32::MAX),
        O::KeepIntervalSeconds(0),
        O::KeepCount(0),
        O::KeepCount(128),
    ] {
        assert_eq!(Linux.setsockopt(&socket, option), Err(Errno::EINVAL), "{option:?}");
    }
    close([socket]);
}

#[test]
fn options_of_non_sockets_are_enotsock() {
    let eventfd = Linux.eventfd(0).unwrap();
    let refused = Linux.setsockopt(&eventfd, O::ReuseAddr(true));
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    let refused = Linux.setsockopt(&eventfd, O::LingerSeconds(None));
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    let refused = Linux.getsockopt(&eventfd, SocketOptionName::LingerSeconds);
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    close([eventfd]);
}

fn tcp(family: AddressFamily) -> Fd {
    Linux.socket(family, SocketType::Stream).expect("the system has TCP")
}
