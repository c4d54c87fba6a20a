//! Half-close, close and reset. TCP and Unix differ.

use epollite::event::EPOLLHUP;
use epollite::kernel::{Shutdown, SocketOption, SocketOptionName};

use crate::harness::{ALL, Harness};
use crate::same;

/// Runs on a pair whose `near` end is registered for all events.
pub(crate) fn with_registered_pair(
    harness: &mut Harness<'_>,
    is_tcp: bool,
    play: impl FnOnce(&mut Harness<'_>, &epollite::Fd, epollite::Fd, &epollite::Fd),
) {
    let (near, far) = harness.pair(is_tcp);
    let epoll = harness.epoll();
    harness.add(&epoll, &near, ALL, 1);
    harness.wait(&epoll, "idle");
    play(harness, &near, far, &epoll);
    harness.close_all([near, epoll]);
}

fn peer_shuts(harness: &mut Harness<'_>, is_tcp: bool) {
    with_registered_pair(harness, is_tcp, |harness, near, far, epoll| {
        harness.send(&far, b"bytes");
        harness.k.shutdown(&far, Shutdown::Write).unwrap();
        harness.wait(epoll, "bytes and end");
        harness.recv(near, 64).unwrap();
        harness.recv(near, 64).unwrap();
        harness.wait(epoll, "after the end was read");
        harness.k.shutdown(near, Shutdown::Write).unwrap();
        harness.wait(epoll, "both ends");
        harness.close(far);
    });
}

#[test]
fn tcp_half_close() {
    same(
        |harness| peer_shuts(harness, true),
        &[
            "idle: [1 OUT]",
            "bytes and end: [1 IN|OUT|RDHUP]",
            "recv 64: Ok(\"bytes\")",
            "recv 64: Ok(\"\")",
            "after the end was read: [1 IN|OUT|RDHUP]",
            "both ends: [1 IN|OUT|HUP|RDHUP]",
        ],
    );
}

#[test]
fn unix_half_close() {
    same(
        |harness| peer_shuts(harness, false),
        &[
            "idle: [1 OUT]",
            "bytes and end: [1 IN|OUT|RDHUP]",
            "recv 64: Ok(\"bytes\")",
            "recv 64: Ok(\"\")",
            "after the end was read: [1 IN|OUT|RDHUP]",
            "both ends: [1 IN|OUT|HUP|RDHUP]",
        ],
    );
}

fn peer_closes(harness: &mut Harness<'_>, is_tcp: bool) {
    with_registered_pair(harness, is_tcp, |harness, near, far, epoll| {
        harness.close(far);
        harness.wait(epoll, "closed");
        let sent = harness.k.send(near, b"x");
        harness.read_and_record("first send", sent);
        harness.wait(epoll, "after it");
        let sent = harness.k.send(near, b"x");
        harness.read_and_record("second send", sent);
        harness.wait(epoll, "after that");
        harness.recv(near, 8).unwrap();
    });
}

#[test]
fn tcp_close_lets_one_send_through() {
    same(
        |harness| peer_closes(harness, true),
        &[
            "idle: [1 OUT]",
            "closed: [1 IN|OUT|RDHUP]",
            "first send: Ok(1)",
            "after it: [1 IN|OUT|ERR|HUP|RDHUP]",
            "second send: Err(EPIPE)",
            "after that: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

#[test]
fn unix_close_hangs_up_at_once() {
    same(
        |harness| peer_closes(harness, false),
        &[
            "idle: [1 OUT]",
            "closed: [1 IN|OUT|HUP|RDHUP]",
            "first send: Err(EPIPE)",
            "after it: [1 IN|OUT|HUP|RDHUP]",
            "second send: Err(EPIPE)",
            "after that: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

fn peer_closes_with_unread_input(harness: &mut Harness<'_>, is_tcp: bool) {
    with_registered_pair(harness, is_tcp, |harness, near, far, epoll| {
        harness.send(near, b"never read");
        harness.close(far);
        harness.wait(epoll, "closed");
        harness.recv(near, 8).unwrap_err();
        harness.wait(epoll, "the error was taken");
        harness.recv(near, 8).unwrap();
    });
}

#[test]
fn tcp_close_with_unread_input_resets() {
    same(
        |harness| peer_closes_with_unread_input(harness, true),
        &[
            "idle: [1 OUT]",
            "closed: [1 IN|OUT|ERR|HUP|RDHUP]",
            "recv 8: Err(ECONNRESET)",
            "the error was taken: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

#[test]
fn unix_close_with_unread_input_resets() {
    same(
        |harness| peer_closes_with_unread_input(harness, false),
        &[
            "idle: [1 OUT]",
            "closed: [1 IN|OUT|ERR|HUP|RDHUP]",
            "recv 8: Err(ECONNRESET)",
            "the error was taken: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

fn bytes_then_reset(harness: &mut Harness<'_>, is_tcp: bool) {
    with_registered_pair(harness, is_tcp, |harness, near, far, epoll| {
        harness.send(&far, b"bytes");
        let linger = SocketOption::LingerSeconds(Some(0));
        harness.k.setsockopt(&far, linger).unwrap();
        harness.close(far);
        harness.wait(epoll, "bytes and reset");
        let _ = harness.recv(near, 2);
        let _ = harness.recv(near, 64);
        let _ = harness.recv(near, 64);
        let _ = harness.recv(near, 64);
        harness.wait(epoll, "all was read");
        let sent = harness.k.send(near, b"x");
        harness.read_and_record("send", sent);
        let error = harness.k.getsockopt(near, SocketOptionName::Error);
        harness.read_and_record("SO_ERROR", error);
    });
}

#[test]
fn tcp_linger_zero_resets_and_the_bytes_stay() {
    same(
        |harness| bytes_then_reset(harness, true),
        &[
            "idle: [1 OUT]",
            "bytes and reset: [1 IN|OUT|ERR|HUP|RDHUP]",
            "recv 2: Ok(\"by\")",
            "recv 64: Ok(\"tes\")",
            "recv 64: Err(ECONNRESET)",
            "recv 64: Ok(\"\")",
            "all was read: [1 IN|OUT|HUP|RDHUP]",
            "send: Err(EPIPE)",
            "SO_ERROR: Ok(Error(None))",
        ],
    );
}

#[test]
fn unix_sockets_ignore_so_linger() {
    same(
        |harness| bytes_then_reset(harness, false),
        &[
            "idle: [1 OUT]",
            "bytes and reset: [1 IN|OUT|HUP|RDHUP]",
            "recv 2: Ok(\"by\")",
            "recv 64: Ok(\"tes\")",
            "recv 64: Ok(\"\")",
            "recv 64: Ok(\"\")",
            "all was read: [1 IN|OUT|HUP|RDHUP]",
            "send: Err(EPIPE)",
            "SO_ERROR: Ok(Error(None))",
        ],
    );
}

#[test]
fn a_pending_error_is_one_slot() {
    same(
        |harness| {
            with_registered_pair(harness, true, |harness, near, far, epoll| {
                harness.send(near, b"unread");
                harness.close(far);
                for _ in 0..2 {
                    let error = harness.k.getsockopt(near, SocketOptionName::Error);
                    harness.read_and_record("SO_ERROR", error);
                }
                harness.wait(epoll, "taken");
                harness.recv(near, 8).unwrap();
            });
        },
        &[
            "idle: [1 OUT]",
            "SO_ERROR: Ok(Error(Some(ECONNRESET)))",
            "SO_ERROR: Ok(Error(None))",
            "taken: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

#[test]
fn send_after_reset_returns_the_pending_error_first() {
    same(
        |harness| {
            with_registered_pair(harness, true, |harness, near, far, _| {
                harness.send(near, b"unread");
                harness.close(far);
                harness.arrived(near, EPOLLHUP);
                for _ in 0..2 {
                    let sent = harness.k.send(near, b"x");
                    harness.read_and_record("send", sent);
                }
            });
        },
        &["idle: [1 OUT]", "send: Err(ECONNRESET)", "send: Err(EPIPE)"],
    );
}
