//! What is easily guessed wrong: shutting down an unconnected socket, writability without room, and
//! edges without an arrival.

use epollite::kernel::{Shutdown, SocketType};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Fd};

use crate::datagrams::{udp, unix};
use crate::harness::{ALL, ET, Harness, IN, OUT};
use crate::same;

/// Shuts down an unconnected socket, which fails, and still shuts it down.
fn shut_unconnected(harness: &mut Harness<'_>, socket: &Fd) {
    let epoll = harness.epoll();
    harness.add(&epoll, socket, ALL, 1);
    let done = harness.k.shutdown(socket, Shutdown::Both);
    harness.read_and_record("shutdown", done);
    harness.wait(&epoll, "shut");
    harness.wait(&epoll, "and again");
    let _ = harness.recv(socket, 8);
    harness.close_all([epoll]);
}

#[test]
fn a_shutdown_that_fails_shuts_an_unconnected_socket() {
    same(
        |harness| {
            let (socket, _) = udp(harness);
            shut_unconnected(harness, &socket);
            harness.close_all([socket]);
            let socket = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
            shut_unconnected(harness, &socket);
            harness.close_all([socket]);
        },
        &[
            "shutdown: Err(ENOTCONN)",
            "shut: [1 IN|OUT|HUP|RDHUP]",
            "and again: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Err(EAGAIN)",
            "shutdown: Err(ENOTCONN)",
            "shut: [1 IN|OUT|HUP|RDHUP]",
            "and again: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

#[test]
fn a_listener_that_is_shut_for_reading_is_ready_until_it_listens_again() {
    same(
        |harness| {
            let (listener, _) = harness.listener(4);
            let epoll = harness.epoll();
            harness.add(&epoll, &listener, ALL, 1);
            harness.k.shutdown(&listener, Shutdown::Write).unwrap();
            harness.wait(&epoll, "shut for writing");
            harness.k.shutdown(&listener, Shutdown::Read).unwrap();
            for _ in 0..2 {
                harness.wait(&epoll, "shut for reading");
                let accepted = harness.k.accept4(&listener).map(|_| ());
                harness.read_and_record("accept", accepted);
            }
            harness.k.listen(&listener, 4).unwrap();
            harness.wait(&epoll, "listens again");
            // It was given a port, which it lost: the next one is different.
            let addr = harness.k.getsockname(&listener).unwrap();
            let client = harness.client(&addr);
            harness.wait(&epoll, "a client connected");
            let (server, _) = harness.k.accept4(&listener).unwrap();
            harness.close_all([listener, epoll, client, server]);
        },
        &[
            "shut for writing: []",
            "shut for reading: [1 OUT|HUP]",
            "accept: Err(EINVAL)",
            "shut for reading: [1 OUT|HUP]",
            "accept: Err(EINVAL)",
            "listens again: []",
            "a client connected: [1 IN]",
        ],
    );
}

#[test]
fn a_unix_datagram_socket_with_a_closed_peer_stays_writable() {
    same(
        |harness| {
            let (far, there) = unix(harness);
            let (near, _) = unix(harness);
            harness.k.connect(&near, &there).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, ALL, 1);
            harness.wait(&epoll, "connected");
            harness.close(far);
            harness.wait(&epoll, "peer closed");
            let sent = harness.k.send(&near, b"x");
            harness.read_and_record("send", sent);
            harness.wait(&epoll, "and that is known");
            harness.close_all([near, epoll]);
        },
        &[
            "connected: [1 OUT]",
            "peer closed: [1 OUT]",
            "send: Err(ECONNREFUSED)",
            "and that is known: [1 OUT]",
        ],
    );
}

/// Sends to a name until its queue is full; while not connected to it, the sender stays writable.
#[test]
fn a_writable_unix_datagram_socket_may_have_no_room_and_each_refusal_is_an_edge() {
    same(
        |harness| {
            let (far, there) = unix(harness);
            let mut helpers = Vec::new();
            let near = loop {
                let (socket, _) = unix(harness);
                let sent = (0..100).take_while(|_| harness.k.sendto(&socket, b"x", &there).is_ok());
                if sent.count() < 100 {
                    break socket;
                }
                helpers.push(socket);
            };
            let epoll = harness.epoll();
            harness.add(&epoll, &near, OUT | ET, 1);
            harness.wait(&epoll, "full");
            for _ in 0..2 {
                let sent = harness.k.sendto(&near, b"x", &there);
                harness.read_and_record("sendto", sent);
                harness.wait(&epoll, "refused");
            }
            harness.k.connect(&near, &there).unwrap();
            // Polls once, so that it waits for the queue of its peer from here on.
            harness.modify(&epoll, &near, OUT | ET, 1);
            harness.wait(&epoll, "connected to it");
            harness.recv(&far, 1).unwrap();
            harness.wait(&epoll, "one was read");
            harness.close_all(helpers);
            harness.close_all([far, near, epoll]);
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
fn a_full_pipe_without_reads_is_not_writable() {
    same(
        |harness| {
            for len in [8, 65_536] {
                let (reader, writer) = harness.k.pipe2().unwrap();
                harness.k.write(&writer, &vec![b'p'; len]).unwrap();
                let epoll = harness.epoll();
                harness.add(&epoll, &writer, ALL, 1);
                harness.close_all([reader]);
                harness.wait(&epoll, "reader closed");
                harness.close_all([writer, epoll]);
            }
        },
        &["reader closed: [1 OUT|ERR]", "reader closed: [1 ERR]"],
    );
}

/// An edge-triggered registration whose first edge was consumed.
fn watch(harness: &mut Harness<'_>, fd: &Fd, events: u32) -> Fd {
    let epoll = harness.epoll();
    harness.add(&epoll, fd, events | ET, 1);
    let _ = harness.poll(&epoll, 1);
    epoll
}

#[test]
fn sending_nothing_is_an_edge_where_nothing_is_a_message() {
    same(
        |harness| {
            let eventfd = harness.k.eventfd(1).unwrap();
            let epoll = watch(harness, &eventfd, IN);
            harness.k.write(&eventfd, &0_u64.to_ne_bytes()).unwrap();
            harness.wait(&epoll, "zero into an eventfd that is at one");
            harness.close_all([eventfd, epoll]);

            let (reader, writer) = harness.k.pipe2().unwrap();
            harness.k.write(&writer, b"p").unwrap();
            let epoll = watch(harness, &reader, IN);
            harness.k.write(&writer, b"").unwrap();
            harness.wait(&epoll, "no byte into a pipe");
            harness.close_all([reader, writer, epoll]);

            for is_tcp in [true, false] {
                let (near, far) = harness.pair(is_tcp);
                harness.send(&far, b"s");
                let epoll = watch(harness, &near, IN);
                harness.send(&far, b"");
                harness.wait(&epoll, "no byte into a stream");
                harness.close_all([near, far, epoll]);
            }

            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            let epoll = watch(harness, &near, IN);
            harness.send(&far, b"");
            harness.wait(&epoll, "a Unix datagram without a byte");
            harness.close_all([near, far, epoll]);

            let (near, here) = udp(harness);
            let (far, _) = udp(harness);
            let epoll = watch(harness, &near, IN);
            harness.k.sendto(&far, b"", &here).unwrap();
            harness.wait(&epoll, "a UDP datagram without a byte");
            harness.close_all([near, far, epoll]);
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
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            harness.k.write(&writer, &[b'p'; 65_536]).unwrap();
            let epoll = watch(harness, &writer, OUT);
            for len in [1, 4_094, 1] {
                harness.k.read(&reader, &mut vec![0; len]).unwrap();
                harness.wait(&epoll, &format!("{len} read"));
            }
            harness.close_all([reader, writer, epoll]);
        },
        &["1 read: []", "4094 read: []", "1 read: [1 OUT]"],
    );
}

#[test]
fn a_unix_socket_that_sends_has_no_name_until_it_is_bound() {
    same(
        |harness| {
            let (far, there) = unix(harness);
            let near = harness.k.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
            harness.k.sendto(&near, b"x", &there).unwrap();
            let reported = harness.k.recvfrom(&far, &mut [0; 8]);
            harness.read_and_record("from", reported);
            let name = harness.k.getsockname(&near);
            harness.read_and_record("name", name == Ok(Addr::Unix(UnixAddr::unnamed())));
            harness.close_all([near, far]);
        },
        &["from: Ok((1, Unspecified))", "name: true"],
    );
}
