//! The reactor's own list: who stopped before the kernel said "nothing" is reminded.

use epollite::Trigger;
use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::{Call, Counted, Event, Instant, Interest, Kernel, Linux, Reactor, Ready, Token};

use super::world::{ask, io, watch};

#[test]
fn again_comes_after_what_the_kernel_reports_meanwhile() {
    let mut reactor = Reactor::new().unwrap();
    let busy = counter(&mut reactor, 1);
    assert_eq!(ask(&mut reactor), io(busy, EPOLLIN));
    reactor.source(busy).unwrap().io.again(Ready::READABLE);
    let fresh = counter(&mut reactor, 1);
    assert_eq!(ask(&mut reactor), io(fresh, EPOLLIN), "fresh events go first");
    assert_eq!(ask(&mut reactor), io(busy, EPOLLIN));
    assert_eq!(ask(&mut reactor), None, "once asked, once reminded");
}

#[test]
fn who_stands_on_the_list_stands_there_once() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    for _ in 0..3 {
        reactor.source(token).unwrap().io.again(Ready::READABLE);
    }
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN));
    assert_eq!(ask(&mut reactor), None);
    reactor.source(token).unwrap().io.again(Ready::READABLE);
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN), "and can come back");
}

#[test]
fn a_reminder_of_one_direction_does_not_swallow_that_of_the_other() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    reactor.source(token).unwrap().io.again(Ready::READABLE);
    reactor.source(token).unwrap().io.again(Ready::WRITABLE);
    let mut reminded = Ready::default();
    while let Some(Event::Io { ready, .. }) = ask(&mut reactor) {
        reminded |= ready;
    }
    assert_eq!(
        reminded.bits(),
        EPOLLIN | EPOLLOUT,
        "law: whatever was asked for again is reported again"
    );
}

#[test]
fn the_kernels_word_and_ones_own_come_as_one_event() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 1);
    let other = counter(&mut reactor, 1);
    reactor.source(token).unwrap().io.again(Ready::WRITABLE);
    assert_eq!(ask(&mut reactor), io(other, EPOLLIN));
    let both = io(token, EPOLLIN | EPOLLOUT);
    assert_eq!(ask(&mut reactor), both, "law: one turn for one registration, for all reasons");
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn what_is_to_be_reported_again_outlives_a_change_of_the_watch() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    let mut source = reactor.source(token).unwrap();
    source.io.again(Ready::WRITABLE);
    source.io.rearm(Interest::READABLE, Trigger::Level).unwrap();
    assert!(source.io.watches(Interest::READABLE, Trigger::Level), "law: the list is no watch");
    assert_eq!(ask(&mut reactor), io(token, EPOLLOUT), "law: asked for is reported");
    let mut source = reactor.source(token).unwrap();
    assert!(source.io.watches(Interest::READABLE, Trigger::Level));
    source.io.again(Ready::READABLE);
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN), "law: told once, it is forgotten");
}

#[test]
fn nobody_waits_while_somebody_is_to_be_reminded() {
    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ());
    reactor.source(token).unwrap().io.again(Ready::READABLE);
    // Without a deadline: it would hang.
    assert_eq!(reactor.next(None), Ok(io(token, EPOLLIN)));
    assert_eq!(reactor.kernel().tap.calls(Call::EpollWait), 1);
    assert_eq!(reactor.kernel().tap.calls(Call::EpollPwait2), 0);
}

#[test]
fn who_asks_again_and_again_starves_neither_the_kernel_nor_deadlines() {
    let mut reactor = Reactor::new().unwrap();
    let busy = counter(&mut reactor, 0);
    reactor.source(busy).unwrap().io.again(Ready::READABLE);
    let (mut fresh, mut timers, mut reminders) = (0, 0, 0);
    let level = Linux.eventfd(1).unwrap();
    let level = watch(&mut reactor, level, Interest::READABLE, Trigger::Level, ());
    reactor.source(level).unwrap().io.set_deadline(Instant::ZERO);
    for _ in 0..300 {
        match reactor.next(None).unwrap() {
            Some(Event::Io { token, .. }) if token == busy => {
                reactor.source(busy).unwrap().io.again(Ready::READABLE);
                reminders += 1;
            }
            Some(Event::Timer { token }) => {
                reactor.source(token).unwrap().io.set_deadline(Instant::ZERO);
                timers += 1;
            }
            _ => fresh += 1,
        }
    }
    assert_eq!(
        (fresh, reminders, timers),
        (100, 100, 100),
        "law: each of the three has its turn in every round"
    );
}

#[test]
fn a_reminder_is_forgotten_on_deregister_and_is_no_stale_event() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    reactor.source(token).unwrap().io.again(Ready::READABLE);
    let (fd, ()) = reactor.deregister(token).unwrap();
    // The heir of its slot is not reminded in its place.
    let heir = watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ());
    assert_eq!(heir.slot(), token.slot());
    assert_eq!(ask(&mut reactor), None);
    assert_eq!(reactor.stale(), 0, "the kernel is innocent");
    reactor.source(heir).unwrap().io.again(Ready::READABLE);
    assert_eq!(ask(&mut reactor), io(heir, EPOLLIN));
}

#[test]
fn rearming_keeps_the_place_on_the_list() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    let mut source = reactor.source(token).unwrap();
    source.io.again(Ready::READABLE);
    source.io.rearm(Interest::READABLE, Trigger::Edge).unwrap();
    assert!(source.io.watches(Interest::READABLE, Trigger::Edge));
    source.io.again(Ready::READABLE);
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN));
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn pending_tells_where_a_turn_ends_and_makes_no_call() {
    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    for _ in 0..3 {
        let fd = reactor.kernel().eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    }
    assert_eq!(reactor.pending(), None, "nobody has waited yet");
    assert!(reactor.next(None).unwrap().is_some());
    let before = reactor.kernel().tap;
    assert!(reactor.pending().is_some());
    assert!(reactor.pending().is_some());
    assert_eq!(reactor.pending(), None);
    assert_eq!(reactor.kernel().tap, before);
}

/// An eventfd, edge-triggered, readable unless `initial` is zero.
fn counter(reactor: &mut Reactor<()>, initial: u32) -> Token {
    let fd = Linux.eventfd(initial).expect("one descriptor is to be had");
    watch(reactor, fd, Interest::READABLE, Trigger::Edge, ())
}
