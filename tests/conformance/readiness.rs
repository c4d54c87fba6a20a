//! Edge and level: what counts as an arrival, and what is reported without one.

use crate::harness::{ET, IN, ONESHOT, OUT, RDHUP};
use crate::same;

#[test]
fn each_arrival_is_one_edge() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | ET, 1);
                harness.send(&far, b"a");
                harness.wait(&epoll, "first byte");
                harness.wait(&epoll, "nothing new");
                harness.send(&far, b"b");
                harness.wait(&epoll, "second byte, the first unread");
                harness.close_all([near, far, epoll]);
            },
            &["first byte: [1 IN]", "nothing new: []", "second byte, the first unread: [1 IN]"],
        );
    }
}

#[test]
fn two_arrivals_before_a_wait_are_one_edge() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | ET, 1);
                harness.send(&far, b"a");
                harness.send(&far, b"b");
                harness.wait(&epoll, "both");
                harness.wait(&epoll, "again");
                harness.close_all([near, far, epoll]);
            },
            &["both: [1 IN]", "again: []"],
        );
    }
}

#[test]
fn leftover_data_is_no_edge_until_mod() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | ET, 1);
                harness.send(&far, b"residue");
                harness.wait(&epoll, "arrival");
                harness.recv(&near, 3).unwrap();
                harness.wait(&epoll, "after a partial read");
                harness.modify(&epoll, &near, IN | ET, 1);
                harness.wait(&epoll, "after MOD with the same mask");
                harness.close_all([near, far, epoll]);
            },
            &[
                "arrival: [1 IN]",
                "recv 3: Ok(\"res\")",
                "after a partial read: []",
                "after MOD with the same mask: [1 IN]",
            ],
        );
    }
}

#[test]
fn a_level_is_reported_until_it_is_read() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN, 1);
                harness.send(&far, b"ab");
                harness.wait(&epoll, "arrival");
                harness.recv(&near, 1).unwrap();
                harness.wait(&epoll, "one byte left");
                harness.recv(&near, 1).unwrap();
                harness.wait(&epoll, "none left");
                harness.close_all([near, far, epoll]);
            },
            &[
                "arrival: [1 IN]",
                "recv 1: Ok(\"a\")",
                "one byte left: [1 IN]",
                "recv 1: Ok(\"b\")",
                "none left: []",
            ],
        );
    }
}

#[test]
fn registering_late_loses_nothing() {
    for trigger in [0, ET, ONESHOT, ET | ONESHOT] {
        same(
            |harness| {
                let (near, far) = harness.unix_pair();
                harness.send(&far, b"early");
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | trigger, 1);
                harness.wait(&epoll, "at once");
                harness.close_all([near, far, epoll]);
            },
            &["at once: [1 IN]"],
        );
    }
}

#[test]
fn eof_behind_data_is_reported_once_and_only_with_rdhup() {
    for (interest, first) in
        [(IN, "bytes and end: [1 IN]"), (IN | RDHUP, "bytes and end: [1 IN|RDHUP]")]
    {
        same(
            |harness| {
                let (near, far) = harness.tcp_pair();
                let epoll = harness.epoll();
                harness.add(&epoll, &near, interest | ET, 1);
                harness.send(&far, b"last words");
                harness.close(far);
                harness.wait(&epoll, "bytes and end");
                harness.recv(&near, 64).unwrap();
                harness.wait(&epoll, "after a short read");
                harness.recv(&near, 64).unwrap();
                harness.close_all([near, epoll]);
            },
            &[first, "recv 64: Ok(\"last words\")", "after a short read: []", "recv 64: Ok(\"\")"],
        );
    }
}

#[test]
fn edge_listener_needs_accept_until_eagain() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let epoll = harness.epoll();
            harness.add(&epoll, &listener, IN | ET, 1);
            let first = [harness.client(&addr), harness.client(&addr), harness.client(&addr)];
            harness.wait(&epoll, "three");
            let (accepted, _) = harness.k.accept4(&listener).unwrap();
            harness.wait(&epoll, "after one accept");
            let fourth = harness.client(&addr);
            harness.wait(&epoll, "another arrived");
            harness.close_all(first);
            harness.close_all([accepted, fourth, listener, epoll]);
        },
        &["three: [1 IN]", "after one accept: []", "another arrived: [1 IN]"],
    );
}

