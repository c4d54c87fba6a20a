//! Datagrams: whole or not at all, errors that come later, room.

use epollite::{Addr, Batch, Errno, Family, Fd, Kind, Shut, UnixAddr};

use crate::machine::MACHINE;
use crate::same;
use crate::stage::{ALL, ET, IN, OUT, Stage, anywhere};

pub(crate) fn udp(stage: &mut Stage<'_>) -> (Fd, Addr) {
    let socket = stage.k.socket(Family::Inet, Kind::Datagram).unwrap();
    stage.k.bind(&socket, &anywhere()).unwrap();
    let addr = stage.k.getsockname(&socket).unwrap();
    (socket, addr)
}

pub(crate) fn unix(stage: &mut Stage<'_>) -> (Fd, Addr) {
    let socket = stage.k.socket(Family::Unix, Kind::Datagram).unwrap();
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    stage.k.bind(&socket, &unnamed).unwrap();
    let addr = stage.k.getsockname(&socket).unwrap();
    (socket, addr)
}

#[test]
fn a_datagram_is_whole_or_cut_never_joined() {
    for make in [udp, unix] {
        same(
            |stage| {
                let (one, from) = make(stage);
                let (other, to) = make(stage);
                for text in [&b"first"[..], b"", b"third, longer"] {
                    let sent = stage.k.sendto(&one, text, &to);
                    stage.see("sent", sent);
                }
                stage.settle();
                let mut buf = [0; 8];
                for _ in 0..4 {
                    let told = stage.k.recvfrom(&other, &mut buf);
                    stage.see("received", told.map(|(len, addr)| (len, addr == from)));
                }
                stage.close_all([one, other]);
            },
            &[
                "sent: Ok(5)",
                "sent: Ok(0)",
                "sent: Ok(13)",
                "received: Ok((5, true))",
                "received: Ok((0, true))",
                "received: Ok((13, true))",
                "received: Err(EAGAIN)",
            ],
        );
    }
}

