//! Listening, connecting, accepting; and their failures.

use epollite::kernel::{SocketOption, SocketOptionName, SocketType};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Errno};

use crate::harness::{ALL, ET, Harness, IN, anywhere};
use crate::machine::MACHINE;
use crate::same;

#[test]
fn a_connection_is_there_before_it_is_accepted() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let client = harness.client(&addr);
            harness.send(&client, b"early");
            let epoll = harness.epoll();
            harness.add(&epoll, &listener, ALL, 1);
            harness.add(&epoll, &client, ALL, 2);
            harness.wait(&epoll, "queued");
            let (server, _) = harness.k.accept4(&listener).unwrap();
            harness.recv(&server, 8).unwrap();
            let more = harness.k.accept4(&listener).map(drop);
            harness.read_and_record("accept", more);
            harness.wait(&epoll, "accepted");
            harness.close_all([listener, client, server, epoll]);
        },
        &[
            "queued: [1 IN, 2 OUT]",
            "recv 8: Ok(\"early\")",
            "accept: Err(EAGAIN)",
            "accepted: [2 OUT]",
        ],
    );
}

#[test]
fn connect_reports_einprogress_then_success_then_eisconn() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let socket = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &socket, ALL | ET, 1);
            harness.wait(&epoll, "fresh");
            for _ in 0..3 {
                let done = harness.k.connect(&socket, &addr);
                harness.read_and_record("connect", done);
                harness.wait(&epoll, "then");
            }
            harness.close_all([listener, socket, epoll]);
        },
        &[
            "fresh: [1 OUT|HUP]",
            "connect: Err(EINPROGRESS)",
            "then: [1 OUT]",
            "connect: Ok(())",
            "then: []",
            "connect: Err(EISCONN)",
            "then: []",
        ],
    );
}

#[test]
fn econnrefused_is_reported_once() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(1);
            harness.close(listener);
            let socket = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            let epoll = harness.epoll();
            let begun = harness.k.connect(&socket, &addr);
            harness.read_and_record("connect", begun);
            harness.add(&epoll, &socket, ALL, 1);
            harness.wait(&epoll, "refused");
            for _ in 0..2 {
                let error = harness.k.getsockopt(&socket, SocketOptionName::Error);
                harness.read_and_record("SO_ERROR", error);
                harness.wait(&epoll, "polled");
            }
            let peer = harness.k.getpeername(&socket);
            harness.read_and_record("peer", peer);
            harness.close_all([socket, epoll]);
        },
        &[
            "connect: Err(EINPROGRESS)",
            "refused: [1 IN|OUT|ERR|HUP|RDHUP]",
            "SO_ERROR: Ok(Error(Some(ECONNREFUSED)))",
            "polled: [1 IN|OUT|HUP|RDHUP]",
            "SO_ERROR: Ok(Error(None))",
            "polled: [1 IN|OUT|HUP|RDHUP]",
            "peer: Err(ENOTCONN)",
        ],
    );
}

#[test]
fn port_0_has_no_socket_and_a_socket_may_connect_to_itself() {
    same(
        |harness| {
            let epoll = harness.epoll();
            for is_itself in [false, true] {
                let socket = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
                if is_itself {
                    harness.k.bind(&socket, &anywhere()).unwrap();
                }
                let own = harness.k.getsockname(&socket).unwrap();
                let to = if is_itself { own } else { anywhere() };
                let begun = harness.k.connect(&socket, &to);
                harness.read_and_record("connect", begun);
                harness.add(&epoll, &socket, ALL, 1);
                harness.wait(&epoll, "then");
                if is_itself {
                    harness.send(&socket, b"echo");
                    harness.wait(&epoll, "sent");
                    harness.recv(&socket, 8).unwrap();
                } else {
                    let error = harness.k.getsockopt(&socket, SocketOptionName::Error);
                    harness.read_and_record("SO_ERROR", error);
                }
                harness.close(socket);
            }
            harness.close(epoll);
        },
        &[
            "connect: Err(EINPROGRESS)",
            "then: [1 IN|OUT|ERR|HUP|RDHUP]",
            "SO_ERROR: Ok(Error(Some(ECONNREFUSED)))",
            "connect: Err(EINPROGRESS)",
            "then: [1 OUT]",
            "sent: [1 IN|OUT]",
            "recv 8: Ok(\"echo\")",
        ],
    );
}