#[test]
fn a_fired_oneshot_reports_nothing_until_mod() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let epoll = harness.epoll();
                harness.add(&epoll, &near, IN | ONESHOT, 1);
                harness.send(&far, b"a");
                harness.wait(&epoll, "fires");
                harness.send(&far, b"b");
                harness.wait(&epoll, "disarmed");
                harness.close(far);
                harness.wait(&epoll, "peer closed");
                harness.modify(&epoll, &near, IN | RDHUP | ONESHOT, 1);
                harness.wait(&epoll, "armed");
                harness.close_all([near, epoll]);
            },
            if is_tcp {
                &["fires: [1 IN]", "disarmed: []", "peer closed: []", "armed: [1 IN|RDHUP]"]
            } else {
                &["fires: [1 IN]", "disarmed: []", "peer closed: []", "armed: [1 IN|HUP|RDHUP]"]
            },
        );
    }
}

#[test]
fn five_ready_two_per_wait_are_reported_round_robin() {
    same(
        |harness| {
            let epoll = harness.epoll();
            let pairs: Vec<_> = (0..5).map(|_| harness.unix_pair()).collect();
            for (label, (near, _)) in pairs.iter().enumerate() {
                harness.add(&epoll, near, IN, label as u64);
            }
            for (_, far) in &pairs {
                harness.send(far, b"x");
            }
            for _ in 0..5 {
                let got = harness.poll(&epoll, 2);
                harness.record(got);
            }
            for (near, far) in pairs {
                harness.close_all([near, far]);
            }
            harness.close_all([epoll]);
        },
        &["0 IN, 1 IN", "2 IN, 3 IN", "4 IN, 0 IN", "1 IN, 2 IN", "3 IN, 4 IN"],
    );
}

#[test]
fn edges_are_reported_in_order_of_arrival() {
    same(
        |harness| {
            let epoll = harness.epoll();
            let pairs: Vec<_> = (0..4).map(|_| harness.unix_pair()).collect();
            for (label, (near, _)) in pairs.iter().enumerate() {
                harness.add(&epoll, near, IN | ET, label as u64);
            }
            for at in [2, 0, 3, 0, 1] {
                harness.send(&pairs[at].1, b"x");
            }
            harness.wait(&epoll, "2 0 3 1");
            for (near, far) in pairs {
                harness.close_all([near, far]);
            }
            harness.close_all([epoll]);
        },
        &["2 0 3 1: [2 IN, 0 IN, 3 IN, 1 IN]"],
    );
}

#[test]
fn a_condition_cleared_before_the_wait_is_not_reported() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN | ET, 1);
            harness.send(&far, b"x");
            harness.recv(&near, 8).unwrap();
            harness.wait(&epoll, "read before the wait");
            harness.close_all([near, far, epoll]);
        },
        &["recv 8: Ok(\"x\")", "read before the wait: []"],
    );
}

#[test]
fn interest_is_evaluated_at_the_wait() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN | OUT, 1);
            harness.send(&far, b"x");
            harness.modify(&epoll, &near, IN, 2);
            harness.wait(&epoll, "OUT is not wanted any more");
            harness.modify(&epoll, &near, 0, 3);
            harness.wait(&epoll, "nothing is");
            harness.close_all([near, far, epoll]);
        },
        &["OUT is not wanted any more: [2 IN]", "nothing is: []"],
    );
}

#[test]
fn data_read_before_the_wait_leaves_no_nested_edge() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let (top, below) = (harness.epoll(), harness.epoll());
            harness.add(&below, &near, IN, 1);
            harness.add(&top, &below, IN | ET, 10);
            harness.send(&far, b"w");
            harness.recv(&near, 8).unwrap();
            harness.wait(&top, "read before the wait");
            harness.send(&far, b"w");
            harness.wait(&top, "another");
            harness.close_all([near, far, top, below]);
        },
        &["recv 8: Ok(\"w\")", "read before the wait: []", "another: [10 IN]"],
    );
}
