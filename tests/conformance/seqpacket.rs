//! Sequenced packets: connections that keep the boundaries of messages.

use epollite::kernel::{OutgoingMessage, ReceiveMode, Shutdown, SocketType};
use epollite::net::AddressFamily;
use epollite::{Errno, Fd};

use crate::harness::{ALL, ET, Harness, OUT};
use crate::same;

impl Harness<'_> {
    fn seqpacket_pair(&mut self) -> (Fd, Fd) {
        self.k.socketpair(SocketType::SeqPacket).unwrap()
    }
}

#[test]
fn a_receive_takes_one_message() {
    same(
        |harness| {
            let (near, far) = harness.seqpacket_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &far, ALL | ET, 1);
            harness.wait(&epoll, "idle");
            harness.send(&near, b"one");
            harness.send(&near, b"");
            harness.send(&near, b"three");
            harness.wait(&epoll, "three messages");
            for size in [16, 16, 2, 16] {
                let _ = harness.recv(&far, size);
            }
            harness.wait(&epoll, "read");
            harness.close_all([near, far, epoll]);
        },
        &[
            "idle: [1 OUT]",
            "three messages: [1 IN|OUT]",
            "recv 16: Ok(\"one\")",
            "recv 16: Ok(\"\")",
            "recv 2: Ok(\"th\")",
            "recv 16: Err(EAGAIN)",
            "read: []",
        ],
    );
}

#[test]
fn an_end_looks_like_an_empty_message() {
    same(
        |harness| {
            let (near, far) = harness.seqpacket_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &far, ALL, 1);
            harness.send(&near, b"");
            let shut = harness.k.shutdown(&near, Shutdown::Write);
            harness.record(format!("shutdown {shut:?}"));
            harness.wait(&epoll, "shut");
            for _ in 0..3 {
                let _ = harness.recv(&far, 16);
            }
            harness.wait(&epoll, "read");
            harness.send(&far, b"the other way");
            let _ = harness.recv(&near, 16);
            let sent = harness.k.send(&near, b"x");
            harness.record(format!("sent {sent:?}"));
            harness.close_all([near]);
            harness.wait(&epoll, "closed");
            let sent = harness.k.send(&far, b"x");
            harness.record(format!("sent {sent:?}"));
            let _ = harness.recv(&far, 16);
            harness.close_all([far, epoll]);
        },
        &[
            "shutdown Ok(())",
            "shut: [1 IN|OUT|RDHUP]",
            "recv 16: Ok(\"\")",
            "recv 16: Ok(\"\")",
            "recv 16: Ok(\"\")",
            "read: [1 IN|OUT|RDHUP]",
            "recv 16: Ok(\"the other way\")",
            "sent Err(EPIPE)",
            "closed: [1 IN|OUT|HUP|RDHUP]",
            "sent Err(EPIPE)",
            "recv 16: Ok(\"\")",
        ],
    );
}

#[test]
fn a_close_with_unread_messages_is_an_error_before_what_is_left() {
    same(
        |harness| {
            let (near, far) = harness.seqpacket_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &far, ALL, 1);
            harness.send(&near, b"left");
            harness.send(&far, b"unread");
            harness.close_all([near]);
            harness.wait(&epoll, "closed");
            for _ in 0..3 {
                let _ = harness.recv(&far, 16);
            }
            harness.wait(&epoll, "read");
            harness.close_all([far, epoll]);
        },
        &[
            "closed: [1 IN|OUT|ERR|HUP|RDHUP]",
            "recv 16: Err(ECONNRESET)",
            "recv 16: Ok(\"left\")",
            "recv 16: Ok(\"\")",
            "read: [1 IN|OUT|HUP|RDHUP]",
        ],
    );
}

