//! Timers without a descriptor: they share order, tokens and limits with registrations, and no
//! kernel knows them.

use core::time::Duration;

use epollite::instrument::CallCounter;
use epollite::kernel::Shutdown;
use epollite::reactor::{Limits, RegisterErrorKind};
use epollite::sim::{Sim, SimConfig};
use epollite::{Errno, Event, Instant, Interest, Kernel, Linux, Reactor, Trigger};

use super::support::poll_now;

#[test]
fn timers_and_deadlines_of_descriptors_are_reported_in_one_order() {
    let mut reactor = Reactor::new().unwrap();
    let at = Instant::from_nanos;
    let late = reactor.add_timer(at(30), "late").unwrap();
    let eventfd = reactor.kernel().eventfd(0).unwrap();
    let middle =
        reactor.register_or_close(eventfd, Interest::READABLE, Trigger::Level, "middle").unwrap();
    reactor.get_mut(middle).unwrap().1.set_deadline(at(20));
    let soon = reactor.add_timer(at(10), "soon").unwrap();
    for token in [soon, middle, late] {
        assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token }));
    }
    assert_eq!(poll_now(&mut reactor), None, "invariant: a timer fires once");
    let (state, mut io) = reactor.get_mut(soon).unwrap();
    assert_eq!(*state, "soon", "invariant: a timer that has fired stays");
    io.set_deadline(Instant::ZERO);
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token: soon }));
    assert_eq!(reactor.close(soon), Some("soon"));
    assert!(reactor.get_mut(soon).is_none() && reactor.close(soon).is_none());
}

#[test]
fn a_removed_timer_does_not_fire_and_its_token_ends() {
    let mut reactor = Reactor::new().unwrap();
    let old = reactor.add_timer(Instant::ZERO, 1).unwrap();
    assert_eq!(reactor.close(old), Some(1));
    let new = reactor.add_timer(Instant::MAX, 2).unwrap();
    assert_eq!((old.slot(), old == new), (new.slot(), false));
    assert_eq!(poll_now(&mut reactor), None);
    assert!(reactor.get_mut(old).is_none());
}

#[test]
fn a_timer_has_no_descriptor() {
    check_no_descriptor(Linux);
    check_no_descriptor(Sim::new(SimConfig::default()));
}

fn check_no_descriptor<K: Kernel>(kernel: K) {
    let mut reactor = Reactor::with_kernel(CallCounter::new(kernel)).unwrap();
    let before = reactor.kernel().hook.total();
    let token = reactor.add_timer(Instant::MAX, ()).unwrap();
    assert_eq!((reactor.len(), reactor.interest_list().count()), (1, 0));
    assert!(reactor.deregister(token).is_none(), "invariant: there is no descriptor to return");
    assert_eq!(reactor.close(token), Some(()));
    assert_eq!(reactor.kernel().hook.total(), before, "invariant: no system call for a timer");

    // Dropped with a timer in it: nothing is closed that was not open, or the model would panic.
    reactor.add_timer(Instant::MAX, ()).unwrap();
}

#[test]
fn calls_on_a_timer_are_ebadf() {
    let mut reactor = Reactor::new().unwrap();
    let token = reactor.add_timer(Instant::MAX, ()).unwrap();
    let (_, mut io) = reactor.get_mut(token).unwrap();
    assert_eq!(io.recv(&mut [0; 8]), Err(Errno::EBADF));
    assert_eq!(io.send(b"x"), Err(Errno::EBADF));
    assert_eq!(io.shutdown(Shutdown::Both), Err(Errno::EBADF));
    assert_eq!(
        io.modify(Interest::READABLE, Trigger::Edge),
        Err(RegisterErrorKind::Os(Errno::EBADF))
    );
}

#[test]
fn timers_count_against_the_limit() {
    let limits = Limits { registrations_max: 1, ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    let token = reactor.add_timer(Instant::MAX, ()).unwrap();
    assert_eq!(reactor.add_timer(Instant::MAX, ()), Err(RegisterErrorKind::Full));
    reactor.close(token);
    assert!(reactor.add_timer(Instant::MAX, ()).is_ok());
}

#[test]
fn a_wait_ends_with_the_timer() {
    let mut reactor = Reactor::with_kernel(Sim::new(SimConfig::default())).unwrap();
    let deadline = reactor.kernel().now() + Duration::from_millis(7);
    let token = reactor.add_timer(deadline, ()).unwrap();
    assert_eq!(reactor.next(None), Ok(Some(Event::Timer { token })));
    assert!(reactor.kernel().now() >= deadline, "invariant: no timer is early");
}

#[test]
fn a_timer_that_is_always_added_in_the_past_does_not_starve_another() {
    let mut reactor = Reactor::new().unwrap();
    reactor.add_timer(Instant::from_nanos(1), "again").unwrap();
    let other = reactor.add_timer(Instant::from_nanos(2), "other").unwrap();
    for _ in 0..100 {
        let Some(Event::Timer { token }) = poll_now(&mut reactor) else {
            panic!("invariant: a timer in the past is due");
        };
        if token == other {
            return;
        }
        reactor.close(token);
        reactor.add_timer(Instant::ZERO, "again").unwrap();
    }
    panic!("invariant: no timer is starved by another");
}
