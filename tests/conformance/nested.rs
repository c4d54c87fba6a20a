//! Nested epolls: the setups of Linux' own `epoll_wakeup_test.c` (in
//! `tools/testing/selftests/filesystems/epoll/`) that one thread can show. The tests are named by
//! their numbers: epoll17 to 24 need no second thread, and where it uses poll(2) an outer epoll is
//! used here. Of epoll33 to 36 and 58 the setup is kept, and the threads' actions are serialized.
//! `s` is a socket, `e` an epoll, `(lt)` and `(et)` level and edge:
//!
//! ```text
//!   epoll17   e0       epoll58      e0
//!              | (lt)         (et) /  \ (et)
//!             e1                 e1    e2
//!              | (lt)       (lt)  |     |  (lt)
//!             s0                 s0    s2
//! ```

use epollite::Fd;

use crate::harness::{ET, Harness, IN};
use crate::same;

/// The two waits of every setup: an edge is reported once, a level twice.
fn wait_twice(harness: &mut Harness<'_>, epoll: &Fd) {
    harness.wait(epoll, "first");
    harness.wait(epoll, "second");
}

/// epoll17 to 20: one inside another, and the socket is not read; epoll21 to 24 poll before, which
/// changes nothing. With `from_inside`, epoll33 to 36: the inner one is waited on too.
fn tower(outer: u32, inner: u32, from_inside: bool, expected: &[&str]) {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let (above, top, below) = (harness.epoll(), harness.epoll(), harness.epoll());
            harness.add(&below, &near, IN | inner, 1);
            harness.add(&top, &below, IN | outer, 0);
            harness.send(&far, b"w");
            if from_inside {
                harness.wait(&below, "below");
            }
            harness.wait(&top, "top");
            harness.add(&above, &top, IN, 9);
            harness.wait(&above, "polled");
            harness.wait(&top, "top again");
            harness.send(&far, b"w");
            harness.wait(&top, "another byte");
            harness.wait(&top, "top at last");
            harness.close_all([near, far, above, top, below]);
        },
        expected,
    );
}

