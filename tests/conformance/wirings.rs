//! One epoll, and what Linux' own `epoll_wakeup_test.c` (in
//! `tools/testing/selftests/filesystems/epoll/`) shows on it with one thread: its tests epoll1
//! to 8, 62, 63 and 66. Where it asks by poll(2), an epoll above asks here.
//!
//! ```text
//!   epoll1   e0        epoll3     e0
//!             | (lt)        (lt) /  \ (lt)
//!            s0               s0     s2
//! ```

use std::time::Duration;

use epollite::Fd;
use epollite::kernel::EpollEvent;

use crate::same;
use crate::stage::{ET, IN, Stage};

/// The two waits that every wiring makes: an edge comes once, a level twice.
fn wait_twice(stage: &mut Stage<'_>, epoll: &Fd) {
    stage.wait(epoll, "first");
    stage.wait(epoll, "second");
}

/// epoll1, epoll2: one socket; epoll3, epoll4: two sockets.
fn flat(trigger: u32, sockets: usize, expected: &[&str]) {
    same(
        |stage| {
            let epoll = stage.epoll();
            let pairs: Vec<_> = (0..sockets).map(|_| stage.unix_pair()).collect();
            for (at, (near, _)) in pairs.iter().enumerate() {
                stage.add(&epoll, near, IN | trigger, at as u64);
            }
            for (_, far) in &pairs {
                stage.send(far, b"w");
            }
            wait_twice(stage, &epoll);
            for (near, far) in pairs {
                stage.close_all([near, far]);
            }
            stage.close_all([epoll]);
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

/// epoll5 to 8: whether `e0` is readable is asked from above, before each wait.
fn asked_from_above(trigger: u32, sockets: usize, expected: &[&str]) {
    same(
        |stage| {
            let (above, epoll) = (stage.epoll(), stage.epoll());
            stage.add(&above, &epoll, IN, 9);
            let pairs: Vec<_> = (0..sockets).map(|_| stage.unix_pair()).collect();
            for (at, (near, _)) in pairs.iter().enumerate() {
                stage.add(&epoll, near, IN | trigger, at as u64);
            }
            for (_, far) in &pairs {
                stage.send(far, b"w");
            }
            for _ in 0..2 {
                stage.wait(&above, "asked");
                stage.wait(&epoll, "waited");
            }
            for (near, far) in pairs {
                stage.close_all([near, far]);
            }
            stage.close_all([epoll, above]);
        },
        expected,
    );
}

#[test]
fn epoll5_one_level() {
    asked_from_above(0, 1, &["asked: [9 IN]", "waited: [0 IN]", "asked: [9 IN]", "waited: [0 IN]"]);
}

#[test]
fn epoll6_one_edge() {
    asked_from_above(ET, 1, &["asked: [9 IN]", "waited: [0 IN]", "asked: []", "waited: []"]);
}

#[test]
fn epoll7_two_levels() {
    asked_from_above(
        0,
        2,
        &["asked: [9 IN]", "waited: [0 IN, 1 IN]", "asked: [9 IN]", "waited: [0 IN, 1 IN]"],
    );
}

#[test]
fn epoll8_two_edges() {
    asked_from_above(ET, 2, &["asked: [9 IN]", "waited: [0 IN, 1 IN]", "asked: []", "waited: []"]);
}

#[test]
fn epoll62_and_63_pwait2_and_its_timeout() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN, 1);
            let mut events = [EpollEvent::default(); 4];
            let before = stage.k.now();
            let patience = Duration::from_micros(10_500);
            let came = stage.k.epoll_pwait2(&epoll, &mut events, Some(patience));
            stage.see("nothing came", came);
            let waited = stage.k.now() - before;
            stage.see("for so long", waited >= patience);
            let came = stage.k.epoll_wait(&epoll, &mut events, Some(1));
            stage.see("nothing came", came);
            stage.send(&far, b"w");
            for _ in 0..2 {
                let came = stage.k.epoll_pwait2(&epoll, &mut events, None);
                stage.see("a byte", came);
            }
            stage.close_all([near, far, epoll]);
        },
        &[
            "nothing came: Ok(0)",
            "for so long: true",
            "nothing came: Ok(0)",
            "a byte: Ok(1)",
            "a byte: Ok(1)",
        ],
    );
}

#[test]
fn epoll66_each_write_into_a_pipe_is_an_edge() {
    same(
        |stage| {
            let (reader, writer) = stage.k.pipe2().unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &reader, IN | ET, 1);
            for _ in 0..2 {
                stage.k.write(&writer, b"w").unwrap();
                stage.wait(&epoll, "written");
            }
            stage.close_all([reader, writer, epoll]);
        },
        &["written: [1 IN]", "written: [1 IN]"],
    );
}
