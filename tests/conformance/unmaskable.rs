//! Events without interest or without an arrival: hang-ups that cannot be masked, edges of a FIN,
//! and the effect of one's own shutdown.

use epollite::Errno;
use epollite::kernel::{Shutdown, SocketOption, SocketType};
use epollite::net::AddressFamily;

use crate::harness::{ALL, ET, Harness, IN, ONESHOT, OUT};
use crate::same;
use crate::shutdown::with_registered_pair;

fn unconnected(harness: &mut Harness<'_>, family: AddressFamily) {
    let socket = harness.k.socket(family, SocketType::Stream).unwrap();
    let epoll = harness.epoll();
    harness.add(&epoll, &socket, ALL, 1);
    harness.wait(&epoll, "never connected");
    let read = harness.k.recv(&socket, &mut [0; 1]);
    harness.read_and_record("recv", read);
    let sent = harness.k.send(&socket, b"x");
    harness.read_and_record("send", sent);
    let shut = harness.k.shutdown(&socket, Shutdown::Both);
    harness.read_and_record("shutdown", shut);
    let peer = harness.k.getpeername(&socket);
    harness.read_and_record("peer", peer);
    harness.close_all([socket, epoll]);
}

#[test]
fn a_fresh_tcp_socket_hangs_up() {
    same(
        |harness| unconnected(harness, AddressFamily::Inet),
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
        |harness| unconnected(harness, AddressFamily::Unix),
        &[
            "never connected: [1 OUT|HUP]",
            "recv: Err(EINVAL)",
            "send: Err(ENOTCONN)",
            "shutdown: Ok(())",
            "peer: Err(ENOTCONN)",
        ],
    );
}

/// Empty interest: only events that cannot be masked are reported.
fn without_interest(harness: &mut Harness<'_>, is_tcp: bool, is_reset: bool) {
    let (near, far) = harness.pair(is_tcp);
    let epoll = harness.epoll();
    harness.add(&epoll, &near, 0, 1);
    harness.wait(&epoll, "idle");
    harness.send(&far, b"bytes");
    harness.wait(&epoll, "bytes");
    if is_reset {
        let linger = SocketOption::LingerSeconds(Some(0));
        harness.k.setsockopt(&far, linger).unwrap();
    }
    harness.close(far);
    harness.wait(&epoll, "closed");
    harness.wait(&epoll, "and again");
    harness.close_all([near, epoll]);
}

#[test]
fn interest_zero_a_tcp_end_is_silent() {
    same(
        |harness| without_interest(harness, true, false),
        &["idle: []", "bytes: []", "closed: []", "and again: []"],
    );
}

#[test]
fn interest_zero_a_tcp_reset_spins() {
    same(
        |harness| without_interest(harness, true, true),
        &["idle: []", "bytes: []", "closed: [1 ERR|HUP]", "and again: [1 ERR|HUP]"],
    );
}

#[test]
fn interest_zero_a_unix_close_spins() {
    same(
        |harness| without_interest(harness, false, false),
        &["idle: []", "bytes: []", "closed: [1 HUP]", "and again: [1 HUP]"],
    );
}

/// The edge sequence of a connection: register, data, FIN, again, close.
fn edges_of_an_end(harness: &mut Harness<'_>, is_tcp: bool) {
    let (near, far) = harness.pair(is_tcp);
    let epoll = harness.epoll();
    harness.add(&epoll, &near, ALL | ET, 1);
    harness.wait(&epoll, "registered");
    harness.send(&far, b"bytes");
    harness.wait(&epoll, "data");
    harness.k.shutdown(&far, Shutdown::Write).unwrap();
    harness.wait(&epoll, "end");
    harness.wait(&epoll, "again");
    harness.close(far);
    harness.wait(&epoll, "close");
    harness.close_all([near, epoll]);
}

#[test]
fn tcp_edges_of_an_end() {
    same(
        |harness| edges_of_an_end(harness, true),
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
        |harness| edges_of_an_end(harness, false),
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
fn a_disarmed_oneshot_reports_no_hup() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, ALL | ONESHOT, 1);
                harness.wait(&epoll, "fires");
                harness.close(far);
                harness.wait(&epoll, "closed");
                harness.close_all([near, epoll]);
            },
            &["fires: [1 OUT]", "closed: []"],
        );
    }
}

#[test]
fn shut_rd_reads_eof_and_notifies_the_unix_peer() {
    for is_tcp in [true, false] {
        let reported = if is_tcp { "send: Ok(1)" } else { "send: Err(EPIPE)" };
        let last = if is_tcp { "recv 8: Ok(\"x\")" } else { "recv 8: Ok(\"\")" };
        same(
            |harness| {
                with_registered_pair(harness, is_tcp, |harness, near, far, epoll| {
                    harness.k.shutdown(near, Shutdown::Read).unwrap();
                    harness.recv(near, 8).unwrap();
                    let sent = harness.k.send(&far, b"x");
                    harness.read_and_record("send", sent);
                    harness.recv(near, 8).unwrap();
                    let _ = epoll;
                    harness.close(far);
                });
            },
            &["idle: [1 OUT]", "recv 8: Ok(\"\")", reported, last],
        );
    }
}

#[test]
fn writing_after_both_directions_were_shut_breaks_tcp() {
    same(
        |harness| {
            with_registered_pair(harness, true, |harness, near, far, epoll| {
                harness.k.shutdown(near, Shutdown::Both).unwrap();
                harness.wait(epoll, "shut");
                let sent = harness.k.send(&far, b"x");
                harness.read_and_record("peer sends", sent);
                harness.wait(epoll, "reset");
                let sent = harness.k.send(&far, b"x");
                harness.read_and_record("peer sends again", sent);
                harness.close(far);
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
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | OUT | ET, 1);
                harness.wait(&epoll, "registered");
                harness.k.shutdown(&near, Shutdown::Write).unwrap();
                harness.wait(&epoll, "shut");
                let sent = harness.k.send(&near, b"x");
                assert_eq!(sent, Err(Errno::EPIPE));
                harness.close_all([near, far, epoll]);
            },
            &["registered: [1 OUT]", "shut: [1 OUT]"],
        );
    }
}
