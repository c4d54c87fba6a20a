//! The interest list: what epoll_ctl(2) refuses, and what becomes of a registration when
//! descriptors are duplicated and closed.

use epollite::Kind;
use epollite::kernel::{Control, EpollEvent};

use crate::same;
use crate::stage::{ET, EXCLUSIVE, IN, ONESHOT, OUT, PRI, RDHUP};

fn adding(events: u32) -> Control {
    Control::Add(EpollEvent::new(events, 1))
}

fn changing(events: u32) -> Control {
    Control::Modify(EpollEvent::new(events, 1))
}

#[test]
fn what_is_there_is_not_added_and_what_is_not_there_not_changed() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            for control in [changing(IN), Control::Delete, adding(IN), adding(IN)] {
                let done = stage.ctl(&epoll, control, &near);
                stage.see("ctl", done);
            }
            for _ in 0..2 {
                let done = stage.ctl(&epoll, Control::Delete, &near);
                stage.see("delete", done);
            }
            let done = stage.ctl(&epoll, adding(IN), &epoll);
            stage.see("itself", done);
            let done = stage.ctl(&near, adding(IN), &far);
            stage.see("not an epoll", done);
            let waited = stage.k.epoll_wait(&near, &mut [EpollEvent::default()], Some(0));
            stage.see("wait on no epoll", waited);
            let waited = stage.k.epoll_wait(&epoll, &mut [], Some(0));
            stage.see("wait for nothing", waited);
            stage.close_all([near, far, epoll]);
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
fn exclusive_goes_with_little() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let (epoll, inner) = (stage.epoll(), stage.epoll());
            for (name, other) in
                [("RDHUP", RDHUP), ("ONESHOT", ONESHOT), ("PRI", PRI), ("ET", ET), ("OUT", OUT)]
            {
                let done = stage.ctl(&epoll, adding(IN | EXCLUSIVE | other), &near);
                stage.see(name, done);
                let _ = stage.ctl(&epoll, Control::Delete, &near);
            }
            let done = stage.ctl(&epoll, adding(IN | EXCLUSIVE), &inner);
            stage.see("a nested epoll", done);
            stage.ctl(&epoll, adding(IN | EXCLUSIVE), &near).unwrap();
            let done = stage.ctl(&epoll, changing(IN), &near);
            stage.see("MOD of exclusive", done);
            stage.ctl(&epoll, adding(IN), &far).unwrap();
            let done = stage.ctl(&epoll, changing(IN | EXCLUSIVE), &far);
            stage.see("MOD to exclusive", done);
            let done = stage.ctl(&epoll, Control::Delete, &near);
            stage.see("DEL", done);
            stage.close_all([near, far, epoll, inner]);
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
fn exclusive_tells_every_epoll_on_which_nobody_sleeps() {
    same(
        |stage| {
            let (listener, addr) = stage.listener(8);
            let epolls = [stage.epoll(), stage.epoll(), stage.epoll()];
            for epoll in &epolls {
                stage.add(epoll, &listener, IN | EXCLUSIVE, 1);
            }
            let client = stage.client(&addr);
            for epoll in &epolls {
                stage.wait(epoll, "told");
            }
            stage.close_all([listener, client]);
            stage.close_all(epolls);
        },
        &["told: [1 IN]", "told: [1 IN]", "told: [1 IN]"],
    );
}

#[test]
fn a_closed_number_lives_on_in_its_duplicate() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN, 1);
            let twin = stage.k.dup(&near).unwrap();
            stage.close(near);
            stage.send(&far, b"x");
            stage.wait(&epoll, "a ghost");
            let done = stage.ctl(&epoll, Control::Delete, &twin);
            stage.see("DEL by the duplicate", done);
            stage.wait(&epoll, "for ever");
            stage.close(twin);
            stage.wait(&epoll, "the last is closed");
            stage.close_all([far, epoll]);
        },
        &[
            "a ghost: [1 IN]",
            "DEL by the duplicate: Err(ENOENT)",
            "for ever: [1 IN]",
            "the last is closed: []",
        ],
    );
}

#[test]
fn a_duplicate_is_registered_beside_its_original_and_told_first() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let twin = stage.k.dup(&near).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN | ET, 1);
            stage.add(&epoll, &twin, IN | ET, 2);
            stage.send(&far, b"x");
            stage.wait(&epoll, "both");
            let third = stage.k.dup(&near).unwrap();
            stage.close(twin);
            stage.send(&far, b"y");
            stage.wait(&epoll, "the second lives as long as the file");
            stage.close_all([near, far, third]);
            stage.wait(&epoll, "the file is closed");
            stage.close_all([epoll]);
        },
        &[
            "both: [2 IN, 1 IN]",
            "the second lives as long as the file: [2 IN, 1 IN]",
            "the file is closed: []",
        ],
    );
}

#[test]
fn a_close_takes_the_registration_and_the_event_with_it() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            stage.add(&epoll, &near, IN | ET, 1);
            stage.send(&far, b"x");
            stage.close(near);
            stage.wait(&epoll, "gone before the wait");
            let (other, its_peer) = stage.k.socketpair(Kind::Stream).unwrap();
            stage.wait(&epoll, "its number is somebody else's");
            stage.close_all([other, its_peer, far, epoll]);
        },
        &["gone before the wait: []", "its number is somebody else's: []"],
    );
}

#[test]
fn an_epoll_shared_by_two_descriptors_is_one() {
    same(
        |stage| {
            let (near, far) = stage.unix_pair();
            let epoll = stage.epoll();
            let twin = stage.k.dup(&epoll).unwrap();
            stage.add(&epoll, &near, IN | ET, 1);
            let done = stage.ctl(&twin, adding(IN), &near);
            stage.see("added by the other", done);
            stage.send(&far, b"x");
            stage.wait(&twin, "one edge");
            stage.wait(&epoll, "for one of them");
            stage.close_all([near, far, epoll, twin]);
        },
        &["added by the other: Err(EEXIST)", "one edge: [1 IN]", "for one of them: []"],
    );
}

#[test]
fn rings_and_towers_of_epolls_are_refused() {
    same(
        |stage| {
            let epolls: Vec<_> = (0..7).map(|_| stage.epoll()).collect();
            for at in 1..epolls.len() {
                let done = stage.ctl(&epolls[at], adding(IN), &epolls[at - 1]);
                stage.see("one above another", done);
            }
            let done = stage.ctl(&epolls[0], adding(IN), &epolls[2]);
            stage.see("a ring", done);
            stage.close_all(epolls);
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
