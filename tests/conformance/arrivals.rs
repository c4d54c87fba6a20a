//! Edges and levels: what counts as an arrival, and what is reported when nothing arrives.

use crate::same;
use crate::stage::{ET, IN, ONESHOT, OUT, RDHUP};

#[test]
fn an_edge_comes_for_each_arrival_read_or_not() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | ET, 1);
                stage.send(&far, b"a");
                stage.wait(&epoll, "first byte");
                stage.wait(&epoll, "nothing new");
                stage.send(&far, b"b");
                stage.wait(&epoll, "second byte, the first unread");
                stage.close_all([near, far, epoll]);
            },
            &["first byte: [1 IN]", "nothing new: []", "second byte, the first unread: [1 IN]"],
        );
    }
}

#[test]
fn two_arrivals_before_a_wait_are_one_edge() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | ET, 1);
                stage.send(&far, b"a");
                stage.send(&far, b"b");
                stage.wait(&epoll, "both");
                stage.wait(&epoll, "again");
                stage.close_all([near, far, epoll]);
            },
            &["both: [1 IN]", "again: []"],
        );
    }
}

#[test]
fn what_a_partial_read_leaves_is_no_edge_until_mod() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | ET, 1);
                stage.send(&far, b"residue");
                stage.wait(&epoll, "arrival");
                stage.recv(&near, 3).unwrap();
                stage.wait(&epoll, "after a partial read");
                stage.modify(&epoll, &near, IN | ET, 1);
                stage.wait(&epoll, "after MOD with the same mask");
                stage.close_all([near, far, epoll]);
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
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN, 1);
                stage.send(&far, b"ab");
                stage.wait(&epoll, "arrival");
                stage.recv(&near, 1).unwrap();
                stage.wait(&epoll, "one byte left");
                stage.recv(&near, 1).unwrap();
                stage.wait(&epoll, "none left");
                stage.close_all([near, far, epoll]);
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
            |stage| {
                let (near, far) = stage.unix_pair();
                stage.send(&far, b"early");
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | trigger, 1);
                stage.wait(&epoll, "at once");
                stage.close_all([near, far, epoll]);
            },
            &["at once: [1 IN]"],
        );
    }
}

#[test]
fn an_end_behind_bytes_is_told_once_and_only_who_asked_for_rdhup_knows_it() {
    for (interest, first) in
        [(IN, "bytes and end: [1 IN]"), (IN | RDHUP, "bytes and end: [1 IN|RDHUP]")]
    {
        same(
            |stage| {
                let (near, far) = stage.tcp_pair();
                let epoll = stage.epoll();
                stage.add(&epoll, &near, interest | ET, 1);
                stage.send(&far, b"last words");
                stage.close(far);
                stage.wait(&epoll, "bytes and end");
                stage.recv(&near, 64).unwrap();
                stage.wait(&epoll, "after a short read");
                stage.recv(&near, 64).unwrap();
                stage.close_all([near, epoll]);
            },
            &[first, "recv 64: Ok(\"last words\")", "after a short read: []", "recv 64: Ok(\"\")"],
        );
    }
}

#[test]
fn one_accept_for_three_connections_leaves_silence() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            let epoll = stage.epoll();
            stage.add(&epoll, &listener, IN | ET, 1);
            let first = [stage.client(&addr), stage.client(&addr), stage.client(&addr)];
            stage.wait(&epoll, "three");
            let (accepted, _) = stage.k.accept4(&listener).unwrap();
            stage.wait(&epoll, "after one accept");
            let fourth = stage.client(&addr);
            stage.wait(&epoll, "another came");
            stage.close_all(first);
            stage.close_all([accepted, fourth, listener, epoll]);
        },
        &["three: [1 IN]", "after one accept: []", "another came: [1 IN]"],
    );
}

#[test]
fn one_shot_says_nothing_more_not_even_hup_until_mod() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let epoll = stage.epoll();
                stage.add(&epoll, &near, IN | ONESHOT, 1);
                stage.send(&far, b"a");
                stage.wait(&epoll, "fires");
                stage.send(&far, b"b");
                stage.wait(&epoll, "disarmed");
                stage.close(far);
                stage.wait(&epoll, "peer closed");
                stage.modify(&epoll, &near, IN | RDHUP | ONESHOT, 1);
                stage.wait(&epoll, "armed");
                stage.close_all([near, epoll]);
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
fn five_ready_two_places_come_round_robin() {
    same(
        |stage| {
            let epoll = stage.epoll();
            let pairs: Vec<_> = (0..5).map(|_| stage.unix_pair()).collect();
            for (label, (near, _)) in pairs.iter().enumerate() {
                stage.add(&epoll, near, IN, label as u64);
            }
            for (_, far) in &pairs {
                stage.send(far, b"x");
            }
            for _ in 0..5 {
                let came = stage.poll(&epoll, 2);
                stage.note(came);
            }
            for (near, far) in pairs {
                stage.close_all([near, far]);
            }
            stage.close_all([epoll]);
        },
        &["0 IN, 1 IN", "2 IN, 3 IN", "4 IN, 0 IN", "1 IN, 2 IN", "3 IN, 4 IN"],
    );
}

#[test]
fn edges_stand_in_the_order_of_arrival() {
    same(
        |stage| {
            let epoll = stage.epoll();
            let pairs: Vec<_> = (0..4).map(|_| stage.unix_pair()).collect();
            for (label, (near, _)) in pairs.iter().enumerate() {
                stage.add(&epoll, near, IN | ET, label as u64);
            }
            for at in [2, 0, 3, 0, 1] {
                stage.send(&pairs[at].1, b"x");
            }
            stage.wait(&epoll, "2 0 3 1");
            for (near, far) in pairs {
                stage.close_all([near, far]);
            }
            stage.close_all([epoll]);
        },
        &["2 0 3 1: [2 IN, 0 IN, 3 IN, 1 IN]"],
    );
}

#[test]
fn an_event_that_is_no_more_so_is_not_told() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN | ET, 1);
            stage.send(&far, b"x");
            stage.recv(&near, 8).unwrap();
            stage.wait(&epoll, "read before the wait");
            stage.close_all([near, far, epoll]);
        },
        &["recv 8: Ok(\"x\")", "read before the wait: []"],
    );
}

#[test]
fn what_it_was_asked_for_counts_at_the_wait() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN | OUT, 1);
            stage.send(&far, b"x");
            stage.modify(&epoll, &near, IN, 2);
            stage.wait(&epoll, "OUT is not wanted any more");
            stage.modify(&epoll, &near, 0, 3);
            stage.wait(&epoll, "nothing is");
            stage.close_all([near, far, epoll]);
        },
        &["OUT is not wanted any more: [2 IN]", "nothing is: []"],
    );
}

#[test]
fn what_was_read_before_the_wait_leaves_no_edge_above() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let (top, below) = (stage.epoll(), stage.epoll());
            stage.add(&below, &near, IN, 1);
            stage.add(&top, &below, IN | ET, 10);
            stage.send(&far, b"w");
            stage.recv(&near, 8).unwrap();
            stage.wait(&top, "read before the wait");
            stage.send(&far, b"w");
            stage.wait(&top, "another");
            stage.close_all([near, far, top, below]);
        },
        &["recv 8: Ok(\"w\")", "read before the wait: []", "another: [10 IN]"],
    );
}
