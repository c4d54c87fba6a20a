//! Deadlines of registrations: order, moving, cancelling, and starvation.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::event::EPOLLIN;
use epollite::reactor::Limits;
use epollite::{Event, Instant, Interest, Kernel, Linux, Reactor, Token, Trigger};

use super::support::{io_event, poll_now, watch};

#[test]
fn deadlines_fire_once_and_in_order() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b, c] = [30, 10, 20].map(|nanos| silent(&mut reactor, Some(nanos)));
    for token in [b, c, a] {
        assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token }));
    }
    assert_eq!(poll_now(&mut reactor), None, "invariant: a deadline fires once");
}

#[test]
fn equal_deadlines_fire_in_slot_order() {
    let mut reactor = Reactor::new().unwrap();
    let tokens = [(); 5].map(|()| silent(&mut reactor, Some(7)));
    for token in tokens {
        assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token }));
    }
}

#[test]
fn a_deadline_can_be_moved_both_ways() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [10, 20].map(|nanos| silent(&mut reactor, Some(nanos)));
    set(&mut reactor, a, Instant::from_nanos(30));
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: b }));
    set(&mut reactor, b, Instant::MAX);
    set(&mut reactor, b, Instant::from_nanos(5));
    // A deadline in the past counts as of now, and `a` was due before that.
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: a }));
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: b }));
    assert_eq!(poll_now(&mut reactor), None, "invariant: a moved deadline is not added");
}

#[test]
fn a_deadline_that_is_always_moved_to_the_past_does_not_starve_another() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [1, 2].map(|nanos| silent(&mut reactor, Some(nanos)));
    for _ in 0..100 {
        let fired = poll_now(&mut reactor);
        if fired == Some(Event::Timer { token: b }) {
            return;
        }
        assert_eq!(fired, Some(Event::Timer { token: a }));
        set(&mut reactor, a, Instant::ZERO);
    }
    panic!("invariant: no deadline is starved by another");
}

#[test]
fn a_cancelled_deadline_does_not_fire_not_even_in_the_same_round() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b, c] = [1, 2, 3].map(|nanos| silent(&mut reactor, Some(nanos)));
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: a }));
    let (_, mut io) = reactor.get_mut(b).unwrap();
    assert!(io.cancel_deadline());
    assert!(!io.cancel_deadline(), "the deadline is cancelled");
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: c }));
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn deregister_and_close_cancel_the_deadline() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [1, 2].map(|nanos| silent(&mut reactor, Some(nanos)));
    let (fd, ()) = reactor.deregister(a).unwrap();
    reactor.kernel().close(fd).unwrap();
    reactor.close(b).unwrap();
    // The registrations that reuse the slots have no deadline.
    for _ in 0..2 {
        silent(&mut reactor, None);
    }
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn a_timer_that_rearms_itself_in_the_past_starves_no_descriptor() {
    let mut reactor = Reactor::new().unwrap();
    let timer = silent(&mut reactor, Some(0));
    let ready = Linux.eventfd(1).unwrap();
    let busy = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    for _ in 0..100 {
        assert_eq!(reactor.next(None), Ok(io_event(busy, EPOLLIN)));
        assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token: timer })));
        set(&mut reactor, timer, Instant::ZERO);
    }
}

#[test]
fn a_timer_set_during_an_iteration_fires_in_the_next() {
    let mut reactor = Reactor::new().unwrap();
    let ready = Linux.eventfd(1).unwrap();
    let busy = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    assert_eq!(reactor.next(None), Ok(io_event(busy, EPOLLIN)));
    set(&mut reactor, busy, Instant::ZERO);
    assert_eq!(reactor.try_next(), None);
    assert_eq!(reactor.next(None), Ok(io_event(busy, EPOLLIN)));
    assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token: busy })));
}

/// One requeued registration is removed within its round, and nothing else is left of the round.
#[test]
fn a_timer_set_during_an_iteration_waits_for_the_next_although_one_was_requeued() {
    let mut reactor = Reactor::new().unwrap();
    let requeued = silent(&mut reactor, None);
    let ready = Linux.eventfd(1).unwrap();
    let busy = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    reactor.get_mut(requeued).unwrap().1.requeue(epollite::event::Ready::READABLE);
    assert_eq!(poll_now(&mut reactor), io_event(busy, EPOLLIN));
    reactor.close(requeued).unwrap();
    set(&mut reactor, busy, Instant::ZERO);
    assert_eq!(reactor.next(None), Ok(io_event(busy, EPOLLIN)), "and no end of the wait");
    assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token: busy })));
}

#[test]
fn a_deadline_at_the_maximum_time_does_not_fire_early() {
    let mut reactor = Reactor::new().unwrap();
    let token = silent(&mut reactor, None);
    let never = reactor.kernel().now() + Duration::MAX;
    assert_eq!(never, Instant::MAX);
    set(&mut reactor, token, never);
    let soon = reactor.kernel().now() + Duration::from_millis(2);
    assert_eq!(reactor.next(Some(soon)), Ok(None));
    // Linux accepts such a timeout: this waits for it, until it is woken.
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(reactor.next(Some(never)), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
}

#[test]
fn a_deadline_ends_a_wait_without_one_and_never_too_early() {
    let mut reactor = Reactor::new().unwrap();
    let token = silent(&mut reactor, None);
    for micros in [1, 50, 400, 1_500] {
        let deadline = reactor.kernel().now() + Duration::from_micros(micros);
        set(&mut reactor, token, deadline);
        assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token })));
        let now = reactor.kernel().now();
        assert!(now >= deadline, "invariant: a deadline does not come early");
    }
}

