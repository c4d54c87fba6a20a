//! Deadlines of registrations: their order, moving and taking back, and who starves whom.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::event::EPOLLIN;
use epollite::{Event, Instant, Interest, Kernel, Limits, Linux, Reactor, Token, Trigger};

use super::world::{ask, io, watch};

#[test]
fn deadlines_come_in_their_order_and_once() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b, c] = [30, 10, 20].map(|nanos| silent(&mut reactor, Some(nanos)));
    for token in [b, c, a] {
        assert_eq!(ask(&mut reactor), Some(Event::Timer { token }));
    }
    assert_eq!(ask(&mut reactor), None, "law: a deadline fires once");
}

#[test]
fn equal_deadlines_come_by_slot() {
    let mut reactor = Reactor::new().unwrap();
    let tokens = [(); 5].map(|()| silent(&mut reactor, Some(7)));
    for token in tokens {
        assert_eq!(ask(&mut reactor), Some(Event::Timer { token }));
    }
}

#[test]
fn a_deadline_can_be_moved_both_ways() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [10, 20].map(|nanos| silent(&mut reactor, Some(nanos)));
    set(&mut reactor, a, Instant::from_nanos(30));
    assert_eq!(ask(&mut reactor), Some(Event::Timer { token: b }));
    set(&mut reactor, b, Instant::NEVER);
    set(&mut reactor, b, Instant::from_nanos(5));
    // In the past counts as of now, and `a` was due before that.
    assert_eq!(ask(&mut reactor), Some(Event::Timer { token: a }));
    assert_eq!(ask(&mut reactor), Some(Event::Timer { token: b }));
    assert_eq!(ask(&mut reactor), None, "law: moved is not added");
}

#[test]
fn a_deadline_that_is_always_set_back_does_not_starve_another() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [1, 2].map(|nanos| silent(&mut reactor, Some(nanos)));
    for _ in 0..100 {
        let fired = ask(&mut reactor);
        if fired == Some(Event::Timer { token: b }) {
            return;
        }
        assert_eq!(fired, Some(Event::Timer { token: a }));
        set(&mut reactor, a, Instant::ZERO);
    }
    panic!("law: nobody's deadline waits for ever behind another's");
}

#[test]
fn a_deadline_taken_back_does_not_come_not_even_in_the_same_round() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b, c] = [1, 2, 3].map(|nanos| silent(&mut reactor, Some(nanos)));
    assert_eq!(ask(&mut reactor), Some(Event::Timer { token: a }));
    let mut source = reactor.source(b).unwrap();
    assert!(source.io.cancel_deadline());
    assert!(!source.io.cancel_deadline(), "there is none any more");
    assert_eq!(ask(&mut reactor), Some(Event::Timer { token: c }));
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn deregister_and_close_take_the_deadline_back() {
    let mut reactor = Reactor::new().unwrap();
    let [a, b] = [1, 2].map(|nanos| silent(&mut reactor, Some(nanos)));
    let (fd, ()) = reactor.deregister(a).unwrap();
    reactor.kernel().close(fd).unwrap();
    reactor.close(b).unwrap();
    // Who has the slots now has no deadline.
    for _ in 0..2 {
        silent(&mut reactor, None);
    }
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn a_timer_that_rearms_itself_in_the_past_starves_no_descriptor() {
    let mut reactor = Reactor::new().unwrap();
    let timer = silent(&mut reactor, Some(0));
    let ready = Linux.eventfd(1).unwrap();
    let busy = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    for _ in 0..100 {
        assert_eq!(reactor.next(None), Ok(io(busy, EPOLLIN)));
        assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token: timer })));
        set(&mut reactor, timer, Instant::ZERO);
    }
}

#[test]
fn a_timer_set_while_a_turn_is_under_way_waits_for_the_next() {
    let mut reactor = Reactor::new().unwrap();
    let ready = Linux.eventfd(1).unwrap();
    let busy = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    assert_eq!(reactor.next(None), Ok(io(busy, EPOLLIN)));
    set(&mut reactor, busy, Instant::ZERO);
    assert_eq!(reactor.pending(), None);
    assert_eq!(reactor.next(None), Ok(io(busy, EPOLLIN)));
    assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token: busy })));
}

