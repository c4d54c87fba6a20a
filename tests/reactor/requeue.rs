//! The requeue list: a source that stopped before `EAGAIN` is reported again.

use epollite::Trigger;
use epollite::event::Ready;
use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::instrument::CallCounter;
use epollite::kernel::Syscall;
use epollite::{Event, Instant, Interest, Kernel, Linux, Reactor, Token};

use super::support::{io_event, poll_now, watch};

#[test]
fn a_requeue_follows_newer_kernel_events() {
    let mut reactor = Reactor::new().unwrap();
    let busy = counter(&mut reactor, 1);
    assert_eq!(poll_now(&mut reactor), io_event(busy, EPOLLIN));
    reactor.get_mut(busy).unwrap().1.requeue(Ready::READABLE);
    let fresh = counter(&mut reactor, 1);
    assert_eq!(poll_now(&mut reactor), io_event(fresh, EPOLLIN), "new events go first");
    assert_eq!(poll_now(&mut reactor), io_event(busy, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), None, "requeued once, reported once");
}

#[test]
fn a_token_is_requeued_at_most_once() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    for _ in 0..3 {
        reactor.get_mut(token).unwrap().1.requeue(Ready::READABLE);
    }
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), None);
    reactor.get_mut(token).unwrap().1.requeue(Ready::READABLE);
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN), "and can be requeued again");
}

#[test]
fn a_requeue_of_one_direction_keeps_that_of_the_other() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    reactor.get_mut(token).unwrap().1.requeue(Ready::READABLE);
    reactor.get_mut(token).unwrap().1.requeue(Ready::WRITABLE);
    let mut reminded = Ready::default();
    while let Some(Event::Io { ready, .. }) = poll_now(&mut reactor) {
        reminded |= ready;
    }
    assert_eq!(reminded.bits(), EPOLLIN | EPOLLOUT, "invariant: what was requeued is reported");
}

#[test]
fn a_kernel_event_and_a_requeue_are_merged() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 1);
    let other = counter(&mut reactor, 1);
    reactor.get_mut(token).unwrap().1.requeue(Ready::WRITABLE);
    assert_eq!(poll_now(&mut reactor), io_event(other, EPOLLIN));
    let both = io_event(token, EPOLLIN | EPOLLOUT);
    assert_eq!(
        poll_now(&mut reactor),
        both,
        "invariant: one event per registration, with all flags"
    );
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn a_requeue_survives_a_modify() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    let (_, mut io) = reactor.get_mut(token).unwrap();
    io.requeue(Ready::WRITABLE);
    io.modify(Interest::READABLE, Trigger::Level).unwrap();
    assert!(
        io.is_registered_for(Interest::READABLE, Trigger::Level),
        "invariant: requeueing registers no interest"
    );
    assert_eq!(
        poll_now(&mut reactor),
        io_event(token, EPOLLOUT),
        "invariant: a requeued flag is reported"
    );
    let (_, mut io) = reactor.get_mut(token).unwrap();
    assert!(io.is_registered_for(Interest::READABLE, Trigger::Level));
    io.requeue(Ready::READABLE);
    assert_eq!(
        poll_now(&mut reactor),
        io_event(token, EPOLLIN),
        "invariant: a requeue is reported once"
    );
}

#[test]
fn a_requeued_token_makes_the_wait_non_blocking() {
    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ());
    reactor.get_mut(token).unwrap().1.requeue(Ready::READABLE);
    // Without a deadline, a lost requeue would hang here.
    assert_eq!(reactor.next(None), Ok(io_event(token, EPOLLIN)));
    assert_eq!(reactor.kernel().hook.calls(Syscall::EpollWait), 1);
    assert_eq!(reactor.kernel().hook.calls(Syscall::EpollPwait2), 0);
}

#[test]
fn requeueing_does_not_starve_events_or_timers() {
    let mut reactor = Reactor::new().unwrap();
    let busy = counter(&mut reactor, 0);
    reactor.get_mut(busy).unwrap().1.requeue(Ready::READABLE);
    let (mut fresh, mut timers, mut reminders) = (0, 0, 0);
    let level = Linux.eventfd(1).unwrap();
    let level = watch(&mut reactor, level, Interest::READABLE, Trigger::Level, ());
    reactor.get_mut(level).unwrap().1.set_deadline(Instant::ZERO);
    for _ in 0..300 {
        match reactor.next(None).unwrap() {
            Some(Event::Io { token, .. }) if token == busy => {
                reactor.get_mut(busy).unwrap().1.requeue(Ready::READABLE);
                reminders += 1;
            }
            Some(Event::Timer { token }) => {
                reactor.get_mut(token).unwrap().1.set_deadline(Instant::ZERO);
                timers += 1;
            }
            _ => fresh += 1,
        }
    }
    assert_eq!(
        (fresh, reminders, timers),
        (100, 100, 100),
        "invariant: each of the three is reported in every round"
    );
}

#[test]
fn a_requeue_is_dropped_on_deregister_and_is_no_stale_event() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    reactor.get_mut(token).unwrap().1.requeue(Ready::READABLE);
    let (fd, ()) = reactor.deregister(token).unwrap();
    // The successor in its slot does not get its event.
    let successor = watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ());
    assert_eq!(successor.slot(), token.slot());
    assert_eq!(poll_now(&mut reactor), None);
    assert_eq!(reactor.stale_events(), 0, "no stale event from the kernel");
    reactor.get_mut(successor).unwrap().1.requeue(Ready::READABLE);
    assert_eq!(poll_now(&mut reactor), io_event(successor, EPOLLIN));
}

#[test]
fn rearming_keeps_the_place_on_the_list() {
    let mut reactor = Reactor::new().unwrap();
    let token = counter(&mut reactor, 0);
    let (_, mut io) = reactor.get_mut(token).unwrap();
    io.requeue(Ready::READABLE);
    io.modify(Interest::READABLE, Trigger::Edge).unwrap();
    assert!(io.is_registered_for(Interest::READABLE, Trigger::Edge));
    io.requeue(Ready::READABLE);
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn try_next_event_makes_no_syscall() {
    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    for _ in 0..3 {
        let fd = reactor.kernel().eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    }
    assert_eq!(reactor.try_next(), None, "there was no wait yet");
    assert!(reactor.next(None).unwrap().is_some());
    let before = reactor.kernel().hook;
    assert!(reactor.try_next().is_some());
    assert!(reactor.try_next().is_some());
    assert_eq!(reactor.try_next(), None);
    assert_eq!(reactor.kernel().hook, before);
}

/// An eventfd, edge-triggered, readable unless `initial` is zero.
fn counter(reactor: &mut Reactor<()>, initial: u32) -> Token {
    let fd = Linux.eventfd(initial).expect("a descriptor is available");
    watch(reactor, fd, Interest::READABLE, Trigger::Edge, ())
}