#[test]
fn the_earlier_of_both_deadlines_ends_the_wait() {
    let mut reactor = Reactor::new().unwrap();
    let token = silent(&mut reactor, None);
    let now = reactor.kernel().now();
    let (soon, later) = (now + Duration::from_millis(1), now + Duration::from_secs(3_600));
    set(&mut reactor, token, soon);
    assert_eq!(reactor.next(Some(later)), Ok(Some(Event::Timer { token })));
    set(&mut reactor, token, later);
    assert_eq!(reactor.next(Some(soon)), Ok(None));
}

/// A wait returns at most 256 events. A registration that is not among them is not late.
#[test]
fn data_in_time_is_reported_before_its_deadline() {
    const PAIRS: usize = 600;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        let mut reactor = Reactor::new().unwrap();
        let ready: Vec<Token> = (0..PAIRS)
            .map(|_| {
                let fd = Linux.eventfd(1).expect("enough descriptors are available");
                let token = watch(&mut reactor, fd, Interest::READABLE, trigger, ());
                set(&mut reactor, token, Instant::from_nanos(5));
                token
            })
            .collect();
        let mut reported = Vec::new();
        while reported.len() < PAIRS {
            match reactor.next(None).unwrap() {
                Some(Event::Io { token, .. }) => {
                    reported.push(token);
                    let (_, mut io) = reactor.get_mut(token).unwrap();
                    io.syscall(|kernel, fd| kernel.read(fd, &mut [0; 8])).unwrap();
                    reactor.get_mut(token).unwrap().1.cancel_deadline();
                }
                other => panic!("{trigger:?}: {other:?} before {} events", PAIRS - reported.len()),
            }
        }
        reported.sort_unstable();
        assert_eq!(reported, ready, "{trigger:?}: each once");
        assert_eq!(poll_now(&mut reactor), None);
    }
}

/// Handlers that close what they serve shrink the set while it is iterated.
#[test]
fn data_in_time_is_reported_before_any_deadline_although_others_are_closed() {
    let limits = Limits { events_max: NonZeroU32::new(64).unwrap(), ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    for _ in 0..300 {
        let fd = Linux.eventfd(1).expect("enough descriptors are available");
        let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
        set(&mut reactor, token, Instant::from_nanos(5));
    }
    for left in (0..300).rev() {
        match reactor.next(None).unwrap() {
            Some(Event::Io { token, .. }) => assert!(reactor.close(token).is_some()),
            other => panic!("{other:?} before {left} events"),
        }
    }
    assert!(reactor.is_empty());
}

/// A batch that is always full never indicates that there is nothing more.
#[test]
fn deadlines_fire_although_every_batch_is_full() {
    let limits = Limits { events_max: NonZeroU32::new(4).unwrap(), ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    let timer = silent(&mut reactor, Some(1));
    for _ in 0..9 {
        let busy = Linux.eventfd(1).unwrap();
        watch(&mut reactor, busy, Interest::READABLE, Trigger::Level, ());
    }
    let events =
        (0..100).position(|_| reactor.next(None).unwrap() == Some(Event::Timer { token: timer }));
    let events = events.expect("invariant: ready descriptors do not starve a deadline");
    assert!(events >= 9, "each of the nine was reported before: {events}");
}

#[test]
fn a_deadline_of_the_caller_is_not_passed_before_what_is_ready_has_been_reported() {
    let mut reactor = Reactor::new().unwrap();
    for _ in 0..300 {
        let ready = Linux.eventfd(1).unwrap();
        watch(&mut reactor, ready, Interest::READABLE, Trigger::Edge, ());
    }
    let events = (0..=300).position(|_| poll_now(&mut reactor).is_none());
    assert_eq!(events, Some(300), "invariant: all ready events come before `None`");
}

#[test]
fn the_time_of_deadlines_lags_behind_the_clock_and_never_runs_ahead() {
    let mut reactor = Reactor::<()>::new().unwrap();
    assert_eq!(reactor.reported_until(), Instant::ZERO);
    let soon = Linux.now() + Duration::from_micros(300);
    assert_eq!(reactor.next(Some(soon)), Ok(None));
    assert_eq!(reactor.reported_until(), soon, "the wait returned no event");
    let before = Linux.now();
    assert_eq!(poll_now(&mut reactor), None);
    assert!((before..=Linux.now()).contains(&reactor.reported_until()));
}

/// A registration without events; its deadline is long past, if it has one.
fn silent(reactor: &mut Reactor<()>, nanos: Option<u64>) -> Token {
    let fd = Linux.eventfd(0).expect("a descriptor is available");
    let token = watch(reactor, fd, Interest::READABLE, Trigger::Level, ());
    if let Some(nanos) = nanos {
        set(reactor, token, Instant::from_nanos(nanos));
    }
    token
}

fn set(reactor: &mut Reactor<()>, token: Token, deadline: Instant) {
    let (_, mut io) = reactor.get_mut(token).expect("the token is live");
    io.set_deadline(deadline);
}