#[test]
fn epoll17_and_21_level_on_level() {
    tower(
        0,
        0,
        false,
        &[
            "top: [0 IN]",
            "polled: [9 IN]",
            "top again: [0 IN]",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll18_and_22_level_on_edge() {
    tower(
        0,
        ET,
        false,
        &[
            "top: [0 IN]",
            "polled: [9 IN]",
            "top again: [0 IN]",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll19_and_23_edge_on_level() {
    tower(
        ET,
        0,
        false,
        &["top: [0 IN]", "polled: []", "top again: []", "another byte: [0 IN]", "top at last: []"],
    );
}

#[test]
fn epoll20_and_24_edge_on_edge() {
    tower(
        ET,
        ET,
        false,
        &["top: [0 IN]", "polled: []", "top again: []", "another byte: [0 IN]", "top at last: []"],
    );
}

#[test]
fn epoll33_level_on_level_waiting_inside() {
    tower(
        0,
        0,
        true,
        &[
            "below: [1 IN]",
            "top: [0 IN]",
            "polled: [9 IN]",
            "top again: [0 IN]",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll34_level_on_edge_waiting_inside() {
    tower(
        0,
        ET,
        true,
        &[
            "below: [1 IN]",
            "top: []",
            "polled: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll35_edge_on_level_waiting_inside() {
    tower(
        ET,
        0,
        true,
        &[
            "below: [1 IN]",
            "top: [0 IN]",
            "polled: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: []",
        ],
    );
}

#[test]
fn epoll36_edge_on_edge_waiting_inside() {
    tower(
        ET,
        ET,
        true,
        &[
            "below: [1 IN]",
            "top: []",
            "polled: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: []",
        ],
    );
}

/// Two epolls over one socket, each watched by the outer one.
fn two_over_one(outer: u32, inner: u32, expected: &[&str]) {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let (top, left, right) = (harness.epoll(), harness.epoll(), harness.epoll());
            harness.add(&left, &near, IN | inner, 1);
            harness.add(&right, &near, IN | inner, 2);
            harness.add(&top, &left, IN | outer, 10);
            harness.add(&top, &right, IN | outer, 20);
            harness.send(&far, b"w");
            wait_twice(harness, &top);
            harness.wait(&left, "left");
            harness.wait(&right, "right");
            harness.wait(&top, "third");
            harness.close_all([near, far, top, left, right]);
        },
        expected,
    );
}

#[test]
fn a_level_over_two_levels_of_one_socket() {
    two_over_one(
        0,
        0,
        &[
            "first: [20 IN, 10 IN]",
            "second: [20 IN, 10 IN]",
            "left: [1 IN]",
            "right: [2 IN]",
            "third: [20 IN, 10 IN]",
        ],
    );
}

#[test]
fn a_level_over_two_edges_of_one_socket() {
    two_over_one(
        0,
        ET,
        &[
            "first: [20 IN, 10 IN]",
            "second: [20 IN, 10 IN]",
            "left: [1 IN]",
            "right: [2 IN]",
            "third: []",
        ],
    );
}

#[test]
fn an_edge_over_two_levels_of_one_socket() {
    two_over_one(
        ET,
        0,
        &["first: [20 IN, 10 IN]", "second: []", "left: [1 IN]", "right: [2 IN]", "third: []"],
    );
}

#[test]
fn an_edge_over_two_edges_of_one_socket() {
    two_over_one(
        ET,
        ET,
        &["first: [20 IN, 10 IN]", "second: []", "left: [1 IN]", "right: [2 IN]", "third: []"],
    );
}

/// epoll58 with level and edge exchanged: two epolls with a socket each.
fn two_nested_epolls(outer: u32, inner: u32, expected: &[&str]) {
    same(
        |harness| {
            let (one, its_far) = harness.unix_pair();
            let (other, other_far) = harness.unix_pair();
            let (top, left, right) = (harness.epoll(), harness.epoll(), harness.epoll());
            harness.add(&left, &one, IN | inner, 1);
            harness.add(&right, &other, IN | inner, 2);
            harness.add(&top, &left, IN | outer, 10);
            harness.add(&top, &right, IN | outer, 20);
            harness.send(&other_far, b"w");
            harness.send(&its_far, b"w");
            wait_twice(harness, &top);
            harness.recv(&other, 8).unwrap();
            harness.wait(&top, "one was read");
            harness.close_all([one, its_far, other, other_far, top, left, right]);
        },
        expected,
    );
}

#[test]
fn a_level_over_two_levels() {
    two_nested_epolls(
        0,
        0,
        &[
            "first: [20 IN, 10 IN]",
            "second: [20 IN, 10 IN]",
            "recv 8: Ok(\"w\")",
            "one was read: [10 IN]",
        ],
    );
}

#[test]
fn a_level_over_two_edges() {
    two_nested_epolls(
        0,
        ET,
        &[
            "first: [20 IN, 10 IN]",
            "second: [20 IN, 10 IN]",
            "recv 8: Ok(\"w\")",
            "one was read: [10 IN]",
        ],
    );
}

#[test]
fn epoll58_an_edge_over_two_levels() {
    two_nested_epolls(
        ET,
        0,
        &["first: [20 IN, 10 IN]", "second: []", "recv 8: Ok(\"w\")", "one was read: []"],
    );
}

#[test]
fn an_edge_over_two_edges() {
    two_nested_epolls(
        ET,
        ET,
        &["first: [20 IN, 10 IN]", "second: []", "recv 8: Ok(\"w\")", "one was read: []"],
    );
}

#[test]
fn a_socket_and_its_nested_epoll_in_one_epoll() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let (top, below) = (harness.epoll(), harness.epoll());
            harness.add(&below, &near, IN | ET, 1);
            harness.add(&top, &below, IN, 10);
            harness.add(&top, &near, IN, 1);
            harness.send(&far, b"w");
            wait_twice(harness, &top);
            harness.wait(&below, "below");
            harness.wait(&top, "third");
            harness.close_all([near, far, top, below]);
        },
        &["first: [1 IN, 10 IN]", "second: [1 IN, 10 IN]", "below: [1 IN]", "third: [1 IN]"],
    );
}
