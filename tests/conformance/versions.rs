//! Differences between versions of Linux: each scenario states what each version shows.
//!
//! Every test has its row in docs/kernels.md.

use epollite::kernel::{Shutdown, SocketOption, SocketType};
use epollite::sim::Version;
use epollite::{Addr, Fd};

use crate::datagrams::unix;
use crate::harness::{ALL, ET, Harness};
use crate::machine::MACHINE;
use crate::same;

/// The expectation where the running kernel is older than `changed`, and otherwise.
fn before<'t>(changed: Version, old: &'t [&'t str], new: &'t [&'t str]) -> &'t [&'t str] {
    if MACHINE.version < changed { old } else { new }
}

/// An edge-triggered datagram socket that another one has connected to.
fn registered_unconnected(harness: &mut Harness<'_>) -> (Fd, Fd) {
    let (socket, _) = unix(harness);
    let epoll = harness.epoll();
    harness.add(&epoll, &socket, ALL | ET, 1);
    harness.wait(&epoll, "registered");
    (socket, epoll)
}

fn send(harness: &mut Harness<'_>, socket: &Fd, len: usize, epoll: &Fd) {
    let sent = harness.k.send(socket, &vec![b'x'; len]);
    harness.read_and_record("send", sent);
    harness.wait(epoll, "after it");
}

#[test]
fn a_send_without_a_peer_is_an_edge_since_6_14() {
    same(
        |harness| {
            let (socket, epoll) = registered_unconnected(harness);
            send(harness, &socket, 1, &epoll);
            harness.close_all([socket, epoll]);
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
        |harness| {
            let (socket, epoll) = registered_unconnected(harness);
            harness.k.shutdown(&socket, Shutdown::Write).unwrap();
            send(harness, &socket, 1, &epoll);
            harness.close_all([socket, epoll]);
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
        |harness| {
            let (socket, epoll) = registered_unconnected(harness);
            harness.k.setsockopt(&socket, SocketOption::SendBufferBytes(4_608)).unwrap();
            harness.k.shutdown(&socket, Shutdown::Write).unwrap();
            send(harness, &socket, 9_216 - 31, &epoll);
            harness.close_all([socket, epoll]);
        },
        before(
            Version::LINUX_6_14,
            &["registered: [1 OUT]", "send: Err(ENOTCONN)", "after it: [1 OUT]"],
            &["registered: [1 OUT]", "send: Err(EMSGSIZE)", "after it: [1 OUT]"],
        ),
    );
}

/// The peer disconnected with our datagram unread: ECONNRESET is pending. Disconnecting our side
/// too leaves the error in place.
#[test]
fn a_send_without_a_peer_returns_the_pending_error_since_6_14() {
    same(
        |harness| {
            let (near, here) = unix(harness);
            let (far, there) = unix(harness);
            harness.k.connect(&near, &there).unwrap();
            harness.k.connect(&far, &here).unwrap();
            harness.send(&near, b"unread");
            harness.k.connect(&far, &Addr::Unspecified).unwrap();
            harness.k.connect(&near, &Addr::Unspecified).unwrap();
            for _ in 0..2 {
                let sent = harness.k.send(&near, b"x");
                harness.read_and_record("send", sent);
            }
            let error = harness.k.getsockopt(&near, epollite::kernel::SocketOptionName::Error);
            harness.read_and_record("SO_ERROR", error);
            harness.close_all([near, far]);
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
        |harness| {
            let (near, _) = unix(harness);
            let (far, there) = unix(harness);
            harness.k.setsockopt(&near, SocketOption::SendBufferBytes(4_608)).unwrap();
            let mut sent = 0;
            // Few and large ones: the send buffer is full before the receiver's queue is.
            while harness.k.sendto(&near, &[b'x'; 3_000], &there).is_ok() {
                sent += 1;
            }
            harness.read_and_record("some were sent", sent > 0);
            let more = harness.k.send(&near, b"x");
            harness.read_and_record("send", more);
            harness.close_all([near, far]);
        },
        before(
            Version::LINUX_6_14,
            &["some were sent: true", "send: Err(ENOTCONN)"],
            &["some were sent: true", "send: Err(EAGAIN)"],
        ),
    );
}

/// What holds on every version: a closed peer, and one that was open at our shutdown.
#[test]
fn a_closed_peer_is_reported_once() {
    same(
        |harness| {
            let (near, _) = unix(harness);
            let (far, there) = unix(harness);
            harness.k.connect(&near, &there).unwrap();
            harness.close(far);
            for _ in 0..2 {
                let sent = harness.k.send(&near, b"x");
                harness.read_and_record("send", sent);
            }
            let (far, there) = unix(harness);
            harness.k.connect(&near, &there).unwrap();
            harness.k.shutdown(&near, Shutdown::Write).unwrap();
            let sent = harness.k.send(&near, b"x");
            harness.read_and_record("connected, then shut", sent);
            harness.close_all([near, far]);
        },
        &["send: Err(ECONNREFUSED)", "send: Err(ENOTCONN)", "connected, then shut: Err(EPIPE)"],
    );
}

#[test]
fn an_eventfd_refuses_more_than_eight_bytes_since_6_9() {
    same(
        |harness| {
            let eventfd = harness.k.eventfd(0).unwrap();
            let mut bytes = [0; 9];
            bytes[..8].copy_from_slice(&5_u64.to_ne_bytes());
            let written = harness.k.write(&eventfd, &bytes);
            harness.read_and_record("nine bytes", written);
            let read = harness.k.read(&eventfd, &mut bytes);
            harness.read_and_record("read nine", read);
            harness.close_all([eventfd]);
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
        |harness| {
            let epoll = harness.epoll();
            let queued = harness.k.ioctl_outq(&epoll);
            harness.read_and_record("SIOCOUTQ", queued);
            harness.close_all([epoll]);
        },
        before(Version::LINUX_6_9, &["SIOCOUTQ: Err(ENOTTY)"], &["SIOCOUTQ: Err(EINVAL)"]),
    );
}

/// A pipe with a capacity of `len` bytes.
fn pipe_with(harness: &mut Harness<'_>, len: usize) -> (Fd, Fd) {
    let (reader, writer) = harness.k.pipe2().unwrap();
    assert_eq!(harness.k.write(&writer, &vec![b'p'; len]), Ok(len), "a pipe holds 16 pages");
    (reader, writer)
}

#[test]
fn a_splice_into_a_datagram_socket_is_one_message_since_6_5() {
    same(
        |harness| {
            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            let (reader, writer) = pipe_with(harness, 6_000);
            let moved = harness.k.splice(&reader, &near, 6_000);
            harness.read_and_record("moved", moved);
            for _ in 0..3 {
                let read = harness.k.recv(&far, &mut [0; 8_000]);
                harness.read_and_record("message", read);
            }
            harness.close_all([near, far, reader, writer]);
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
        |harness| {
            let (near, far) = harness.unix_pair();
            harness.fill(&near);
            let (reader, writer) = pipe_with(harness, 8);
            let moved = harness.k.splice(&reader, &near, 8);
            harness.read_and_record("moved", moved);
            harness.close_all([near, far, reader, writer]);
        },
        before(
            Version::LINUX_6_5,
            &["full: true", "moved: Ok(8)"],
            &["full: true", "moved: Err(EAGAIN)"],
        ),
    );
}

#[test]
fn spliced_bytes_are_a_piece_of_their_own_since_6_5() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, ALL | ET, 1);
            harness.wait(&epoll, "registered");
            harness.send(&near, b"one");
            let (reader, writer) = pipe_with(harness, 3);
            let moved = harness.k.splice(&reader, &near, 3);
            harness.read_and_record("moved", moved);
            harness.recv(&far, 3).unwrap();
            harness.wait(&epoll, "the first piece was read");
            harness.recv(&far, 3).unwrap();
            harness.wait(&epoll, "all was read");
            harness.close_all([near, far, reader, writer, epoll]);
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

/// On every version: the pages of a pipe are sent together, and the reset in response comes after.
#[test]
fn a_splice_of_two_pages_into_tcp_is_not_stopped_by_the_reset_in_between() {
    same(
        |harness| {
            let (near, far) = harness.tcp_pair();
            harness.close(far);
            let (reader, writer) = pipe_with(harness, 6_000);
            let moved = harness.k.splice(&reader, &near, 6_000);
            harness.read_and_record("moved", moved);
            harness.wait_idle();
            let sent = harness.k.send(&near, b"x");
            harness.read_and_record("send", sent);
            harness.close_all([near, reader, writer]);
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
