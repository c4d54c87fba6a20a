//! What comes unasked or unlooked-for: hang-ups that cannot be masked, edges of an end, and
//! what one's own shutdown does.

use epollite::{Errno, Family, Kind, Shut, SocketOption};

use crate::ends::watched;
use crate::same;
use crate::stage::{ALL, ET, IN, ONESHOT, OUT, Stage};

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
                stage.add(&epoll, &near, IN | OUT | ET, 1);
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