#[test]
fn a_deadline_at_the_end_of_time_does_not_come_early() {
    let mut reactor = Reactor::new().unwrap();
    let token = silent(&mut reactor, None);
    let never = reactor.kernel().now() + Duration::MAX;
    assert_eq!(never, Instant::NEVER);
    set(&mut reactor, token, never);
    let soon = reactor.kernel().now() + Duration::from_millis(2);
    assert_eq!(reactor.next(Some(soon)), Ok(None));
    // And Linux takes such a timeout: this waits for it, until it is woken.
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
        assert!(now >= deadline, "law: a deadline does not come early");
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

/// A wait brings 256 events at most. Whoever is not among them is not late for that.
#[test]
fn what_arrived_in_time_is_reported_before_its_deadline() {
    const PAIRS: usize = 600;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        let mut reactor = Reactor::new().unwrap();
        let ready: Vec<Token> = (0..PAIRS)
            .map(|_| {
                let fd = Linux.eventfd(1).expect("so many descriptors are to be had");
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
                    let source = reactor.source(token).unwrap();
                    source.io.kernel.read(source.io.fd, &mut [0; 8]).unwrap();
                    reactor.source(token).unwrap().io.cancel_deadline();
                }
                other => panic!("{trigger:?}: {other:?} before {} events", PAIRS - reported.len()),
            }
        }
        reported.sort_unstable();
        assert_eq!(reported, ready, "{trigger:?}: each once");
        assert_eq!(ask(&mut reactor), None);
    }
}

/// Handlers that close what they serve make the crowd smaller while it is gone through.
#[test]
fn what_arrived_in_time_is_reported_before_any_deadline_although_others_are_closed() {
    let limits = Limits { events_max: NonZeroU32::new(64).unwrap(), ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    for _ in 0..300 {
        let fd = Linux.eventfd(1).expect("so many descriptors are to be had");
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

/// A batch that is always full never says that there is nothing more.
#[test]
fn deadlines_come_although_every_batch_is_full() {
    let limits = Limits { events_max: NonZeroU32::new(4).unwrap(), ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    let timer = silent(&mut reactor, Some(1));
    for _ in 0..9 {
        let busy = Linux.eventfd(1).unwrap();
        watch(&mut reactor, busy, Interest::READABLE, Trigger::Level, ());
    }
    let events =
        (0..100).position(|_| reactor.next(None).unwrap() == Some(Event::Timer { token: timer }));
    let events = events.expect("invariant: no crowd of the ready starves a deadline");
    assert!(events >= 9, "each of the nine had its place before: {events}");
}

#[test]
fn a_deadline_of_the_caller_is_not_passed_before_what_is_ready_has_been_reported() {
    let mut reactor = Reactor::new().unwrap();
    for _ in 0..300 {
        let ready = Linux.eventfd(1).unwrap();
        watch(&mut reactor, ready, Interest::READABLE, Trigger::Edge, ());
    }
    let events = (0..=300).position(|_| ask(&mut reactor).is_none());
    assert_eq!(events, Some(300), "invariant: all that is ready comes before `None`");
}

#[test]
fn the_time_of_deadlines_lags_behind_the_clock_and_never_runs_ahead() {
    let mut reactor = Reactor::<()>::new().unwrap();
    assert_eq!(reactor.reported_until(), Instant::ZERO);
    let soon = Linux.now() + Duration::from_micros(300);
    assert_eq!(reactor.next(Some(soon)), Ok(None));
    assert_eq!(reactor.reported_until(), soon, "the wait for it found nothing");
    let before = Linux.now();
    assert_eq!(ask(&mut reactor), None);
    assert!((before..=Linux.now()).contains(&reactor.reported_until()));
}

/// A registration of which no event comes; its deadline is long past, if it has one.
fn silent(reactor: &mut Reactor<()>, nanos: Option<u64>) -> Token {
    let fd = Linux.eventfd(0).expect("one descriptor is to be had");
    let token = watch(reactor, fd, Interest::READABLE, Trigger::Level, ());
    if let Some(nanos) = nanos {
        set(reactor, token, Instant::from_nanos(nanos));
    }
    token
}

fn set(reactor: &mut Reactor<()>, token: Token, deadline: Instant) {
    let mut source = reactor.source(token).expect("it lives");
    source.io.set_deadline(deadline);
}
