//! Sockets: creation, connecting, and data.

use epollite::kernel::{Shutdown, SocketOption, SocketOptionName, SocketType};
use epollite::net::AddressFamily;
use epollite::net::UnixAddr;
use epollite::{Addr, Errno, Kernel, Linux};

use super::support::{bound, close, connected, listening, readable, ready};

#[test]
fn every_family_and_type_of_socket_can_be_created() {
    for kind in [SocketType::Stream, SocketType::Datagram] {
        for family in [AddressFamily::Inet, AddressFamily::Unix] {
            close([Linux.socket(family, kind).unwrap()]);
        }
        // A kernel may have been built without it.
        match Linux.socket(AddressFamily::Inet6, kind) {
            Ok(socket) => close([socket]),
            Err(errno) => assert_eq!(errno, Errno::EAFNOSUPPORT),
        }
    }
}

#[test]
fn a_socketpair_is_connected_and_unnamed() {
    for kind in [SocketType::Stream, SocketType::Datagram] {
        let (near, far) = Linux.socketpair(kind).unwrap();
        assert_eq!(Linux.send(&near, b"hello"), Ok(5));
        let mut buf = [0; 8];
        assert_eq!(Linux.recv(&far, &mut buf), Ok(5));
        assert_eq!(&buf[..5], b"hello");
        assert_eq!(Linux.recv(&far, &mut buf), Err(Errno::EAGAIN));
        let unnamed = Ok(Addr::Unix(UnixAddr::unnamed()));
        assert_eq!(Linux.getsockname(&near), unnamed);
        assert_eq!(Linux.getpeername(&near), unnamed);
        close([near, far]);
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let (first, addr) = bound(AddressFamily::Inet, SocketType::Stream);
    let second = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    assert_eq!(Linux.bind(&second, &addr), Err(Errno::EADDRINUSE));
    let elsewhere: Addr = "192.0.2.1:0".parse().unwrap();
    let nonlocal = std::fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind").unwrap();
    let refused = if nonlocal.trim() == "1" { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) };
    assert_eq!(Linux.bind(&second, &elsewhere), refused);
    close([first, second]);
}

#[test]
fn a_unix_name_can_be_bound_and_listened_on() {
    let name = format!("epollite linux {}", std::process::id());
    let addr = Addr::Unix(UnixAddr::abstract_name(name.as_bytes()).unwrap());
    let listener = Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    let client = Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    assert_eq!(Linux.connect(&client, &addr), Err(Errno::ECONNREFUSED));
    Linux.bind(&listener, &addr).unwrap();
    Linux.listen(&listener, 0).unwrap();
    assert_eq!(Linux.getsockname(&listener), Ok(addr));
    assert_eq!(Linux.connect(&client, &addr), Ok(()));
    assert_eq!(Linux.getpeername(&client), Ok(addr));
    let (server, from) = Linux.accept4(&listener).unwrap();
    assert_eq!(from, Addr::Unix(UnixAddr::unnamed()));
    close([listener, client, server]);
}

#[test]
fn a_full_queue_of_a_unix_listener_is_eagain() {
    let name = format!("epollite queue {}", std::process::id());
    let addr = Addr::Unix(UnixAddr::abstract_name(name.as_bytes()).unwrap());
    let listener = Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    Linux.bind(&listener, &addr).unwrap();
    Linux.listen(&listener, 0).unwrap();
    let mut clients = Vec::new();
    let errno = loop {
        assert!(clients.len() < 16, "a backlog of 0 is short");
        clients.push(Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap());
        if let Err(errno) = Linux.connect(clients.last().unwrap(), &addr) {
            break errno;
        }
    };
    assert_eq!(errno, Errno::EAGAIN);
    close(clients.into_iter().chain([listener]));
}

#[test]
fn datagram_sockets_do_not_listen() {
    let (socket, _) = bound(AddressFamily::Inet, SocketType::Datagram);
    assert_eq!(Linux.listen(&socket, 1), Err(Errno::EOPNOTSUPP));
    close([socket]);
}

#[test]
fn a_connection_is_accepted_and_both_ends_have_names() {
    let (listener, addr) = listening();
    assert_eq!(Linux.accept4(&listener).unwrap_err(), Errno::EAGAIN);
    let client = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    assert_eq!(Linux.getpeername(&client), Err(Errno::ENOTCONN));
    assert_eq!(Linux.connect(&client, &addr), Err(Errno::EINPROGRESS));
    ready(&listener);
    let (server, from) = Linux.accept4(&listener).unwrap();
    ready(&client);
    let no_error = Ok(SocketOption::Error(None));
    assert_eq!(Linux.getsockopt(&client, SocketOptionName::Error), no_error);
    assert_eq!(Linux.getsockname(&client), Ok(from));
    assert_eq!(Linux.getpeername(&client), Ok(addr));
    assert_eq!(Linux.getpeername(&server), Ok(from));
    // A second connect(2) is the traditional way to detect completion.
    assert_eq!(Linux.connect(&client, &addr), Ok(()));
    assert_eq!(Linux.connect(&client, &addr), Err(Errno::EISCONN));
    close([listener, client, server]);
}

