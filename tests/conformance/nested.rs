//! Epolls that watch epolls: the wirings of Linux' own `epoll_wakeup_test.c` (in
//! `tools/testing/selftests/filesystems/epoll/`) that one thread can show. Its tests are named
//! by their numbers: epoll17 to 24 need no second thread, and where it asks by poll(2) an epoll
//! above asks here. Of epoll33 to 36 and 58 the wiring is kept, and the threads take turns.
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

use crate::same;
use crate::stage::{ET, IN, Stage};

/// The two waits that every wiring makes: an edge comes once, a level twice.
fn wait_twice(stage: &mut Stage<'_>, epoll: &Fd) {
    stage.wait(epoll, "first");
    stage.wait(epoll, "second");
}

/// epoll17 to 20: one above another, and the socket read by nobody; epoll21 to 24 ask before,
/// which changes nothing. With `from_inside`, epoll33 to 36: the inner one is waited on too.
fn tower(outer: u32, inner: u32, from_inside: bool, expected: &[&str]) {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let (above, top, below) = (stage.epoll(), stage.epoll(), stage.epoll());
            stage.add(&below, &near, IN | inner, 1);
            stage.add(&top, &below, IN | outer, 0);
            stage.send(&far, b"w");
            if from_inside {
                stage.wait(&below, "below");
            }
            stage.wait(&top, "top");
            stage.add(&above, &top, IN, 9);
            stage.wait(&above, "asked");
            stage.wait(&top, "top again");
            stage.send(&far, b"w");
            stage.wait(&top, "another byte");
            stage.wait(&top, "top at last");
            stage.close_all([near, far, above, top, below]);
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
            "asked: [9 IN]",
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
            "asked: [9 IN]",
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
        &["top: [0 IN]", "asked: []", "top again: []", "another byte: [0 IN]", "top at last: []"],
    );
}

#[test]
fn epoll20_and_24_edge_on_edge() {
    tower(
        ET,
        ET,
        false,
        &["top: [0 IN]", "asked: []", "top again: []", "another byte: [0 IN]", "top at last: []"],
    );
}

#[test]
fn epoll33_level_on_level_told_inside() {
    tower(
        0,
        0,
        true,
        &[
            "below: [1 IN]",
            "top: [0 IN]",
            "asked: [9 IN]",
            "top again: [0 IN]",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll34_level_on_edge_told_inside() {
    tower(
        0,
        ET,
        true,
        &[
            "below: [1 IN]",
            "top: []",
            "asked: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: [0 IN]",
        ],
    );
}

#[test]
fn epoll35_edge_on_level_told_inside() {
    tower(
        ET,
        0,
        true,
        &[
            "below: [1 IN]",
            "top: [0 IN]",
            "asked: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: []",
        ],
    );
}

#[test]
fn epoll36_edge_on_edge_told_inside() {
    tower(
        ET,
        ET,
        true,
        &[
            "below: [1 IN]",
            "top: []",
            "asked: []",
            "top again: []",
            "another byte: [0 IN]",
            "top at last: []",
        ],
    );
}

/// Two epolls over one socket, each watched by the top.
fn two_over_one(outer: u32, inner: u32, expected: &[&str]) {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let (top, left, right) = (stage.epoll(), stage.epoll(), stage.epoll());
            stage.add(&left, &near, IN | inner, 1);
            stage.add(&right, &near, IN | inner, 2);
            stage.add(&top, &left, IN | outer, 10);
            stage.add(&top, &right, IN | outer, 20);
            stage.send(&far, b"w");
            wait_twice(stage, &top);
            stage.wait(&left, "left");
            stage.wait(&right, "right");
            stage.wait(&top, "third");
            stage.close_all([near, far, top, left, right]);
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

/// epoll58 with level and edge turned about: two epolls with a socket each.
fn two_towers(outer: u32, inner: u32, expected: &[&str]) {
    same(
        |stage| {
            let (one, its_far) = stage.unix_pair();
            let (other, other_far) = stage.unix_pair();
            let (top, left, right) = (stage.epoll(), stage.epoll(), stage.epoll());
            stage.add(&left, &one, IN | inner, 1);
            stage.add(&right, &other, IN | inner, 2);
            stage.add(&top, &left, IN | outer, 10);
            stage.add(&top, &right, IN | outer, 20);
            stage.send(&other_far, b"w");
            stage.send(&its_far, b"w");
            wait_twice(stage, &top);
            stage.recv(&other, 8).unwrap();
            stage.wait(&top, "one was read");
            stage.close_all([one, its_far, other, other_far, top, left, right]);
        },
        expected,
    );
}

#[test]
fn a_level_over_two_levels() {
    two_towers(
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
    two_towers(
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
    two_towers(
        ET,
        0,
        &["first: [20 IN, 10 IN]", "second: []", "recv 8: Ok(\"w\")", "one was read: []"],
    );
}

#[test]
fn an_edge_over_two_edges() {
    two_towers(
        ET,
        ET,
        &["first: [20 IN, 10 IN]", "second: []", "recv 8: Ok(\"w\")", "one was read: []"],
    );
}

#[test]
fn a_socket_beside_the_epoll_that_watches_it() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let (top, below) = (stage.epoll(), stage.epoll());
            stage.add(&below, &near, IN | ET, 1);
            stage.add(&top, &below, IN, 10);
            stage.add(&top, &near, IN, 1);
            stage.send(&far, b"w");
            wait_twice(stage, &top);
            stage.wait(&below, "below");
            stage.wait(&top, "third");
            stage.close_all([near, far, top, below]);
        },
        &["first: [1 IN, 10 IN]", "second: [1 IN, 10 IN]", "below: [1 IN]", "third: [1 IN]"],
    );
}
