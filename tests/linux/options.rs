//! Every socket option there and back, with what Linux makes of it.

use epollite::{Errno, Family, Fd, Kernel, Kind, Linux, OptionName, SocketOption as O};

use super::world::{close, connected};

#[test]
fn what_is_set_is_what_is_said() {
    let socket = tcp(Family::Inet);
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
        O::ReceiveLowBytes(3),
        O::NotSentLowBytes(16_384),
        O::NotSentLowBytes(u32::MAX),
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
    let socket = tcp(Family::Inet);
    for (set, said) in [
        (O::ReceiveBufferBytes(8_192), O::ReceiveBufferBytes(16_384)),
        (O::SendBufferBytes(8_192), O::SendBufferBytes(16_384)),
    ] {
        assert_eq!(Linux.setsockopt(&socket, set), Ok(()));
        assert_eq!(Linux.getsockopt(&socket, set.name()), Ok(said));
    }
    close([socket]);
}

#[test]
fn linux_has_a_least_and_a_most_buffer_and_refuses_neither() {
    let socket = tcp(Family::Inet);
    Linux.setsockopt(&socket, O::ReceiveBufferBytes(1)).unwrap();
    let least = Linux.getsockopt(&socket, OptionName::ReceiveBufferBytes);
    Linux.setsockopt(&socket, O::ReceiveBufferBytes(u32::MAX)).unwrap();
    let most = Linux.getsockopt(&socket, OptionName::ReceiveBufferBytes);
    let (Ok(O::ReceiveBufferBytes(least)), Ok(O::ReceiveBufferBytes(most))) = (least, most) else {
        panic!("asked for one, told another: {least:?}, {most:?}")
    };
    assert!(2 < least && least < most && most < u32::MAX);
    close([socket]);
}

#[test]
fn linux_rounds_the_patience_of_a_listener_up_to_whole_retransmissions() {
    let socket = tcp(Family::Inet);
    for (set, said) in [(0, 0), (1, 1), (2, 3), (3, 3), (4, 7)] {
        let option = O::DeferAcceptSeconds(set);
        assert_eq!(Linux.setsockopt(&socket, option), Ok(()));
        let answer = Linux.getsockopt(&socket, option.name());
        assert_eq!(answer, Ok(O::DeferAcceptSeconds(said)), "of {set}");
    }
    close([socket]);
}

#[test]
fn quick_acknowledgement_can_be_asked_for_on_a_connection() {
    let (client, server) = connected();
    for on in [false, true] {
        assert_eq!(Linux.setsockopt(&client, O::QuickAck(on)), Ok(()));
        let said = Linux.getsockopt(&client, OptionName::QuickAck);
        assert_eq!(said, Ok(O::QuickAck(on)));
    }
    close([client, server]);
}

#[test]
fn ipv4_can_be_kept_out_of_an_ipv6_socket_before_it_is_bound() {
    let Ok(socket) = Linux.socket(Family::Inet6, Kind::Stream) else {
        return; // This system was built without it.
    };
    for on in [true, false] {
        assert_eq!(Linux.setsockopt(&socket, O::V6Only(on)), Ok(()));
        let said = Linux.getsockopt(&socket, OptionName::V6Only);
        assert_eq!(said, Ok(O::V6Only(on)));
    }
    close([socket]);
}

#[test]
fn the_pending_error_can_be_asked_for_and_not_set() {
    let socket = tcp(Family::Inet);
    let none = Ok(O::Error(None));
    assert_eq!(Linux.getsockopt(&socket, OptionName::Error), none);
    for error in [None, Some(Errno::EPIPE)] {
        let refused = Linux.setsockopt(&socket, O::Error(error));
        assert_eq!(refused, Err(Errno::ENOPROTOOPT));
    }
    close([socket]);
}

#[test]
fn every_name_is_answered_by_its_own_option_or_by_an_errno() {
    let sockets = [tcp(Family::Inet), Linux.socket(Family::Unix, Kind::Datagram).unwrap()];
    for socket in &sockets {
        for name in OptionName::ALL {
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
fn a_unix_socket_knows_nothing_of_tcp() {
    let (near, far) = Linux.socketpair(Kind::Stream).unwrap();
    assert_eq!(Linux.setsockopt(&near, O::NoDelay(true)), Err(Errno::EOPNOTSUPP));
    close([near, far]);
}

#[test]
fn values_out_of_range_are_refused() {
    let socket = tcp(Family::Inet);
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
fn options_of_what_is_no_socket_are_enotsock() {
    let eventfd = Linux.eventfd(0).unwrap();
    let refused = Linux.setsockopt(&eventfd, O::ReuseAddr(true));
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    let refused = Linux.setsockopt(&eventfd, O::LingerSeconds(None));
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    let refused = Linux.getsockopt(&eventfd, OptionName::LingerSeconds);
    assert_eq!(refused, Err(Errno::ENOTSOCK));
    close([eventfd]);
}

fn tcp(family: Family) -> Fd {
    Linux.socket(family, Kind::Stream).expect("the system has TCP")
}
