//! Listening, connecting, accepting; and their failures.

use epollite::{Addr, Errno, Family, Kind, OptionName, SocketOption, UnixAddr};

use crate::machine::MACHINE;
use crate::same;
use crate::stage::{ALL, ET, IN, Stage, anywhere};

#[test]
fn a_connection_is_there_before_it_is_accepted() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            let client = stage.client(&addr);
            stage.send(&client, b"early");
            let epoll = stage.epoll();
            stage.add(&epoll, &listener, ALL, 1);
            stage.add(&epoll, &client, ALL, 2);
            stage.wait(&epoll, "queued");
            let (server, _) = stage.k.accept4(&listener).unwrap();
            stage.recv(&server, 8).unwrap();
            let more = stage.k.accept4(&listener).map(drop);
            stage.see("accept", more);
            stage.wait(&epoll, "accepted");
            stage.close_all([listener, client, server, epoll]);
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
fn a_connect_is_in_progress_then_done_then_known() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            let socket = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &socket, ALL | ET, 1);
            stage.wait(&epoll, "fresh");
            for _ in 0..3 {
                let done = stage.k.connect(&socket, &addr);
                stage.see("connect", done);
                stage.wait(&epoll, "then");
            }
            stage.close_all([listener, socket, epoll]);
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
fn a_refused_connect_tells_once() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(1);
            stage.close(listener);
            let socket = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            let epoll = stage.epoll();
            let begun = stage.k.connect(&socket, &addr);
            stage.see("connect", begun);
            stage.add(&epoll, &socket, ALL, 1);
            stage.wait(&epoll, "refused");
            for _ in 0..2 {
                let error = stage.k.getsockopt(&socket, OptionName::Error);
                stage.see("SO_ERROR", error);
                stage.wait(&epoll, "asked");
            }
            let peer = stage.k.getpeername(&socket);
            stage.see("peer", peer);
            stage.close_all([socket, epoll]);
        },
        &[
            "connect: Err(EINPROGRESS)",
            "refused: [1 IN|OUT|ERR|HUP|RDHUP]",
            "SO_ERROR: Ok(Error(Some(ECONNREFUSED)))",
            "asked: [1 IN|OUT|HUP|RDHUP]",
            "SO_ERROR: Ok(Error(None))",
            "asked: [1 IN|OUT|HUP|RDHUP]",
            "peer: Err(ENOTCONN)",
        ],
    );
}

#[test]
fn a_reset_in_the_queue_is_accepted_and_fails_then() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            let epoll = stage.epoll();
            stage.add(&epoll, &listener, IN, 1);
            let client = stage.client(&addr);
            let linger = SocketOption::LingerSeconds(Some(0));
            stage.k.setsockopt(&client, linger).unwrap();
            stage.close(client);
            stage.wait(&epoll, "queued");
            let (server, _) = stage.k.accept4(&listener).unwrap();
            stage.recv(&server, 8).unwrap_err();
            stage.recv(&server, 8).unwrap();
            stage.close_all([listener, server, epoll]);
        },
        &["queued: [1 IN]", "recv 8: Err(ECONNRESET)", "recv 8: Ok(\"\")"],
    );
}

/// The listener goes while somebody waits in its queue.
fn abandoned(stage: &mut Stage<'_>, is_tcp: bool) {
    let (listener, addr) = if is_tcp { stage.listener(8) } else { stage.unix_listener(8) };
    let client = if is_tcp {
        stage.client(&addr)
    } else {
        let client = stage.k.socket(Family::Unix, Kind::Stream).unwrap();
        stage.k.connect(&client, &addr).unwrap();
        client
    };
    stage.close(listener);
    let epoll = stage.epoll();
    stage.add(&epoll, &client, ALL, 1);
    stage.wait(&epoll, "abandoned");
    stage.recv(&client, 8).unwrap_err();
    stage.close_all([client, epoll]);
}

#[test]
fn closing_a_listener_resets_its_queue() {
    let log = ["abandoned: [1 IN|OUT|ERR|HUP|RDHUP]", "recv 8: Err(ECONNRESET)"];
    same(|stage| abandoned(stage, true), &log);
    same(|stage| abandoned(stage, false), &log);
}

#[test]
fn a_full_unix_queue_says_eagain() {
    same(
        |stage| {
            let (listener, addr) = stage.unix_listener(1);
            let mut clients = Vec::new();
            for _ in 0..3 {
                let client = stage.k.socket(Family::Unix, Kind::Stream).unwrap();
                let done = stage.k.connect(&client, &addr);
                stage.see("connect", done);
                clients.push(client);
            }
            let (server, _) = stage.k.accept4(&listener).unwrap();
            let done = stage.k.connect(&clients[2], &addr);
            stage.see("after an accept", done);
            stage.close_all(clients);
            stage.close_all([listener, server]);
        },
        &["connect: Ok(())", "connect: Ok(())", "connect: Err(EAGAIN)", "after an accept: Ok(())"],
    );
}

