//! Ends: half-close, close, reset, and who hears of them unasked. TCP and Unix differ.

use epollite::{Errno, Family, Kind, OptionName, Shut, SocketOption};

use crate::same;
use crate::stage::{ALL, ET, IN, ONESHOT, Stage};

/// Plays on a pair of which `near` is watched for everything.
fn watched(
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
                for _ in 0..2 {
                    let sent = stage.k.send(near, b"x");
                    stage.see("send", sent);
                }
            });
        },
        &["idle: [1 OUT]", "send: Err(ECONNRESET)", "send: Err(EPIPE)"],
    );
}

fn fresh(stage: &mut Stage<'_>, family: Family) {
    let socket = stage.k.socket(family, Kind::Stream).unwrap();
    let epoll = stage.epoll();
    stage.add(&epoll, &socket, ALL, 1);
    stage.wait(&epoll, "never connected");
    let read = stage.k.recv(&socket, &mut [0; 1]);
    stage.see("recv", read);
    let sent = stage.k.send(&socket, b"x");
    stage.see("send", sent);
    let shut = stage.k.shutdown(&socket, Shut::Both);
    stage.see("shutdown", shut);
    let peer = stage.k.getpeername(&socket);
    stage.see("peer", peer);
    stage.close_all([socket, epoll]);
}

#[test]
fn a_fresh_tcp_socket_hangs_up() {
    same(
        |stage| fresh(stage, Family::Inet),
        &[
            "never connected: [1 OUT|HUP]",
            "recv: Err(ENOTCONN)",
            "send: Err(EPIPE)",
            "shutdown: Err(ENOTCONN)",
            "peer: Err(ENOTCONN)",
        ],
    );
}

#[test]
fn a_fresh_unix_socket_hangs_up() {
    same(
        |stage| fresh(stage, Family::Unix),
        &[
            "never connected: [1 OUT|HUP]",
            "recv: Err(EINVAL)",
            "send: Err(ENOTCONN)",
            "shutdown: Ok(())",
            "peer: Err(ENOTCONN)",
        ],
    );
}

/// Interest in nothing: what comes is what cannot be masked.
fn unasked(stage: &mut Stage<'_>, is_tcp: bool, is_reset: bool) {
    let (near, far) = stage.pair(is_tcp);
    let epoll = stage.epoll();
    stage.add(&epoll, &near, 0, 1);
    stage.wait(&epoll, "idle");
    stage.send(&far, b"bytes");
    stage.wait(&epoll, "bytes");
    if is_reset {
        let linger = SocketOption::LingerSeconds(Some(0));
        stage.k.setsockopt(&far, linger).unwrap();
    }
    stage.close(far);
    stage.wait(&epoll, "closed");
    stage.wait(&epoll, "and again");
    stage.close_all([near, epoll]);
}

#[test]
fn interest_zero_a_tcp_end_is_silent() {
    same(
        |stage| unasked(stage, true, false),
        &["idle: []", "bytes: []", "closed: []", "and again: []"],
    );
}

#[test]
fn interest_zero_a_tcp_reset_spins() {
    same(
        |stage| unasked(stage, true, true),
        &["idle: []", "bytes: []", "closed: [1 ERR|HUP]", "and again: [1 ERR|HUP]"],
    );
}

#[test]
fn interest_zero_a_unix_close_spins() {
    same(
        |stage| unasked(stage, false, false),
        &["idle: []", "bytes: []", "closed: [1 HUP]", "and again: [1 HUP]"],
    );
}

/// FIELD's row of edges: register, data, end, again, close.
fn edges_of_an_end(stage: &mut Stage<'_>, is_tcp: bool) {
    let (near, far) = stage.pair(is_tcp);
    let epoll = stage.epoll();
    stage.add(&epoll, &near, ALL | ET, 1);
    stage.wait(&epoll, "registered");
    stage.send(&far, b"bytes");
    stage.wait(&epoll, "data");
    stage.k.shutdown(&far, Shut::Write).unwrap();
    stage.wait(&epoll, "end");
    stage.wait(&epoll, "again");
    stage.close(far);
    stage.wait(&epoll, "close");
    stage.close_all([near, epoll]);
}

#[test]
fn tcp_edges_of_an_end() {
    same(
        |stage| edges_of_an_end(stage, true),
        &[
            "registered: [1 OUT]",
            "data: [1 IN|OUT]",
            "end: [1 IN|OUT|RDHUP]",
            "again: []",
            "close: []",
        ],
    );
}

#[test]
fn unix_edges_of_an_end() {
    same(
        |stage| edges_of_an_end(stage, false),
        &[
            "registered: [1 OUT]",
            "data: [1 IN|OUT]",
            "end: [1 IN|OUT|RDHUP]",
            "again: []",
            "close: [1 IN|OUT|HUP|RDHUP]",
        ],
    );
}

#[test]
fn one_shot_disarmed_hears_of_no_end() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, ALL | ONESHOT, 1);
                stage.wait(&epoll, "fires");
                stage.close(far);
                stage.wait(&epoll, "closed");
                stage.close_all([near, epoll]);
            },
            &["fires: [1 OUT]", "closed: []"],
        );
    }
}

#[test]
fn who_shuts_its_reading_reads_an_end_and_the_peer_of_a_unix_socket_knows() {
    for is_tcp in [true, false] {
        let told = if is_tcp { "send: Ok(1)" } else { "send: Err(EPIPE)" };
        let last = if is_tcp { "recv 8: Ok(\"x\")" } else { "recv 8: Ok(\"\")" };
        same(
            |stage| {
                watched(stage, is_tcp, |stage, near, far, epoll| {
                    stage.k.shutdown(near, Shut::Read).unwrap();
                    stage.recv(near, 8).unwrap();
                    let sent = stage.k.send(&far, b"x");
                    stage.see("send", sent);
                    stage.recv(near, 8).unwrap();
                    let _ = epoll;
                    stage.close(far);
                });
            },
            &["idle: [1 OUT]", "recv 8: Ok(\"\")", told, last],
        );
    }
}

#[test]
fn writing_after_both_directions_were_shut_breaks_tcp() {
    same(
        |stage| {
            watched(stage, true, |stage, near, far, epoll| {
                stage.k.shutdown(near, Shut::Both).unwrap();
                stage.wait(epoll, "shut");
                let sent = stage.k.send(&far, b"x");
                stage.see("peer sends", sent);
                stage.wait(epoll, "reset");
                let sent = stage.k.send(&far, b"x");
                stage.see("peer sends again", sent);
                stage.close(far);
            });
        },
        &[
            "idle: [1 OUT]",
            "shut: [1 IN|OUT|HUP|RDHUP]",
            "peer sends: Ok(1)",
            "reset: [1 IN|OUT|ERR|HUP|RDHUP]",
            "peer sends again: Err(EPIPE)",
        ],
    );
}

#[test]
fn an_own_shutdown_is_an_edge_too() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | crate::stage::OUT | ET, 1);
                stage.wait(&epoll, "registered");
                stage.k.shutdown(&near, Shut::Write).unwrap();
                stage.wait(&epoll, "shut");
                let sent = stage.k.send(&near, b"x");
                assert_eq!(sent, Err(Errno::EPIPE));
                stage.close_all([near, far, epoll]);
            },
            &["registered: [1 OUT]", "shut: [1 OUT]"],
        );
    }
}
