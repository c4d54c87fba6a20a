//! One epoll: the single-threaded cases of Linux' own `epoll_wakeup_test.c` (in
//! `tools/testing/selftests/filesystems/epoll/`): its tests epoll1 to 8, 62, 63 and 66. Where it
//! uses poll(2), an outer epoll is used here.
//!
//! ```text
//!   epoll1   e0        epoll3     e0
//!             | (lt)        (lt) /  \ (lt)
//!            s0               s0     s2
//! ```

use std::time::Duration;

use epollite::Fd;
use epollite::kernel::EpollEvent;

use crate::harness::{ET, Harness, IN};
use crate::same;

/// The two waits of every setup: an edge is reported once, a level twice.
fn wait_twice(harness: &mut Harness<'_>, epoll: &Fd) {
    harness.wait(epoll, "first");
    harness.wait(epoll, "second");
}

/// epoll1, epoll2: one socket; epoll3, epoll4: two sockets.
fn flat(trigger: u32, sockets: usize, expected: &[&str]) {
    same(
        |harness| {
            let epoll = harness.epoll();
            let pairs: Vec<_> = (0..sockets).map(|_| harness.unix_pair()).collect();
            for (at, (near, _)) in pairs.iter().enumerate() {
                harness.add(&epoll, near, IN | trigger, at as u64);
            }
            for (_, far) in &pairs {
                harness.send(far, b"w");
            }
            wait_twice(harness, &epoll);
            for (near, far) in pairs {
                harness.close_all([near, far]);
            }
            harness.close_all([epoll]);
        },
        expected,
    );
}

#[test]
fn epoll1_one_level() {
    flat(0, 1, &["first: [0 IN]", "second: [0 IN]"]);
}

#[test]
fn epoll2_one_edge() {
    flat(ET, 1, &["first: [0 IN]", "second: []"]);
}

#[test]
fn epoll3_two_levels() {
    flat(0, 2, &["first: [0 IN, 1 IN]", "second: [0 IN, 1 IN]"]);
}

#[test]
fn epoll4_two_edges() {
    flat(ET, 2, &["first: [0 IN, 1 IN]", "second: []"]);
}

/// epoll5 to 8: the outer epoll checks before each wait whether `e0` is readable.
fn polled_from_above(trigger: u32, sockets: usize, expected: &[&str]) {
    same(
        |harness| {
            let (above, epoll) = (harness.epoll(), harness.epoll());
            harness.add(&above, &epoll, IN, 9);
            let pairs: Vec<_> = (0..sockets).map(|_| harness.unix_pair()).collect();
            for (at, (near, _)) in pairs.iter().enumerate() {
                harness.add(&epoll, near, IN | trigger, at as u64);
            }
            for (_, far) in &pairs {
                harness.send(far, b"w");
            }
            for _ in 0..2 {
                harness.wait(&above, "polled");
                harness.wait(&epoll, "waited");
            }
            for (near, far) in pairs {
                harness.close_all([near, far]);
            }
            harness.close_all([epoll, above]);
        },
        expected,
    );
}

#[test]
fn epoll5_one_level() {
    polled_from_above(
        0,
        1,
        &["polled: [9 IN]", "waited: [0 IN]", "polled: [9 IN]", "waited: [0 IN]"],
    );
}

#[test]
fn epoll6_one_edge() {
    polled_from_above(ET, 1, &["polled: [9 IN]", "waited: [0 IN]", "polled: []", "waited: []"]);
}

#[test]
fn epoll7_two_levels() {
    polled_from_above(
        0,
        2,
        &["polled: [9 IN]", "waited: [0 IN, 1 IN]", "polled: [9 IN]", "waited: [0 IN, 1 IN]"],
    );
}

#[test]
fn epoll8_two_edges() {
    polled_from_above(
        ET,
        2,
        &["polled: [9 IN]", "waited: [0 IN, 1 IN]", "polled: []", "waited: []"],
    );
}

#[test]
fn epoll62_and_63_pwait2_and_its_timeout() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN, 1);
            let mut events = [EpollEvent::default(); 4];
            let before = harness.k.now();
            let timeout = Duration::from_micros(10_500);
            let got = harness.k.epoll_pwait2(&epoll, &mut events, Some(timeout));
            harness.read_and_record("nothing arrived", got);
            let waited = harness.k.now() - before;
            harness.read_and_record("for so long", waited >= timeout);
            let got = harness.k.epoll_wait(&epoll, &mut events, Some(1));
            harness.read_and_record("nothing arrived", got);
            harness.send(&far, b"w");
            for _ in 0..2 {
                let got = harness.k.epoll_pwait2(&epoll, &mut events, None);
                harness.read_and_record("a byte", got);
            }
            harness.close_all([near, far, epoll]);
        },
        &[
            "nothing arrived: Ok(0)",
            "for so long: true",
            "nothing arrived: Ok(0)",
            "a byte: Ok(1)",
            "a byte: Ok(1)",
        ],
    );
}

#[test]
fn epoll66_each_write_into_a_pipe_is_an_edge() {
    same(
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &reader, IN | ET, 1);
            for _ in 0..2 {
                harness.k.write(&writer, b"w").unwrap();
                harness.wait(&epoll, "written");
            }
            harness.close_all([reader, writer, epoll]);
        },
        &["written: [1 IN]", "written: [1 IN]"],
    );
}
