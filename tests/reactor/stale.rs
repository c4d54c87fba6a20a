//! Stale tokens, which outlive their registration, and ghost registrations, which outlive their
//! token.
//!
//! The test with two sources that free each other is in `tests/stale/main.rs`, alone in its
//! process, since it must know which number the next descriptor gets.

use core::time::Duration;

use epollite::event::EPOLLIN;
use epollite::kernel::Syscall;
use epollite::{Errno, Instant, Interest, Kernel, Linux, Reactor, Token, Trigger};

use super::support::{Refusing, io_event, keep, poll_now, refusing, send, stream_pair, watch};

#[test]
fn a_stale_token_resolves_to_none() {
    let mut reactor = Reactor::new().unwrap();
    let old = keep(&mut reactor, Linux.eventfd(0).unwrap());
    assert_eq!(reactor.close(old), Some(()));
    let new = keep(&mut reactor, Linux.eventfd(0).unwrap());
    assert_eq!((new.slot(), reactor.len()), (old.slot(), 1));
    assert!(reactor.get_mut(old).is_none());
    assert!(reactor.close(old).is_none());
    assert!(reactor.deregister(old).is_none());
    assert_eq!(reactor.token_at(old.slot()), Some(new));
    assert!(reactor.get_mut(new).is_some());
}

#[test]
fn an_unknown_token_resolves_to_none() {
    let mut reactor = Reactor::<()>::new().unwrap();
    for token in [0, 1, u64::MAX].map(Token::from_bits) {
        assert!(reactor.get_mut(token).is_none());
        assert!(reactor.close(token).is_none());
        assert!(reactor.deregister(token).is_none());
        assert_eq!(reactor.token_at(token.slot()), None);
    }
}

#[test]
fn no_event_is_reported_after_deregister_not_even_of_the_same_batch() {
    let mut reactor = Reactor::new().unwrap();
    let tokens = [(); 2].map(|()| {
        let ready = Linux.eventfd(1).unwrap();
        watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ())
    });
    let (first, _) = super::support::await_io(&mut reactor);
    for token in tokens {
        let (fd, ()) = reactor.deregister(token).unwrap();
        reactor.kernel().close(fd).unwrap();
    }
    assert!(tokens.contains(&first));
    assert_eq!(poll_now(&mut reactor), None);
    assert_eq!(reactor.stale_events(), 1, "it was already in the batch");
}

#[test]
fn deregister_removes_the_registration_of_a_dup() {
    let mut reactor = Reactor::with_kernel(refusing(&[])).unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let dup = reactor.kernel().dup(&near).unwrap();
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, ());
    let far = keep(&mut reactor, far);
    reactor.kernel().hook.calls.clear();
    let (near, ()) = reactor.deregister(near).unwrap();
    assert_eq!(reactor.kernel().hook.calls, [Syscall::EpollCtl]);
    reactor.kernel().close(near).unwrap();
    send(&mut reactor, far, b"to a dup");
    assert_eq!(poll_now(&mut reactor), None);
    assert_eq!(reactor.stale_events(), 0, "invariant: a deregistered source causes no stale event");
    reactor.kernel().close(dup).unwrap();
}

#[test]
fn an_edge_ghost_registration_counts_as_stale() {
    let (mut reactor, far, dup) = with_ghost_registration(Trigger::Edge);
    assert_eq!(poll_now(&mut reactor), None);
    assert_eq!(reactor.stale_events(), 1);
    send(&mut reactor, far, b"boo");
    assert_eq!(poll_now(&mut reactor), None);
    assert_eq!(reactor.stale_events(), 2);
    Linux.close(dup).unwrap();
}

#[test]
fn a_level_registration_is_deregistered_before_it_is_closed() {
    for (trigger, calls) in [
        (Trigger::Level, &[Syscall::EpollCtl, Syscall::Close][..]),
        (Trigger::Edge, &[Syscall::Close]),
        (Trigger::OneShot, &[Syscall::Close]),
        (Trigger::EdgeOneShot, &[Syscall::Close]),
    ] {
        let mut reactor = Reactor::with_kernel(refusing(&[])).unwrap();
        let (near, far) = stream_pair(reactor.kernel());
        let dup = reactor.kernel().dup(&near).unwrap();
        let near = watch(&mut reactor, near, Interest::READABLE, trigger, ());
        let far = keep(&mut reactor, far);
        reactor.kernel().hook.calls.clear();
        reactor.close(near);
        assert_eq!(reactor.kernel().hook.calls, calls, "{trigger:?}");
        for _ in 0..3 {
            send(&mut reactor, far, b"to a duplicate");
            assert_eq!(poll_now(&mut reactor), None);
        }
        assert!(
            trigger != Trigger::Level || reactor.stale_events() == 0,
            "a closed level-triggered one reports"
        );
        reactor.kernel().close(dup).unwrap();
    }
}