#[test]
fn connections_are_listened_for_and_accepted() {
    same(
        |harness| {
            let (listener, addr) = harness.unix_listener_of(SocketType::SeqPacket, 0);
            let epoll = harness.epoll();
            harness.add(&epoll, &listener, ALL, 1);
            let client = harness.k.socket(AddressFamily::Unix, SocketType::SeqPacket).unwrap();
            harness.add(&epoll, &client, ALL, 2);
            harness.wait(&epoll, "fresh");
            let early = (harness.k.send(&client, b"x"), harness.k.recv(&client, &mut [0; 8]));
            harness.record(format!("early {early:?}"));
            let connected = harness.k.connect(&client, &addr);
            harness.record(format!("connected {connected:?}"));
            let late = harness.k.socket(AddressFamily::Unix, SocketType::SeqPacket).unwrap();
            let refused = harness.k.connect(&late, &addr);
            harness.record(format!("the queue is full {refused:?}"));
            let stream = harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
            let refused = harness.k.connect(&stream, &addr);
            harness.record(format!("a stream {refused:?}"));
            harness.send(&client, b"before it is accepted");
            harness.wait(&epoll, "connected");
            let (accepted, _) = harness.k.accept4(&listener).unwrap();
            let _ = harness.recv(&accepted, 64);
            harness.send(&accepted, b"hello");
            let received =
                harness.k.recv_message(&client, &mut [&mut [0; 8]], ReceiveMode::Consume);
            harness.record(format!("from it: {}", received.is_ok_and(|it| it.from == addr)));
            let again = harness.k.connect(&client, &addr);
            harness.record(format!("again {again:?}"));
            harness.close_all([listener, late, stream, client, accepted, epoll]);
        },
        &[
            "fresh: [2 OUT|HUP]",
            "early (Err(ENOTCONN), Err(ENOTCONN))",
            "connected Ok(())",
            "the queue is full Err(EAGAIN)",
            "a stream Err(ECONNREFUSED)",
            "connected: [2 OUT, 1 IN]",
            "recv 64: Ok(\"before it is accepted\")",
            "from it: true",
            "again Err(EISCONN)",
        ],
    );
}

#[test]
fn a_full_buffer_is_writable_again_when_messages_were_read() {
    same(
        |harness| {
            let (near, far) = harness.seqpacket_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, OUT | ET, 1);
            harness.wait(&epoll, "registered");
            let too_long = harness.k.send(&near, &vec![0; 20 << 20]);
            harness.record(format!("too long {:?}", too_long.unwrap_err()));
            let mut sent = 0;
            while harness.k.send(&near, &[7; 1000]).is_ok() {
                sent += 1;
            }
            let mut read = 0;
            while harness.poll_now(&epoll, 4).is_empty() && read < sent {
                harness.k.recv(&far, &mut [0; 1000]).unwrap();
                read += 1;
            }
            harness.record(format!("writable after some: {}", 0 < read && read < sent));
            harness.close_all([near, far, epoll]);
        },
        &["registered: [1 OUT]", "too long EMSGSIZE", "writable after some: true"],
    );
}

#[test]
fn a_message_of_several_buffers_and_a_descriptor_is_one() {
    same(
        |harness| {
            let (near, far) = harness.seqpacket_pair();
            let eventfd = harness.k.eventfd(1).unwrap();
            let message = OutgoingMessage {
                bufs: &[b"he", b"llo"],
                descriptors: &[&eventfd],
                ..OutgoingMessage::default()
            };
            let sent = harness.k.send_message(&near, &message);
            harness.record(format!("sent {sent:?}"));
            let mut buf = [0; 4];
            let mut received =
                harness.k.recv_message(&far, &mut [&mut buf], ReceiveMode::Consume).unwrap();
            let passed = received.descriptors.take().unwrap().into_fd_as_is();
            harness.record(format!("{} {} {buf:?}", received.len_bytes, received.is_truncated));
            assert_eq!(harness.k.read(&passed, &mut [0; 8]), Ok(8));
            assert_eq!(harness.k.recv(&far, &mut buf), Err(Errno::EAGAIN));
            harness.close_all([near, far, eventfd, passed]);
        },
        &["sent Ok(5)", "4 true [104, 101, 108, 108]"],
    );
}

#[test]
fn only_unix_has_them() {
    same(
        |harness| {
            let socket = harness.k.socket(AddressFamily::Inet, SocketType::SeqPacket);
            harness.record(format!("{socket:?}"));
        },
        &["Err(ESOCKTNOSUPPORT)"],
    );
}
