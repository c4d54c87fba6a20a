//! Datagrams: message boundaries, deferred errors, buffer space.

use epollite::kernel::{Shutdown, SocketType};
use epollite::net::{AddressFamily, DatagramBatch, UnixAddr};
use epollite::{Addr, Errno, Fd};

use crate::harness::{ALL, ET, Harness, IN, OUT, anywhere};
use crate::machine::MACHINE;
use crate::same;

pub(crate) fn udp(harness: &mut Harness<'_>) -> (Fd, Addr) {
    let socket = harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
    harness.k.bind(&socket, &anywhere()).unwrap();
    let addr = harness.k.getsockname(&socket).unwrap();
    (socket, addr)
}

pub(crate) fn unix(harness: &mut Harness<'_>) -> (Fd, Addr) {
    let socket = harness.k.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    harness.k.bind(&socket, &unnamed).unwrap();
    let addr = harness.k.getsockname(&socket).unwrap();
    (socket, addr)
}

#[test]
fn a_datagram_is_whole_or_truncated_never_merged() {
    for make in [udp, unix] {
        same(
            |harness| {
                let (one, from) = make(harness);
                let (other, to) = make(harness);
                for text in [&b"first"[..], b"", b"third, longer"] {
                    let sent = harness.k.sendto(&one, text, &to);
                    harness.read_and_record("sent", sent);
                }
                harness.wait_idle();
                let mut buf = [0; 8];
                for _ in 0..4 {
                    let reported = harness.k.recvfrom(&other, &mut buf);
                    harness.read_and_record(
                        "received",
                        reported.map(|(len, addr)| (len, addr == from)),
                    );
                }
                harness.close_all([one, other]);
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
        |harness| {
            let (one, _) = udp(harness);
            let (other, to) = udp(harness);
            let epoll = harness.epoll();
            harness.add(&epoll, &one, ALL | ET, 1);
            harness.add(&epoll, &other, IN | ET, 2);
            harness.wait(&epoll, "registered");
            harness.k.sendto(&one, b"x", &to).unwrap();
            harness.wait(&epoll, "sent");
            harness.k.sendto(&one, b"y", &to).unwrap();
            harness.wait(&epoll, "sent again, the first unread");
            harness.close_all([one, other, epoll]);
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
        |harness| {
            let (gone, addr) = udp(harness);
            harness.close(gone);
            let (socket, _) = udp(harness);
            let epoll = harness.epoll();
            harness.add(&epoll, &socket, ALL, 1);
            harness.k.sendto(&socket, b"x", &addr).unwrap();
            harness.wait(&epoll, "not connected");
            harness.k.connect(&socket, &addr).unwrap();
            let sent = harness.k.send(&socket, b"x");
            harness.read_and_record("first", sent);
            harness.wait(&epoll, "connected");
            for _ in 0..3 {
                harness.wait_idle();
                let sent = harness.k.send(&socket, b"x");
                harness.read_and_record("then", sent);
            }
            harness.recv(&socket, 8).unwrap_err();
            harness.recv(&socket, 8).unwrap_err();
            harness.k.connect(&socket, &Addr::Unspecified).unwrap();
            let sent = harness.k.send(&socket, b"x");
            harness.read_and_record("dissolved", sent);
            harness.close_all([socket, epoll]);
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
fn a_connected_udp_socket_filters_other_senders() {
    same(
        |harness| {
            let (one, here) = udp(harness);
            let (friend, to) = udp(harness);
            let (unrelated, _) = udp(harness);
            harness.k.connect(&one, &to).unwrap();
            harness.k.sendto(&unrelated, b"stranger", &here).unwrap();
            harness.k.sendto(&friend, b"friend", &here).unwrap();
            harness.recv(&one, 16).unwrap();
            harness.recv(&one, 16).unwrap_err();
            let peer = harness.k.getpeername(&one);
            harness.read_and_record("its peer", peer == Ok(to));
            harness.close_all([one, friend, unrelated]);
        },
        &["recv 16: Ok(\"friend\")", "recv 16: Err(EAGAIN)", "its peer: true"],
    );
}

#[test]
fn datagrams_that_cannot_be_sent() {
    same(
        |harness| {
            let (socket, addr) = udp(harness);
            let sent = harness.k.send(&socket, b"x");
            harness.read_and_record("without a receiver", sent);
            let sent = harness.k.sendto(&socket, &vec![0; 65_508], &addr);
            harness.read_and_record("too long", sent);
            let sent = harness.k.sendto(&socket, b"x", &addr.with_port(0));
            harness.read_and_record("to no port", sent);
            let broadcast: Addr = "255.255.255.255:9".parse().unwrap();
            let sent = harness.k.sendto(&socket, b"x", &broadcast);
            harness.read_and_record("to all", sent);
            let six: Addr = "[::1]:9".parse().unwrap();
            let sent = harness.k.sendto(&socket, b"x", &six);
            harness.read_and_record("wrong family", sent);
            let shut = harness.k.shutdown(&socket, Shutdown::Write);
            harness.read_and_record("shutdown", shut);
            let sent = harness.k.sendto(&socket, b"x", &addr);
            harness.read_and_record("shut", sent);
            harness.close_all([socket]);
        },
        &[
            "without a receiver: Err(EDESTADDRREQ)",
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
fn mmsg_round_trip() {
    same(
        |harness| {
            let (one, from) = udp(harness);
            let (other, to) = udp(harness);
            let mut batch = DatagramBatch::new(4, 8);
            for text in [&b"a"[..], b"", b"12345678"] {
                assert!(batch.push(text, &to.encode()));
            }
            let sent = harness.k.sendmmsg(&one, &batch, 1);
            harness.read_and_record("from the second on", sent);
            let sent = harness.k.sendto(&one, b"longer than eight", &to);
            harness.read_and_record("one more", sent);
            harness.wait_idle();
            let mut arrived = DatagramBatch::new(2, 8);
            for _ in 0..3 {
                let got = harness.k.recvmmsg(&other, &mut arrived);
                harness.read_and_record("received", got);
                for datagram in arrived.iter().take(got.unwrap_or(0)) {
                    let text = String::from_utf8_lossy(datagram.bytes).into_owned();
                    let from_one = datagram.addr.decode() == Ok(from);
                    harness.log.push(format!("{text:?} {from_one} {}", datagram.truncated));
                }
            }
            harness.close_all([one, other]);
        },
        &[
            "from the second on: Ok(2)",
            "one more: Ok(17)",
            "received: Ok(2)",
            "\"\" true false",
            "\"12345678\" true false",
            "received: Ok(1)",
            "\"longer t\" true true",
            "received: Err(EAGAIN)",
        ],
    );
}

/// Fills the queue of a Unix datagram socket but for eleven places, which is the whole queue unless
/// `net.unix.max_dgram_qlen` was raised. One sender's own buffer would not suffice for that.
fn fill_but_eleven(harness: &mut Harness<'_>, to: &Addr) {
    let mut left = MACHINE.datagrams_queued_max.saturating_sub(10);
    while left > 0 {
        let (sender, _) = unix(harness);
        for _ in 0..left.min(100) {
            harness.k.sendto(&sender, b"y", to).unwrap();
            left -= 1;
        }
        harness.close_all([sender]);
    }
}

#[test]
fn an_unconnected_unix_dgram_queue_is_short() {
    same(
        |harness| {
            let (receiver, to) = unix(harness);
            fill_but_eleven(harness, &to);
            let (sender, _) = unix(harness);
            harness.k.connect(&sender, &to).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &sender, OUT | ET, 1);
            harness.wait(&epoll, "registered");
            let mut sent = 0;
            while harness.k.send(&sender, b"x").is_ok() {
                sent += 1;
            }
            harness.read_and_record("sent", sent);
            harness.wait(&epoll, "full");
            assert_eq!(harness.k.recv(&receiver, &mut [0; 8]), Ok(1), "the queue is full");
            harness.wait(&epoll, "one was read");
            let more = harness.k.send(&sender, b"x");
            harness.read_and_record("one more", more);
            harness.close_all([receiver]);
            harness.wait(&epoll, "receiver closed");
            for _ in 0..2 {
                let more = harness.k.send(&sender, b"x");
                harness.read_and_record("then", more);
            }
            harness.close_all([sender, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "sent: 11",
            "full: []",
            "one was read: [1 OUT]",
            "one more: Ok(1)",
            "receiver closed: [1 OUT]",
            "then: Err(ECONNREFUSED)",
            "then: Err(ENOTCONN)",
        ],
    );
}

#[test]
fn a_pair_of_datagram_sockets() {
    same(
        |harness| {
            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, ALL, 1);
            harness.wait(&epoll, "idle");
            harness.send(&far, b"one");
            harness.send(&far, b"two");
            harness.wait(&epoll, "two arrived");
            harness.recv(&near, 2).unwrap();
            harness.recv(&near, 8).unwrap();
            harness.k.shutdown(&far, Shutdown::Both).unwrap();
            harness.wait(&epoll, "the other is shut");
            let sent = harness.k.send(&near, b"x");
            harness.read_and_record("to it", sent);
            harness.close(far);
            harness.wait(&epoll, "closed");
            let sent = harness.k.send(&near, b"x");
            harness.read_and_record("without a receiver", sent);
            assert_eq!(harness.k.recv(&near, &mut [0; 8]), Err(Errno::EAGAIN));
            harness.close_all([near, epoll]);
        },
        &[
            "idle: [1 OUT]",
            "two arrived: [1 IN|OUT]",
            "recv 2: Ok(\"on\")",
            "recv 8: Ok(\"two\")",
            "the other is shut: [1 OUT]",
            "to it: Err(EPIPE)",
            "closed: [1 OUT]",
            "without a receiver: Err(ECONNREFUSED)",
        ],
    );
}
