//! Ends: half-close, close, reset. TCP and Unix differ.

use epollite::event::EPOLLHUP;
use epollite::{OptionName, Shut, SocketOption};

use crate::same;
use crate::stage::{ALL, Stage};

/// Plays on a pair of which `near` is watched for everything.
pub(crate) fn watched(
    stage: &mut Stage<'_>,
    is_tcp: bool,
    play: impl FnOnce(&mut Stage<'_>, &epollite::Fd, epollite::Fd, &epollite::Fd),
) {
    let (near, far) = stage.pair(is_tcp);
    let epoll = stage.epoll();
    stage.add(&epoll, &near, ALL, 1);
    stage.wait(&epoll, "idle");
    play(stage, &near, far, &epoll);
    stage.close_all([near, epoll]);
}

fn peer_shuts(stage: &mut Stage<'_>, is_tcp: bool) {
    watched(stage, is_tcp, |stage, near, far, epoll| {
        stage.send(&far, b"bytes");
        stage.k.shutdown(&far, Shut::Write).unwrap();
        stage.wait(epoll, "bytes and end");
        stage.recv(near, 64).unwrap();
        stage.recv(near, 64).unwrap();
        stage.wait(epoll, "after the end was read");
        stage.k.shutdown(near, Shut::Write).unwrap();
        stage.wait(epoll, "both ends");
        stage.close(far);
    });
}

#[test]
fn tcp_half_close() {
    same(
        |stage| peer_shuts(stage, true),
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
        |stage| peer_shuts(stage, false),
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

fn peer_closes(stage: &mut Stage<'_>, is_tcp: bool) {
    watched(stage, is_tcp, |stage, near, far, epoll| {
        stage.close(far);
        stage.wait(epoll, "closed");
        let sent = stage.k.send(near, b"x");
        stage.see("first send", sent);
        stage.wait(epoll, "after it");
        let sent = stage.k.send(near, b"x");
        stage.see("second send", sent);
        stage.wait(epoll, "after that");
        stage.recv(near, 8).unwrap();
    });
}

#[test]
fn tcp_close_lets_one_send_through() {
    same(
        |stage| peer_closes(stage, true),
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
        |stage| peer_closes(stage, false),
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

fn peer_closes_with_unread_input(stage: &mut Stage<'_>, is_tcp: bool) {
    watched(stage, is_tcp, |stage, near, far, epoll| {
        stage.send(near, b"never read");
        stage.close(far);
        stage.wait(epoll, "closed");
        stage.recv(near, 8).unwrap_err();
        stage.wait(epoll, "the error was taken");
        stage.recv(near, 8).unwrap();
    });
}

#[test]
fn tcp_close_with_unread_input_resets() {
    same(
        |stage| peer_closes_with_unread_input(stage, true),
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
        |stage| peer_closes_with_unread_input(stage, false),
        &[
            "idle: [1 OUT]",
            "closed: [1 IN|OUT|ERR|HUP|RDHUP]",
            "recv 8: Err(ECONNRESET)",
            "the error was taken: [1 IN|OUT|HUP|RDHUP]",
            "recv 8: Ok(\"\")",
        ],
    );
}

fn bytes_then_reset(stage: &mut Stage<'_>, is_tcp: bool) {
    watched(stage, is_tcp, |stage, near, far, epoll| {
        stage.send(&far, b"bytes");
        let linger = SocketOption::LingerSeconds(Some(0));
        stage.k.setsockopt(&far, linger).unwrap();
        stage.close(far);
        stage.wait(epoll, "bytes and reset");
        let _ = stage.recv(near, 2);
        let _ = stage.recv(near, 64);
        let _ = stage.recv(near, 64);
        let _ = stage.recv(near, 64);
        stage.wait(epoll, "all was read");
        let sent = stage.k.send(near, b"x");
        stage.see("send", sent);
        let error = stage.k.getsockopt(near, OptionName::Error);
        stage.see("SO_ERROR", error);
    });
}

#[test]
fn tcp_linger_zero_resets_and_the_bytes_stay() {
    same(
        |stage| bytes_then_reset(stage, true),
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
fn unix_knows_no_linger() {
    same(
        |stage| bytes_then_reset(stage, false),
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
        |stage| {
            watched(stage, true, |stage, near, far, epoll| {
                stage.send(near, b"unread");
                stage.close(far);
                for _ in 0..2 {
                    let error = stage.k.getsockopt(near, OptionName::Error);
                    stage.see("SO_ERROR", error);
                }
                stage.wait(epoll, "taken");
                stage.recv(near, 8).unwrap();
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
fn sending_into_a_reset_connection_tells_the_error_first() {
    same(
        |stage| {
            watched(stage, true, |stage, near, far, _| {
                stage.send(near, b"unread");
                stage.close(far);
                stage.arrived(near, EPOLLHUP);
                for _ in 0..2 {
                    let sent = stage.k.send(near, b"x");
                    stage.see("send", sent);
                }
            });
        },
        &["idle: [1 OUT]", "send: Err(ECONNRESET)", "send: Err(EPIPE)"],
    );
}
