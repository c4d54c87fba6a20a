//! The interest list: errors of epoll_ctl(2), and registrations of duplicated and closed
//! descriptors.

use epollite::kernel::SocketType;
use epollite::kernel::{EpollEvent, EpollOp};

use crate::harness::{ET, EXCLUSIVE, IN, ONESHOT, OUT, PRI, RDHUP};
use crate::same;

fn adding(events: u32) -> EpollOp {
    EpollOp::Add(EpollEvent::new(events, 1))
}

fn changing(events: u32) -> EpollOp {
    EpollOp::Modify(EpollEvent::new(events, 1))
}

#[test]
fn add_of_a_registered_fd_is_eexist_and_mod_of_another_enoent() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            for control in [changing(IN), EpollOp::Delete, adding(IN), adding(IN)] {
                let done = harness.ctl(&epoll, control, &near);
                harness.read_and_record("ctl", done);
            }
            for _ in 0..2 {
                let done = harness.ctl(&epoll, EpollOp::Delete, &near);
                harness.read_and_record("delete", done);
            }
            let done = harness.ctl(&epoll, adding(IN), &epoll);
            harness.read_and_record("itself", done);
            let done = harness.ctl(&near, adding(IN), &far);
            harness.read_and_record("not an epoll", done);
            let waited = harness.k.epoll_wait(&near, &mut [EpollEvent::default()], Some(0));
            harness.read_and_record("wait on no epoll", waited);
            let waited = harness.k.epoll_wait(&epoll, &mut [], Some(0));
            harness.read_and_record("wait for nothing", waited);
            harness.close_all([near, far, epoll]);
        },
        &[
            "ctl: Err(ENOENT)",
            "ctl: Err(ENOENT)",
            "ctl: Ok(())",
            "ctl: Err(EEXIST)",
            "delete: Ok(())",
            "delete: Err(ENOENT)",
            "itself: Err(EINVAL)",
            "not an epoll: Err(EINVAL)",
            "wait on no epoll: Err(EINVAL)",
            "wait for nothing: Err(EINVAL)",
        ],
    );
}

#[test]
fn exclusive_allows_few_flags() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let (epoll, inner) = (harness.epoll(), harness.epoll());
            for (name, other) in
                [("RDHUP", RDHUP), ("ONESHOT", ONESHOT), ("PRI", PRI), ("ET", ET), ("OUT", OUT)]
            {
                let done = harness.ctl(&epoll, adding(IN | EXCLUSIVE | other), &near);
                harness.read_and_record(name, done);
                let _ = harness.ctl(&epoll, EpollOp::Delete, &near);
            }
            let done = harness.ctl(&epoll, adding(IN | EXCLUSIVE), &inner);
            harness.read_and_record("a nested epoll", done);
            harness.ctl(&epoll, adding(IN | EXCLUSIVE), &near).unwrap();
            let done = harness.ctl(&epoll, changing(IN), &near);
            harness.read_and_record("MOD of exclusive", done);
            harness.ctl(&epoll, adding(IN), &far).unwrap();
            let done = harness.ctl(&epoll, changing(IN | EXCLUSIVE), &far);
            harness.read_and_record("MOD to exclusive", done);
            let done = harness.ctl(&epoll, EpollOp::Delete, &near);
            harness.read_and_record("DEL", done);
            harness.close_all([near, far, epoll, inner]);
        },
        &[
            "RDHUP: Err(EINVAL)",
            "ONESHOT: Err(EINVAL)",
            "PRI: Err(EINVAL)",
            "ET: Ok(())",
            "OUT: Ok(())",
            "a nested epoll: Err(EINVAL)",
            "MOD of exclusive: Err(EINVAL)",
            "MOD to exclusive: Err(EINVAL)",
            "DEL: Ok(())",
        ],
    );
}

