//! What differs between versions of Linux: each scenario says what each of them sees.
//!
//! Every test has its row in docs/kernels.md.

use epollite::sim::Version;
use epollite::{Addr, Fd, Kind, Shut, SocketOption};

use crate::machine::MACHINE;
use crate::messages::unix;
use crate::same;
use crate::stage::{ALL, ET, Stage};

/// What is seen where the running kernel is older than `changed`, and otherwise.
fn before<'t>(changed: Version, old: &'t [&'t str], new: &'t [&'t str]) -> &'t [&'t str] {
    if MACHINE.version < changed { old } else { new }
}

/// A datagram socket, watched for edges, that another one has named.
fn watched(stage: &mut Stage<'_>) -> (Fd, Fd) {
    let (socket, _) = unix(stage);
    let epoll = stage.epoll();
    stage.add(&epoll, &socket, ALL | ET, 1);
    stage.wait(&epoll, "registered");
    (socket, epoll)
}

fn send(stage: &mut Stage<'_>, socket: &Fd, len: usize, epoll: &Fd) {
    let sent = stage.k.send(socket, &vec![b'x'; len]);
    stage.see("send", sent);
    stage.wait(epoll, "after it");
}

#[test]
fn a_send_without_a_peer_is_an_edge_since_6_14() {
    same(
        |stage| {
            let (socket, epoll) = watched(stage);
            send(stage, &socket, 1, &epoll);
            stage.close_all([socket, epoll]);
        },
        before(
            Version::LINUX_6_14,
            &["registered: [1 OUT]", "send: Err(ENOTCONN)", "after it: []"],
            &["registered: [1 OUT]", "send: Err(ENOTCONN)", "after it: [1 OUT]"],
        ),
    );
}

#[test]
fn a_send_without_a_peer_on_a_shut_socket_is_epipe_since_6_14() {
    same(
        |stage| {
            let (socket, epoll) = watched(stage);
            stage.k.shutdown(&socket, Shut::Write).unwrap();
            send(stage, &socket, 1, &epoll);
            stage.close_all([socket, epoll]);
        },
        before(
            Version::LINUX_6_14,
            &["registered: [1 OUT]", "send: Err(ENOTCONN)", "after it: [1 OUT]"],
            &["registered: [1 OUT]", "send: Err(EPIPE)", "after it: [1 OUT]"],
        ),
    );
}

#[test]
fn a_send_without_a_peer_that_is_too_long_is_emsgsize_since_6_14() {
    same(
        |stage| {
            let (socket, epoll) = watched(stage);
            stage.k.setsockopt(&socket, SocketOption::SendBufferBytes(4_608)).unwrap();
            stage.k.shutdown(&socket, Shut::Write).unwrap();
            send(stage, &socket, 9_216 - 31, &epoll);
            stage.close_all([socket, epoll]);
        },
        before(
            Version::LINUX_6_14,
            &["registered: [1 OUT]", "send: Err(ENOTCONN)", "after it: [1 OUT]"],
            &["registered: [1 OUT]", "send: Err(EMSGSIZE)", "after it: [1 OUT]"],
        ),
    );
}

/// The peer dissolved the connection with our datagram unread: ECONNRESET is pending. To dissolve
/// our side too leaves the error where it is.
#[test]
fn a_send_without_a_peer_takes_the_pending_error_since_6_14() {
    same(
        |stage| {
            let (near, here) = unix(stage);
            let (far, there) = unix(stage);
            stage.k.connect(&near, &there).unwrap();
            stage.k.connect(&far, &here).unwrap();
            stage.send(&near, b"unread");
            stage.k.connect(&far, &Addr::Unspec).unwrap();
            stage.k.connect(&near, &Addr::Unspec).unwrap();
            for _ in 0..2 {
                let sent = stage.k.send(&near, b"x");
                stage.see("send", sent);
            }
            let error = stage.k.getsockopt(&near, epollite::OptionName::Error);
            stage.see("SO_ERROR", error);
            stage.close_all([near, far]);
        },
        before(
            Version::LINUX_6_14,
            &[
                "send: Err(ENOTCONN)",
                "send: Err(ENOTCONN)",
                "SO_ERROR: Ok(Error(Some(ECONNRESET)))",
            ],
            &["send: Err(ECONNRESET)", "send: Err(ENOTCONN)", "SO_ERROR: Ok(Error(None))"],
        ),
    );
}

#[test]
fn a_send_without_a_peer_and_without_room_is_eagain_since_6_14() {
    same(
        |stage| {
            let (near, _) = unix(stage);
            let (far, there) = unix(stage);
            stage.k.setsockopt(&near, SocketOption::SendBufferBytes(4_608)).unwrap();
            let mut sent = 0;
            // Few and large ones: the buffer is full before the receiver's queue is.
            while stage.k.sendto(&near, &[b'x'; 3_000], &there).is_ok() {
                sent += 1;
            }
            stage.see("some were sent", sent > 0);
            let more = stage.k.send(&near, b"x");
            stage.see("send", more);
            stage.close_all([near, far]);
        },
        before(
            Version::LINUX_6_14,
            &["some were sent: true", "send: Err(ENOTCONN)"],
            &["some were sent: true", "send: Err(EAGAIN)"],
        ),
    );
}

/// What holds on every version: a peer that is gone, and one that was there when we shut.
#[test]
fn a_peer_that_is_gone_is_told_once() {
    same(
        |stage| {
            let (near, _) = unix(stage);
            let (far, there) = unix(stage);
            stage.k.connect(&near, &there).unwrap();
            stage.close(far);
            for _ in 0..2 {
                let sent = stage.k.send(&near, b"x");
                stage.see("send", sent);
            }
            let (far, there) = unix(stage);
            stage.k.connect(&near, &there).unwrap();
            stage.k.shutdown(&near, Shut::Write).unwrap();
            let sent = stage.k.send(&near, b"x");
            stage.see("connected, then shut", sent);
            stage.close_all([near, far]);
        },
        &["send: Err(ECONNREFUSED)", "send: Err(ENOTCONN)", "connected, then shut: Err(EPIPE)"],
    );
}

#[test]
fn an_eventfd_refuses_more_than_eight_bytes_since_6_9() {
    same(
        |stage| {
            let eventfd = stage.k.eventfd(0).unwrap();
            let mut bytes = [0; 9];
            bytes[..8].copy_from_slice(&5_u64.to_ne_bytes());
            let written = stage.k.write(&eventfd, &bytes);
            stage.see("nine bytes", written);
            let read = stage.k.read(&eventfd, &mut bytes);
            stage.see("read nine", read);
            stage.close_all([eventfd]);
        },
        before(
            Version::LINUX_6_9,
            &["nine bytes: Ok(8)", "read nine: Ok(8)"],
            &["nine bytes: Err(EINVAL)", "read nine: Err(EAGAIN)"],
        ),
    );
}

#[test]
fn an_epoll_refuses_other_ioctls_with_einval_since_6_9() {
    same(
        |stage| {
            let epoll = stage.epoll();
            let queued = stage.k.ioctl_outq(&epoll);
            stage.see("SIOCOUTQ", queued);
            stage.close_all([epoll]);
        },
        before(Version::LINUX_6_9, &["SIOCOUTQ: Err(ENOTTY)"], &["SIOCOUTQ: Err(EINVAL)"]),
    );
}

/// A pipe that holds `len` bytes.
fn pipe_with(stage: &mut Stage<'_>, len: usize) -> (Fd, Fd) {
    let (reader, writer) = stage.k.pipe2().unwrap();
    assert_eq!(stage.k.write(&writer, &vec![b'p'; len]), Ok(len), "a pipe holds 16 pages");
    (reader, writer)
}

#[test]
fn a_splice_into_a_datagram_socket_is_one_message_since_6_5() {
    same(
        |stage| {
            let (near, far) = stage.k.socketpair(Kind::Datagram).unwrap();
            let (reader, writer) = pipe_with(stage, 6_000);
            let moved = stage.k.splice(&reader, &near, 6_000);
            stage.see("moved", moved);
            for _ in 0..3 {
                let read = stage.k.recv(&far, &mut [0; 8_000]);
                stage.see("message", read);
            }
            stage.close_all([near, far, reader, writer]);
        },
        before(
            Version::LINUX_6_5,
            &["moved: Ok(6000)", "message: Ok(4096)", "message: Ok(1904)", "message: Err(EAGAIN)"],
            &[
                "moved: Ok(6000)",
                "message: Ok(6000)",
                "message: Err(EAGAIN)",
                "message: Err(EAGAIN)",
            ],
        ),
    );
}

#[test]
fn a_splice_into_a_full_unix_stream_is_refused_since_6_5() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            stage.fill(&near);
            let (reader, writer) = pipe_with(stage, 8);
            let moved = stage.k.splice(&reader, &near, 8);
            stage.see("moved", moved);
            stage.close_all([near, far, reader, writer]);
        },
        before(
            Version::LINUX_6_5,
            &["no room: true", "moved: Ok(8)"],
            &["no room: true", "moved: Err(EAGAIN)"],
        ),
    );
}