#[test]
fn a_reset_in_the_queue_is_accepted_and_fails_then() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let epoll = harness.epoll();
            harness.add(&epoll, &listener, IN, 1);
            let client = harness.client(&addr);
            let linger = SocketOption::LingerSeconds(Some(0));
            harness.k.setsockopt(&client, linger).unwrap();
            harness.close(client);
            harness.wait(&epoll, "queued");
            let (server, _) = harness.k.accept4(&listener).unwrap();
            harness.recv(&server, 8).unwrap_err();
            harness.recv(&server, 8).unwrap();
            harness.close_all([listener, server, epoll]);
        },
        &["queued: [1 IN]", "recv 8: Err(ECONNRESET)", "recv 8: Ok(\"\")"],
    );
}

/// The listener is closed while a client is in its queue.
fn abandoned(harness: &mut Harness<'_>, is_tcp: bool) {
    let (listener, addr) = if is_tcp { harness.listener(8) } else { harness.unix_listener(8) };
    let client = if is_tcp {
        harness.client(&addr)
    } else {
        let client = harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        harness.k.connect(&client, &addr).unwrap();
        client
    };
    harness.close(listener);
    let epoll = harness.epoll();
    harness.add(&epoll, &client, ALL, 1);
    harness.wait(&epoll, "abandoned");
    harness.recv(&client, 8).unwrap_err();
    harness.close_all([client, epoll]);
}

#[test]
fn closing_a_listener_resets_its_queue() {
    let log = ["abandoned: [1 IN|OUT|ERR|HUP|RDHUP]", "recv 8: Err(ECONNRESET)"];
    same(|harness| abandoned(harness, true), &log);
    same(|harness| abandoned(harness, false), &log);
}

#[test]
fn a_full_unix_backlog_is_eagain() {
    same(
        |harness| {
            let (listener, addr) = harness.unix_listener(1);
            let mut clients = Vec::new();
            for _ in 0..3 {
                let client = harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
                let done = harness.k.connect(&client, &addr);
                harness.read_and_record("connect", done);
                clients.push(client);
            }
            let (server, _) = harness.k.accept4(&listener).unwrap();
            let done = harness.k.connect(&clients[2], &addr);
            harness.read_and_record("after an accept", done);
            harness.close_all(clients);
            harness.close_all([listener, server]);
        },
        &["connect: Ok(())", "connect: Ok(())", "connect: Err(EAGAIN)", "after an accept: Ok(())"],
    );
}

#[test]
fn names_and_their_owners() {
    same(
        |harness| {
            let (listener, addr) = harness.unix_listener(1);
            let other = harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
            let datagram = harness.k.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
            let bound = harness.k.bind(&other, &addr);
            harness.read_and_record("taken", bound);
            let listens = harness.k.listen(&other, 1);
            harness.read_and_record("listen without a name", listens);
            let listens = harness.k.listen(&datagram, 1);
            harness.read_and_record("listen for datagrams", listens);
            let connected = harness.k.connect(&datagram, &addr);
            harness.read_and_record("wrong kind", connected);
            let accepted = harness.k.accept4(&other).map(drop);
            harness.read_and_record("accept without listening", accepted);
            let accepted = harness.k.accept4(&datagram).map(drop);
            harness.read_and_record("accept of datagrams", accepted);
            harness.close(listener);
            let connected = harness.k.connect(&other, &addr);
            harness.read_and_record("unbound name", connected);
            let nowhere = UnixAddr::path(b"/nowhere/at/all").unwrap();
            let connected = harness.k.connect(&other, &Addr::Unix(nowhere));
            harness.read_and_record("no such file", connected);
            harness.close_all([other, datagram]);
        },
        &[
            "taken: Err(EADDRINUSE)",
            "listen without a name: Err(EINVAL)",
            "listen for datagrams: Err(EOPNOTSUPP)",
            "wrong kind: Err(ECONNREFUSED)",
            "accept without listening: Err(EINVAL)",
            "accept of datagrams: Err(EOPNOTSUPP)",
            "unbound name: Err(ECONNREFUSED)",
            "no such file: Err(ENOENT)",
        ],
    );
}

