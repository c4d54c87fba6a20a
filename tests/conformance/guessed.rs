//! What is easily guessed wrong: shutting what was never connected, room that is none, and edges of
//! nothing.

use epollite::{Addr, Family, Fd, Kind, Shut, UnixAddr};

use crate::messages::{udp, unix};
use crate::same;
use crate::stage::{ALL, ET, IN, OUT, Stage};

/// Shuts a socket that was never connected, which fails, and shuts it all the same.
fn shut_unconnected(stage: &mut Stage<'_>, socket: &Fd) {
    let epoll = stage.epoll();
    stage.add(&epoll, socket, ALL, 1);
    let done = stage.k.shutdown(socket, Shut::Both);
    stage.see("shutdown", done);
    stage.wait(&epoll, "shut");
    stage.wait(&epoll, "and so for ever");
    let _ = stage.recv(socket, 8);
    stage.close_all([epoll]);
}

#[test]
fn a_shutdown_that_fails_shuts_an_unconnected_socket() {
    same(
        |stage| {
            let (socket, _) = udp(stage);
            shut_unconnected(stage, &socket);
            stage.close_all([socket]);
            let socket = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
            shut_unconnected(stage, &socket);
            stage.close_all([socket]);
        },
        &[
            "shutdown: Err(ENOTCONN)",
            "shut: [1 IN|OUT|HUP|RDHUP]",
            "and so for ever: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Err(EAGAIN)",
            "shutdown: Err(ENOTCONN)",
            "shut: [1 IN|OUT|HUP|RDHUP]",
            "and so for ever: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

#[test]
fn a_listener_that_is_shut_for_reading_is_ready_until_it_listens_again() {
    same(
        |stage| {
            let (listener, _) = stage.listener(4);
            let epoll = stage.epoll();
            stage.add(&epoll, &listener, ALL, 1);
            stage.k.shutdown(&listener, Shut::Write).unwrap();
            stage.wait(&epoll, "shut for writing");
            stage.k.shutdown(&listener, Shut::Read).unwrap();
            for _ in 0..2 {
                stage.wait(&epoll, "shut for reading");
                let accepted = stage.k.accept4(&listener).map(|_| ());
                stage.see("accept", accepted);
            }
            stage.k.listen(&listener, 4).unwrap();
            stage.wait(&epoll, "listens again");
            // It was given a port, which it lost: the next one is another.
            let addr = stage.k.getsockname(&listener).unwrap();
            let client = stage.client(&addr);
            stage.wait(&epoll, "a client came");
            let (server, _) = stage.k.accept4(&listener).unwrap();
            stage.close_all([listener, epoll, client, server]);
        },
        &[
            "shut for writing: []",
            "shut for reading: [1 OUT|HUP]",
            "accept: Err(EINVAL)",
            "shut for reading: [1 OUT|HUP]",
            "accept: Err(EINVAL)",
            "listens again: []",
            "a client came: [1 IN]",
        ],
    );
}

#[test]
fn a_unix_datagram_socket_whose_peer_is_gone_stays_writable() {
    same(
        |stage| {
            let (far, there) = unix(stage);
            let (near, _) = unix(stage);
            stage.k.connect(&near, &there).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, ALL, 1);
            stage.wait(&epoll, "connected");
            stage.close(far);
            stage.wait(&epoll, "the peer is gone");
            let sent = stage.k.send(&near, b"x");
            stage.see("send", sent);
            stage.wait(&epoll, "and that is known");
            stage.close_all([near, epoll]);
        },
        &[
            "connected: [1 OUT]",
            "the peer is gone: [1 OUT]",
            "send: Err(ECONNREFUSED)",
            "and that is known: [1 OUT]",
        ],
    );
}

/// Sends to a name until its queue is full; not connected to it, one is writable all the while.
#[test]
fn a_writable_unix_datagram_socket_may_have_no_room_and_each_refusal_is_an_edge() {
    same(
        |stage| {
            let (far, there) = unix(stage);
            let mut helpers = Vec::new();
            let near = loop {
                let (socket, _) = unix(stage);
                let sent = (0..100).take_while(|_| stage.k.sendto(&socket, b"x", &there).is_ok());
                if sent.count() < 100 {
                    break socket;
                }
                helpers.push(socket);
            };
            let epoll = stage.epoll();
            stage.add(&epoll, &near, OUT | ET, 1);
            stage.wait(&epoll, "full");
            for _ in 0..2 {
                let sent = stage.k.sendto(&near, b"x", &there);
                stage.see("sendto", sent);
                stage.wait(&epoll, "refused");
            }
            stage.k.connect(&near, &there).unwrap();
            // Asks once, so that it waits for the queue of its peer from here on.
            stage.modify(&epoll, &near, OUT | ET, 1);
            stage.wait(&epoll, "connected to it");
            stage.recv(&far, 1).unwrap();
            stage.wait(&epoll, "one was read");
            stage.close_all(helpers);
            stage.close_all([far, near, epoll]);
        },
        &[
            "full: [1 OUT]",
            "sendto: Err(EAGAIN)",
            "refused: [1 OUT]",
            "sendto: Err(EAGAIN)",
            "refused: [1 OUT]",
            "connected to it: []",
            "recv 1: Ok(\"x\")",
            "one was read: [1 OUT]",
        ],
    );
}

#[test]
fn a_full_pipe_that_nobody_reads_is_not_writable() {
    same(
        |stage| {
            for len in [8, 65_536] {
                let (reader, writer) = stage.k.pipe2().unwrap();
                stage.k.write(&writer, &vec![b'p'; len]).unwrap();
                let epoll = stage.epoll();
                stage.add(&epoll, &writer, ALL, 1);
                stage.close_all([reader]);
                stage.wait(&epoll, "the reader is gone");
                stage.close_all([writer, epoll]);
            }
        },
        &["the reader is gone: [1 OUT|ERR]", "the reader is gone: [1 ERR]"],
    );
}

/// A registration for edges, whose first was taken.
fn watch(stage: &mut Stage<'_>, fd: &Fd, events: u32) -> Fd {
    let epoll = stage.epoll();
    stage.add(&epoll, fd, events | ET, 1);
    let _ = stage.poll(&epoll, 1);
    epoll
}

#[test]
fn sending_nothing_is_an_edge_where_nothing_is_a_message() {
    same(
        |stage| {
            let eventfd = stage.k.eventfd(1).unwrap();
            let epoll = watch(stage, &eventfd, IN);
            stage.k.write(&eventfd, &0_u64.to_ne_bytes()).unwrap();
            stage.wait(&epoll, "zero into an eventfd that is at one");
            stage.close_all([eventfd, epoll]);

            let (reader, writer) = stage.k.pipe2().unwrap();
            stage.k.write(&writer, b"p").unwrap();
            let epoll = watch(stage, &reader, IN);
            stage.k.write(&writer, b"").unwrap();
            stage.wait(&epoll, "no byte into a pipe");
            stage.close_all([reader, writer, epoll]);

            for is_tcp in [true, false] {
                let (near, far) = stage.pair(is_tcp);
                stage.send(&far, b"s");
                let epoll = watch(stage, &near, IN);
                stage.send(&far, b"");
                stage.wait(&epoll, "no byte into a stream");
                stage.close_all([near, far, epoll]);
            }

            let (near, far) = stage.k.socketpair(Kind::Datagram).unwrap();
            let epoll = watch(stage, &near, IN);
            stage.send(&far, b"");
            stage.wait(&epoll, "a Unix datagram without a byte");
            stage.close_all([near, far, epoll]);

            let (near, here) = udp(stage);
            let (far, _) = udp(stage);
            let epoll = watch(stage, &near, IN);
            stage.k.sendto(&far, b"", &here).unwrap();
            stage.wait(&epoll, "a UDP datagram without a byte");
            stage.close_all([near, far, epoll]);
        },
        &[
            "zero into an eventfd that is at one: [1 IN]",
            "no byte into a pipe: []",
            "no byte into a stream: []",
            "no byte into a stream: []",
            "a Unix datagram without a byte: [1 IN]",
            "a UDP datagram without a byte: [1 IN]",
        ],
    );
}

#[test]
fn a_pipe_has_room_again_when_a_whole_page_was_read() {
    same(
        |stage| {
            let (reader, writer) = stage.k.pipe2().unwrap();
            stage.k.write(&writer, &[b'p'; 65_536]).unwrap();
            let epoll = watch(stage, &writer, OUT);
            for len in [1, 4_094, 1] {
                stage.k.read(&reader, &mut vec![0; len]).unwrap();
                stage.wait(&epoll, &format!("{len} read"));
            }
            stage.close_all([reader, writer, epoll]);
        },
        &["1 read: []", "4094 read: []", "1 read: [1 OUT]"],
    );
}

#[test]
fn a_unix_socket_that_sends_has_no_name_until_it_is_bound() {
    same(
        |stage| {
            let (far, there) = unix(stage);
            let near = stage.k.socket(Family::Unix, Kind::Datagram).unwrap();
            stage.k.sendto(&near, b"x", &there).unwrap();
            let told = stage.k.recvfrom(&far, &mut [0; 8]);
            stage.see("from", told);
            let name = stage.k.getsockname(&near);
            stage.see("name", name == Ok(Addr::Unix(UnixAddr::unnamed())));
            stage.close_all([near, far]);
        },
        &["from: Ok((1, Unspec))", "name: true"],
    );
}