#[test]
fn ipv6_addresses_round_trip_through_the_kernel() {
    let Ok(probe) = Linux.socket(AddressFamily::Inet6, SocketType::Datagram) else {
        return; // This system was built without it.
    };
    let loopback: Addr = "[::1]:0".parse().unwrap();
    let usable = Linux.bind(&probe, &loopback).is_ok();
    close([probe]);
    if usable {
        let (here, addr) = bound(AddressFamily::Inet6, SocketType::Datagram);
        assert_eq!(addr.ip(), loopback.ip());
        assert_eq!(Linux.sendto(&here, b"self", &addr), Ok(4));
        readable(&here);
        assert_eq!(Linux.recvfrom(&here, &mut [0; 8]), Ok((4, addr)));
        close([here]);
    }
}

#[test]
fn connect_without_a_listener_is_refused() {
    let (unused, addr) = bound(AddressFamily::Inet, SocketType::Stream);
    let client = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    let mut refusal = Linux.connect(&client, &addr).unwrap_err();
    if refusal == Errno::EINPROGRESS {
        ready(&client);
        let taken = Linux.getsockopt(&client, SocketOptionName::Error);
        let Ok(SocketOption::Error(Some(errno))) = taken else {
            panic!("the error waits to be taken: {taken:?}")
        };
        refusal = errno;
    }
    assert_eq!(refusal, Errno::ECONNREFUSED);
    close([unused, client]);
}

#[test]
fn a_half_close_is_eof_and_a_later_write_is_epipe() {
    let (client, server) = connected();
    assert_eq!(Linux.send(&client, b"last"), Ok(4));
    assert_eq!(Linux.shutdown(&client, Shutdown::Write), Ok(()));
    assert_eq!(Linux.send(&client, b"more"), Err(Errno::EPIPE));
    let mut buf = [0; 8];
    for expected in [Ok(4), Ok(0), Ok(0)] {
        readable(&server);
        assert_eq!(Linux.recv(&server, &mut buf), expected);
    }
    assert_eq!(Linux.send(&server, b"still"), Ok(5));
    close([client, server]);
}

#[test]
fn shutdown_of_an_unconnected_socket_is_enotconn() {
    let socket = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        assert_eq!(Linux.shutdown(&socket, how), Err(Errno::ENOTCONN));
    }
    close([socket]);
}

#[test]
fn each_direction_can_be_shut_alone() {
    for (how, read, write) in [
        (Shutdown::Read, Ok(0), Ok(1)),
        (Shutdown::Write, Err(Errno::EAGAIN), Err(Errno::EPIPE)),
        (Shutdown::Both, Ok(0), Err(Errno::EPIPE)),
    ] {
        let (near, far) = Linux.socketpair(SocketType::Stream).unwrap();
        Linux.shutdown(&near, how).unwrap();
        assert_eq!(Linux.recv(&near, &mut [0; 4]), read, "{how:?}");
        assert_eq!(Linux.send(&near, b"x"), write, "{how:?}");
        close([near, far]);
    }
}

#[test]
fn a_full_socket_takes_a_short_write_then_eagain() {
    let (near, far) = Linux.socketpair(SocketType::Stream).unwrap();
    let chunk = vec![7; 1 << 20];
    let taken = Linux.send(&near, &chunk).unwrap();
    assert!(0 < taken && taken < chunk.len(), "{taken} bytes of a megabyte");
    while Linux.send(&near, &chunk).is_ok() {}
    assert_eq!(Linux.send(&near, &chunk), Err(Errno::EAGAIN));
    close([near, far]);
}

#[test]
fn socket_calls_on_non_sockets_are_enotsock() {
    let eventfd = Linux.eventfd(0).unwrap();
    assert_eq!(Linux.getsockname(&eventfd), Err(Errno::ENOTSOCK));
    assert_eq!(Linux.recv(&eventfd, &mut [0; 8]), Err(Errno::ENOTSOCK));
    assert_eq!(Linux.send(&eventfd, &[0; 8]), Err(Errno::ENOTSOCK));
    close([eventfd]);
}