#[test]
fn ports_and_their_owners() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            for reuse in [false, true] {
                let other = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
                harness.k.setsockopt(&other, SocketOption::ReuseAddr(reuse)).unwrap();
                let bound = harness.k.bind(&other, &addr);
                harness.read_and_record("a listener's port", bound);
                harness.close_all([other]);
            }
            let again = harness.k.bind(&listener, &anywhere());
            harness.read_and_record("bound twice", again);
            let far: Addr = "192.0.2.1:0".parse().unwrap();
            let other = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            let bound = harness.k.bind(&other, &far);
            harness.read_and_record("non-local address", bound);
            let six: Addr = "[::1]:1".parse().unwrap();
            let connected = harness.k.connect(&other, &six);
            harness.read_and_record("the wrong family", connected);
            let connected = harness.k.connect(&listener, &addr);
            harness.read_and_record("a listener connects", connected);
            harness.close_all([listener, other]);
        },
        &[
            "a listener's port: Err(EADDRINUSE)",
            "a listener's port: Err(EADDRINUSE)",
            "bound twice: Err(EINVAL)",
            if MACHINE.binds_nonlocal_v4 {
                "non-local address: Ok(())"
            } else {
                "non-local address: Err(EADDRNOTAVAIL)"
            },
            "the wrong family: Err(EAFNOSUPPORT)",
            "a listener connects: Err(EISCONN)",
        ],
    );
}

#[test]
fn reuseport_and_closing_members() {
    same(
        |harness| {
            let one = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            harness.k.setsockopt(&one, SocketOption::ReusePort(true)).unwrap();
            harness.k.bind(&one, &anywhere()).unwrap();
            harness.k.listen(&one, 8).unwrap();
            let addr = harness.k.getsockname(&one).unwrap();
            let other = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            let bound = harness.k.bind(&other, &addr);
            harness.read_and_record("without", bound);
            harness.k.setsockopt(&other, SocketOption::ReusePort(true)).unwrap();
            let bound = harness.k.bind(&other, &addr);
            harness.read_and_record("with SO_REUSEPORT", bound);
            let listens = harness.k.listen(&other, 8);
            harness.read_and_record("both listen", listens);
            harness.close(one);
            let client = harness.client(&addr);
            let accepted = harness.k.accept4(&other);
            harness.read_and_record("the other has it", accepted.is_ok());
            harness.close_all(accepted.map(|(fd, _)| fd));
            harness.close_all([other, client]);
        },
        &[
            "without: Err(EADDRINUSE)",
            "with SO_REUSEPORT: Ok(())",
            "both listen: Ok(())",
            "the other has it: true",
        ],
    );
}

#[test]
fn names_of_the_connected() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let client = harness.client(&addr);
            let (server, reported) = harness.k.accept4(&listener).unwrap();
            let name = harness.k.getsockname(&client).unwrap();
            harness.read_and_record("accept returned the client's name", reported == name);
            let peer = harness.k.getpeername(&server);
            harness.read_and_record("and so does getpeername", peer == Ok(name));
            let near = harness.k.getsockname(&server);
            harness.read_and_record("the server has the listener's", near == Ok(addr));
            let none = harness.k.getpeername(&listener);
            harness.read_and_record("a listener has no peer", none);
            let (one, other) = harness.unix_pair();
            let names = (harness.k.getsockname(&one), harness.k.getpeername(&one));
            harness.read_and_record("of a pair", names);
            harness.close(other);
            let peer = harness.k.getpeername(&one);
            harness.read_and_record("of one left alone", peer);
            harness.close(client);
            harness.k.shutdown(&server, epollite::kernel::Shutdown::Write).unwrap();
            harness.wait_idle();
            assert_eq!(harness.k.getpeername(&server), Err(Errno::ENOTCONN));
            harness.close_all([listener, server, one]);
        },
        &[
            "accept returned the client's name: true",
            "and so does getpeername: true",
            "the server has the listener's: true",
            "a listener has no peer: Err(ENOTCONN)",
            "of a pair: (Ok(Unix(UnixAddr(unix:))), Ok(Unix(UnixAddr(unix:))))",
            "of one left alone: Ok(Unix(UnixAddr(unix:)))",
        ],
    );
}