#[test]
fn names_and_their_owners() {
    same(
        |stage| {
            let (listener, addr) = stage.unix_listener(1);
            let other = stage.k.socket(Family::Unix, Kind::Stream).unwrap();
            let datagram = stage.k.socket(Family::Unix, Kind::Datagram).unwrap();
            let bound = stage.k.bind(&other, &addr);
            stage.see("taken", bound);
            let listens = stage.k.listen(&other, 1);
            stage.see("listen without a name", listens);
            let listens = stage.k.listen(&datagram, 1);
            stage.see("listen for datagrams", listens);
            let connected = stage.k.connect(&datagram, &addr);
            stage.see("wrong kind", connected);
            let accepted = stage.k.accept4(&other).map(drop);
            stage.see("accept without listening", accepted);
            let accepted = stage.k.accept4(&datagram).map(drop);
            stage.see("accept of datagrams", accepted);
            stage.close(listener);
            let connected = stage.k.connect(&other, &addr);
            stage.see("nobody has the name", connected);
            let nowhere = UnixAddr::path(b"/nowhere/at/all").unwrap();
            let connected = stage.k.connect(&other, &Addr::Unix(nowhere));
            stage.see("no such file", connected);
            stage.close_all([other, datagram]);
        },
        &[
            "taken: Err(EADDRINUSE)",
            "listen without a name: Err(EINVAL)",
            "listen for datagrams: Err(EOPNOTSUPP)",
            "wrong kind: Err(ECONNREFUSED)",
            "accept without listening: Err(EINVAL)",
            "accept of datagrams: Err(EOPNOTSUPP)",
            "nobody has the name: Err(ECONNREFUSED)",
            "no such file: Err(ENOENT)",
        ],
    );
}

#[test]
fn ports_and_their_owners() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            for reuse in [false, true] {
                let other = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
                stage.k.setsockopt(&other, SocketOption::ReuseAddr(reuse)).unwrap();
                let bound = stage.k.bind(&other, &addr);
                stage.see("a listener's port", bound);
                stage.close_all([other]);
            }
            let again = stage.k.bind(&listener, &anywhere());
            stage.see("bound twice", again);
            let far: Addr = "192.0.2.1:0".parse().unwrap();
            let other = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            let bound = stage.k.bind(&other, &far);
            stage.see("somebody else's address", bound);
            let six: Addr = "[::1]:1".parse().unwrap();
            let connected = stage.k.connect(&other, &six);
            stage.see("the wrong family", connected);
            let connected = stage.k.connect(&listener, &addr);
            stage.see("a listener connects", connected);
            stage.close_all([listener, other]);
        },
        &[
            "a listener's port: Err(EADDRINUSE)",
            "a listener's port: Err(EADDRINUSE)",
            "bound twice: Err(EINVAL)",
            if MACHINE.binds_nonlocal_v4 {
                "somebody else's address: Ok(())"
            } else {
                "somebody else's address: Err(EADDRNOTAVAIL)"
            },
            "the wrong family: Err(EAFNOSUPPORT)",
            "a listener connects: Err(EISCONN)",
        ],
    );
}

#[test]
fn shared_ports_and_who_goes() {
    same(
        |stage| {
            let one = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            stage.k.setsockopt(&one, SocketOption::ReusePort(true)).unwrap();
            stage.k.bind(&one, &anywhere()).unwrap();
            stage.k.listen(&one, 8).unwrap();
            let addr = stage.k.getsockname(&one).unwrap();
            let other = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            let bound = stage.k.bind(&other, &addr);
            stage.see("without", bound);
            stage.k.setsockopt(&other, SocketOption::ReusePort(true)).unwrap();
            let bound = stage.k.bind(&other, &addr);
            stage.see("with SO_REUSEPORT", bound);
            let listens = stage.k.listen(&other, 8);
            stage.see("both listen", listens);
            stage.close(one);
            let client = stage.client(&addr);
            let accepted = stage.k.accept4(&other);
            stage.see("the other has it", accepted.is_ok());
            stage.close_all(accepted.map(|(fd, _)| fd));
            stage.close_all([other, client]);
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
        |stage| {
            let (listener, addr) = stage.listener(8);
            let client = stage.client(&addr);
            let (server, told) = stage.k.accept4(&listener).unwrap();
            let name = stage.k.getsockname(&client).unwrap();
            stage.see("accept told the client's name", told == name);
            let peer = stage.k.getpeername(&server);
            stage.see("and so does getpeername", peer == Ok(name));
            let near = stage.k.getsockname(&server);
            stage.see("the server has the listener's", near == Ok(addr));
            let none = stage.k.getpeername(&listener);
            stage.see("a listener has no peer", none);
            let (one, other) = stage.unix_pair();
            let names = (stage.k.getsockname(&one), stage.k.getpeername(&one));
            stage.see("of a pair", names);
            stage.close(other);
            let peer = stage.k.getpeername(&one);
            stage.see("of one left alone", peer);
            stage.close(client);
            stage.k.shutdown(&server, epollite::Shut::Write).unwrap();
            stage.settle();
            assert_eq!(stage.k.getpeername(&server), Err(Errno::ENOTCONN));
            stage.close_all([listener, server, one]);
        },
        &[
            "accept told the client's name: true",
            "and so does getpeername: true",
            "the server has the listener's: true",
            "a listener has no peer: Err(ENOTCONN)",
            "of a pair: (Ok(Unix(UnixAddr(unix:))), Ok(Unix(UnixAddr(unix:))))",
            "of one left alone: Ok(Unix(UnixAddr(unix:)))",
        ],
    );
}