#[test]
fn exclusive_wakes_every_epoll_without_sleepers() {
    same(
        |harness| {
            let (listener, addr) = harness.listener(8);
            let epolls = [harness.epoll(), harness.epoll(), harness.epoll()];
            for epoll in &epolls {
                harness.add(epoll, &listener, IN | EXCLUSIVE, 1);
            }
            let client = harness.client(&addr);
            for epoll in &epolls {
                harness.wait(epoll, "reported");
            }
            harness.close_all([listener, client]);
            harness.close_all(epolls);
        },
        &["reported: [1 IN]", "reported: [1 IN]", "reported: [1 IN]"],
    );
}

#[test]
fn a_registration_survives_close_while_a_duplicate_is_open() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN, 1);
            let duplicate = harness.k.dup(&near).unwrap();
            harness.close(near);
            harness.send(&far, b"x");
            harness.wait(&epoll, "the closed number");
            let done = harness.ctl(&epoll, EpollOp::Delete, &duplicate);
            harness.read_and_record("DEL by the duplicate", done);
            harness.wait(&epoll, "repeatedly");
            harness.close(duplicate);
            harness.wait(&epoll, "the last is closed");
            harness.close_all([far, epoll]);
        },
        &[
            "the closed number: [1 IN]",
            "DEL by the duplicate: Err(ENOENT)",
            "repeatedly: [1 IN]",
            "the last is closed: []",
        ],
    );
}

#[test]
fn a_dup_is_a_second_registration_and_is_reported_first() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let duplicate = harness.k.dup(&near).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN | ET, 1);
            harness.add(&epoll, &duplicate, IN | ET, 2);
            harness.send(&far, b"x");
            harness.wait(&epoll, "both");
            let third = harness.k.dup(&near).unwrap();
            harness.close(duplicate);
            harness.send(&far, b"y");
            harness.wait(&epoll, "the second lives as long as the file");
            harness.close_all([near, far, third]);
            harness.wait(&epoll, "the file is closed");
            harness.close_all([epoll]);
        },
        &[
            "both: [2 IN, 1 IN]",
            "the second lives as long as the file: [2 IN, 1 IN]",
            "the file is closed: []",
        ],
    );
}

#[test]
fn close_removes_the_registration_and_its_event() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &near, IN | ET, 1);
            harness.send(&far, b"x");
            harness.close(near);
            harness.wait(&epoll, "closed before the wait");
            let (other, its_peer) = harness.k.socketpair(SocketType::Stream).unwrap();
            harness.wait(&epoll, "its number is reused");
            harness.close_all([other, its_peer, far, epoll]);
        },
        &["closed before the wait: []", "its number is reused: []"],
    );
}

#[test]
fn an_epoll_shared_by_two_descriptors_is_one() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            let duplicate = harness.k.dup(&epoll).unwrap();
            harness.add(&epoll, &near, IN | ET, 1);
            let done = harness.ctl(&duplicate, adding(IN), &near);
            harness.read_and_record("added by the other", done);
            harness.send(&far, b"x");
            harness.wait(&duplicate, "one edge");
            harness.wait(&epoll, "for one of them");
            harness.close_all([near, far, epoll, duplicate]);
        },
        &["added by the other: Err(EEXIST)", "one edge: [1 IN]", "for one of them: []"],
    );
}

#[test]
fn epoll_cycles_and_deep_nesting_are_refused() {
    same(
        |harness| {
            let epolls: Vec<_> = (0..7).map(|_| harness.epoll()).collect();
            for at in 1..epolls.len() {
                let done = harness.ctl(&epolls[at], adding(IN), &epolls[at - 1]);
                harness.read_and_record("one above another", done);
            }
            let done = harness.ctl(&epolls[0], adding(IN), &epolls[2]);
            harness.read_and_record("a ring", done);
            harness.close_all(epolls);
        },
        &[
            "one above another: Ok(())",
            "one above another: Ok(())",
            "one above another: Ok(())",
            "one above another: Ok(())",
            "one above another: Err(ELOOP)",
            "one above another: Ok(())",
            "a ring: Err(ELOOP)",
        ],
    );
}