#[test]
fn spliced_bytes_are_a_piece_of_their_own_since_6_5() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, ALL | ET, 1);
            stage.wait(&epoll, "registered");
            stage.send(&near, b"one");
            let (reader, writer) = pipe_with(stage, 3);
            let moved = stage.k.splice(&reader, &near, 3);
            stage.see("moved", moved);
            stage.recv(&far, 3).unwrap();
            stage.wait(&epoll, "the first piece was read");
            stage.recv(&far, 3).unwrap();
            stage.wait(&epoll, "all was read");
            stage.close_all([near, far, reader, writer, epoll]);
        },
        before(
            Version::LINUX_6_5,
            &[
                "registered: [1 OUT]",
                "moved: Ok(3)",
                "recv 3: Ok(\"one\")",
                "the first piece was read: []",
                "recv 3: Ok(\"ppp\")",
                "all was read: [1 OUT]",
            ],
            &[
                "registered: [1 OUT]",
                "moved: Ok(3)",
                "recv 3: Ok(\"one\")",
                "the first piece was read: [1 OUT]",
                "recv 3: Ok(\"ppp\")",
                "all was read: [1 OUT]",
            ],
        ),
    );
}

/// On every version: the pages of a pipe leave together, and the reset that answers comes after.
#[test]
fn a_splice_of_two_pages_into_tcp_is_not_stopped_by_the_reset_in_between() {
    same(
        |stage| {
            let (near, far) = stage.tcp_pair();
            stage.close(far);
            let (reader, writer) = pipe_with(stage, 6_000);
            let moved = stage.k.splice(&reader, &near, 6_000);
            stage.see("moved", moved);
            stage.settle();
            let sent = stage.k.send(&near, b"x");
            stage.see("send", sent);
            stage.close_all([near, reader, writer]);
        },
        &["moved: Ok(6000)", "send: Err(EPIPE)"],
    );
}

#[test]
fn every_test_here_is_a_row_of_the_page() {
    let page = include_str!("../../docs/kernels.md");
    let tests = include_str!("versions.rs").split("#[test]\nfn ").skip(1);
    for name in tests.filter_map(|rest| rest.split('(').next()) {
        let is_this = name == "every_test_here_is_a_row_of_the_page";
        assert!(is_this || page.contains(&format!("`{name}`")), "docs/kernels.md lacks {name}");
    }
}