#[test]
fn completing_an_own_udp_send_is_an_edge_again() {
    same(
        |stage| {
            let (one, _) = udp(stage);
            let (other, to) = udp(stage);
            let epoll = stage.epoll();
            stage.add(&epoll, &one, ALL | ET, 1);
            stage.add(&epoll, &other, IN | ET, 2);
            stage.wait(&epoll, "registered");
            stage.k.sendto(&one, b"x", &to).unwrap();
            stage.wait(&epoll, "sent");
            stage.k.sendto(&one, b"y", &to).unwrap();
            stage.wait(&epoll, "sent again, the first unread");
            stage.close_all([one, other, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "sent: [1 OUT, 2 IN]",
            "sent again, the first unread: [1 OUT, 2 IN]",
        ],
    );
}

#[test]
fn a_closed_port_answers_the_connected_only() {
    same(
        |stage| {
            let (gone, addr) = udp(stage);
            stage.close(gone);
            let (socket, _) = udp(stage);
            let epoll = stage.epoll();
            stage.add(&epoll, &socket, ALL, 1);
            stage.k.sendto(&socket, b"x", &addr).unwrap();
            stage.wait(&epoll, "not connected");
            stage.k.connect(&socket, &addr).unwrap();
            let sent = stage.k.send(&socket, b"x");
            stage.see("first", sent);
            stage.wait(&epoll, "connected");
            for _ in 0..3 {
                stage.settle();
                let sent = stage.k.send(&socket, b"x");
                stage.see("then", sent);
            }
            stage.recv(&socket, 8).unwrap_err();
            stage.recv(&socket, 8).unwrap_err();
            stage.k.connect(&socket, &Addr::Unspec).unwrap();
            let sent = stage.k.send(&socket, b"x");
            stage.see("dissolved", sent);
            stage.close_all([socket, epoll]);
        },
        &[
            "not connected: [1 OUT]",
            "first: Ok(1)",
            "connected: [1 OUT|ERR]",
            "then: Err(ECONNREFUSED)",
            "then: Ok(1)",
            "then: Err(ECONNREFUSED)",
            "recv 8: Err(EAGAIN)",
            "recv 8: Err(EAGAIN)",
            "dissolved: Err(EDESTADDRREQ)",
        ],
    );
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    same(
        |stage| {
            let (one, here) = udp(stage);
            let (friend, to) = udp(stage);
            let (stranger, _) = udp(stage);
            stage.k.connect(&one, &to).unwrap();
            stage.k.sendto(&stranger, b"stranger", &here).unwrap();
            stage.k.sendto(&friend, b"friend", &here).unwrap();
            stage.recv(&one, 16).unwrap();
            stage.recv(&one, 16).unwrap_err();
            let peer = stage.k.getpeername(&one);
            stage.see("its peer", peer == Ok(to));
            stage.close_all([one, friend, stranger]);
        },
        &["recv 16: Ok(\"friend\")", "recv 16: Err(EAGAIN)", "its peer: true"],
    );
}

#[test]
fn datagrams_that_cannot_be_sent() {
    same(
        |stage| {
            let (socket, addr) = udp(stage);
            let sent = stage.k.send(&socket, b"x");
            stage.see("to nobody", sent);
            let sent = stage.k.sendto(&socket, &vec![0; 65_508], &addr);
            stage.see("too long", sent);
            let sent = stage.k.sendto(&socket, b"x", &addr.with_port(0));
            stage.see("to no port", sent);
            let broadcast: Addr = "255.255.255.255:9".parse().unwrap();
            let sent = stage.k.sendto(&socket, b"x", &broadcast);
            stage.see("to all", sent);
            let six: Addr = "[::1]:9".parse().unwrap();
            let sent = stage.k.sendto(&socket, b"x", &six);
            stage.see("wrong family", sent);
            let shut = stage.k.shutdown(&socket, Shut::Write);
            stage.see("shutdown", shut);
            let sent = stage.k.sendto(&socket, b"x", &addr);
            stage.see("shut", sent);
            stage.close_all([socket]);
        },
        &[
            "to nobody: Err(EDESTADDRREQ)",
            "too long: Err(EMSGSIZE)",
            "to no port: Err(EINVAL)",
            "to all: Err(EACCES)",
            "wrong family: Err(EAFNOSUPPORT)",
            "shutdown: Err(ENOTCONN)",
            "shut: Err(EPIPE)",
        ],
    );
}

#[test]
fn a_batch_goes_and_comes() {
    same(
        |stage| {
            let (one, from) = udp(stage);
            let (other, to) = udp(stage);
            let mut batch = Batch::new(4, 8);
            for text in [&b"a"[..], b"", b"12345678"] {
                assert!(batch.push(text, &to.encode()));
            }
            let sent = stage.k.sendmmsg(&one, &batch, 1);
            stage.see("from the second on", sent);
            let sent = stage.k.sendto(&one, b"longer than eight", &to);
            stage.see("one more", sent);
            stage.settle();
            let mut arrived = Batch::new(2, 8);
            for _ in 0..3 {
                let came = stage.k.recvmmsg(&other, &mut arrived);
                stage.see("came", came);
                for datagram in arrived.iter().take(came.unwrap_or(0)) {
                    let text = String::from_utf8_lossy(datagram.bytes).into_owned();
                    let from_one = datagram.addr.decode() == Ok(from);
                    stage.log.push(format!("{text:?} {from_one} {}", datagram.truncated));
                }
            }
            stage.close_all([one, other]);
        },
        &[
            "from the second on: Ok(2)",
            "one more: Ok(17)",
            "came: Ok(2)",
            "\"\" true false",
            "\"12345678\" true false",
            "came: Ok(1)",
            "\"longer t\" true true",
            "came: Err(EAGAIN)",
        ],
    );
}

/// Fills the queue of a Unix datagram socket but for eleven places, which is the whole queue unless
/// `net.unix.max_dgram_qlen` was raised. One sender's own buffer would not do for that.
fn fill_but_eleven(stage: &mut Stage<'_>, to: &Addr) {
    let mut left = MACHINE.datagrams_queued_max.saturating_sub(10);
    while left > 0 {
        let (sender, _) = unix(stage);
        for _ in 0..left.min(100) {
            stage.k.sendto(&sender, b"y", to).unwrap();
            left -= 1;
        }
        stage.close_all([sender]);
    }
}

#[test]
fn a_unix_queue_of_strangers_is_short() {
    same(
        |stage| {
            let (receiver, to) = unix(stage);
            fill_but_eleven(stage, &to);
            let (sender, _) = unix(stage);
            stage.k.connect(&sender, &to).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &sender, OUT | ET, 1);
            stage.wait(&epoll, "registered");
            let mut sent = 0;
            while stage.k.send(&sender, b"x").is_ok() {
                sent += 1;
            }
            stage.see("sent", sent);
            stage.wait(&epoll, "full");
            assert_eq!(stage.k.recv(&receiver, &mut [0; 8]), Ok(1), "the queue is full");
            stage.wait(&epoll, "one was read");
            let more = stage.k.send(&sender, b"x");
            stage.see("one more", more);
            stage.close_all([receiver]);
            stage.wait(&epoll, "the receiver is gone");
            for _ in 0..2 {
                let more = stage.k.send(&sender, b"x");
                stage.see("then", more);
            }
            stage.close_all([sender, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "sent: 11",
            "full: []",
            "one was read: [1 OUT]",
            "one more: Ok(1)",
            "the receiver is gone: [1 OUT]",
            "then: Err(ECONNREFUSED)",
            "then: Err(ENOTCONN)",
        ],
    );
}

#[test]
fn a_pair_of_datagram_sockets() {
    same(
        |stage| {
            let (near, far) = stage.k.socketpair(Kind::Datagram).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, ALL, 1);
            stage.wait(&epoll, "idle");
            stage.send(&far, b"one");
            stage.send(&far, b"two");
            stage.wait(&epoll, "two came");
            stage.recv(&near, 2).unwrap();
            stage.recv(&near, 8).unwrap();
            stage.k.shutdown(&far, Shut::Both).unwrap();
            stage.wait(&epoll, "the other is shut");
            let sent = stage.k.send(&near, b"x");
            stage.see("to it", sent);
            stage.close(far);
            stage.wait(&epoll, "closed");
            let sent = stage.k.send(&near, b"x");
            stage.see("to nobody", sent);
            assert_eq!(stage.k.recv(&near, &mut [0; 8]), Err(Errno::EAGAIN));
            stage.close_all([near, epoll]);
        },
        &[
            "idle: [1 OUT]",
            "two came: [1 IN|OUT]",
            "recv 2: Ok(\"on\")",
            "recv 8: Ok(\"two\")",
            "the other is shut: [1 OUT]",
            "to it: Err(EPIPE)",
            "closed: [1 OUT]",
            "to nobody: Err(ECONNREFUSED)",
        ],
    );
}