/// The sleep is at least one millisecond, so that in fifty there are at most fifty more waits.
#[test]
fn a_level_ghost_neither_ends_the_wait_nor_spins() {
    let (mut reactor, far, dup) = with_ghost_registration(Trigger::Level);
    for sleepers in [1, 0] {
        let before = reactor.stale_events();
        reactor.kernel().hook.calls.clear();
        let deadline = Linux.now() + Duration::from_millis(50);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        let waits = reactor.stale_events() - before;
        assert!((9..=60).contains(&waits), "invariant: stale events do not spin: {waits} waits");
        let created = reactor.kernel().hook.count(Syscall::EpollCreate1);
        assert_eq!(created, sleepers, "what it sleeps with is kept");
        let is_sleeper = |call: &Syscall| *call == Syscall::EpollCreate1;
        let first = reactor.kernel().hook.calls.iter().position(is_sleeper);
        assert_eq!(first.unwrap_or(9), 9, "eight waits for stale events are ordinary");
    }
    // Closing the last duplicate removes the ghost registration.
    reactor.close(far);
    Linux.close(dup).unwrap();
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn a_wait_without_a_deadline_continues_after_a_level_ghost() {
    let (mut reactor, _far, dup) = with_ghost_registration(Trigger::Level);
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || {
        // More waits than any limit on them.
        std::thread::sleep(Duration::from_millis(30));
        waker.wake(&mut Linux)
    });
    assert_eq!(reactor.next(None), Ok(Some(epollite::Event::Woken)));
    thread.join().unwrap().unwrap();
    Linux.close(dup).unwrap();
}

/// No descriptor is left for the timer: the wait returns to the caller, and is not an error.
#[test]
fn a_level_ghost_without_a_descriptor_to_sleep_with_returns_the_errno_of_epoll_create1() {
    let (mut reactor, _far, dup) = with_ghost_registration(Trigger::Level);
    reactor.kernel().hook.planned.push((Syscall::EpollCreate1, Errno::EMFILE, u32::MAX));
    assert_eq!(reactor.next(None), Err(Errno::EMFILE));
    assert!(reactor.stale_events() < 2_000, "no unbounded loop");
    reactor.kernel().hook.planned.clear();
    let ready = Linux.eventfd(1).unwrap();
    let live = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    assert_eq!(reactor.next(None).unwrap(), io_event(live, EPOLLIN), "and no EOF");
    Linux.close(dup).unwrap();
}

#[test]
fn live_events_are_delivered_with_a_ghost_registration() {
    let (mut reactor, _far, dup) = with_ghost_registration(Trigger::Level);
    let ready = Linux.eventfd(1).unwrap();
    let live = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    for _ in 0..3 {
        assert_eq!(reactor.next(None).unwrap(), io_event(live, EPOLLIN));
    }
    Linux.close(dup).unwrap();
}

#[test]
fn an_expired_deadline_is_reported_before_a_ghost_registration() {
    let (mut reactor, _far, dup) = with_ghost_registration(Trigger::Level);
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.stale_events(), 1, "invariant: one wait, and no busy loop");
    Linux.close(dup).unwrap();
}

#[test]
fn timers_fire_with_a_ghost_registration() {
    let (mut reactor, far, dup) = with_ghost_registration(Trigger::Level);
    reactor.get_mut(far).unwrap().1.set_deadline(Instant::ZERO);
    let timer = epollite::Event::Timer { token: far };
    assert_eq!(poll_now(&mut reactor), Some(timer));
    Linux.close(dup).unwrap();
}

/// A reactor with a readable ghost registration: closed without being deregistered (the kernel
/// refuses the deregistration), while a duplicate stays open. Returned with the other end of the
/// stream, and the duplicate.
fn with_ghost_registration(trigger: Trigger) -> (Reactor<(), Refusing>, Token, epollite::Fd) {
    let mut reactor = Reactor::with_kernel(refusing(&[])).expect("a descriptor is available");
    let (near, far) = stream_pair(reactor.kernel());
    let dup = reactor.kernel().dup(&near).expect("another descriptor is available");
    let near = watch(&mut reactor, near, Interest::READABLE, trigger, ());
    let far = keep(&mut reactor, far);
    reactor.kernel().hook.planned.push((Syscall::EpollCtl, Errno::ENOMEM, 1));
    reactor.close(near);
    reactor.kernel().hook.planned.clear();
    send(&mut reactor, far, b"boo");
    (reactor, far, dup)
}
