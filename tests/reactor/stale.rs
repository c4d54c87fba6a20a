//! Tokens that outlive their registration, and ghosts: registrations that outlive their token.
//!
//! The test with two sources that free each other is in `tests/stale.rs`, alone in its process,
//! since it must know which number the next descriptor gets.

use core::time::Duration;

use epollite::event::EPOLLIN;
use epollite::{Call, Errno, Instant, Interest, Kernel, Linux, Reactor, Token, Trigger};

use super::world::{Refusing, ask, io, keep, refusing, send, stream_pair, watch};

#[test]
fn a_stale_token_names_nobody() {
    let mut reactor = Reactor::new().unwrap();
    let old = keep(&mut reactor, Linux.eventfd(0).unwrap());
    assert_eq!(reactor.close(old), Some(()));
    let new = keep(&mut reactor, Linux.eventfd(0).unwrap());
    assert_eq!((new.slot(), reactor.len()), (old.slot(), 1));
    assert!(reactor.source(old).is_none());
    assert!(reactor.close(old).is_none());
    assert!(reactor.deregister(old).is_none());
    assert_eq!(reactor.token_at(old.slot()), Some(new));
    assert!(reactor.source(new).is_some());
}

#[test]
fn a_token_of_nowhere_names_nobody() {
    let mut reactor = Reactor::<()>::new().unwrap();
    for token in [0, 1, u64::MAX].map(Token::from_bits) {
        assert!(reactor.source(token).is_none());
        assert!(reactor.close(token).is_none());
        assert!(reactor.deregister(token).is_none());
        assert_eq!(reactor.token_at(token.slot()), None);
    }
}

#[test]
fn no_event_comes_after_deregister_not_even_one_of_the_same_batch() {
    let mut reactor = Reactor::new().unwrap();
    let tokens = [(); 2].map(|()| {
        let ready = Linux.eventfd(1).unwrap();
        watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ())
    });
    let (first, _) = super::world::await_io(&mut reactor);
    for token in tokens {
        let (fd, ()) = reactor.deregister(token).unwrap();
        reactor.kernel().close(fd).unwrap();
    }
    assert!(tokens.contains(&first));
    assert_eq!(ask(&mut reactor), None);
    assert_eq!(reactor.stale(), 1, "it was in the batch already");
}

#[test]
fn deregister_tells_the_kernel_so_that_a_living_dup_is_no_ghost() {
    let mut reactor = Reactor::on(refusing(&[])).unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let dup = reactor.kernel().dup(&near).unwrap();
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, ());
    let far = keep(&mut reactor, far);
    reactor.kernel().tap.heard.clear();
    let (near, ()) = reactor.deregister(near).unwrap();
    assert_eq!(reactor.kernel().tap.heard, [Call::EpollCtl]);
    reactor.kernel().close(near).unwrap();
    send(&mut reactor, far, b"to a dup");
    assert_eq!(ask(&mut reactor), None);
    assert_eq!(reactor.stale(), 0, "law: who is deregistered haunts nobody");
    reactor.kernel().close(dup).unwrap();
}

#[test]
fn an_edge_ghost_is_counted_and_costs_one_more_wait() {
    let (mut reactor, far, dup) = haunted(Trigger::Edge);
    assert_eq!(ask(&mut reactor), None);
    assert_eq!(reactor.stale(), 1);
    send(&mut reactor, far, b"boo");
    assert_eq!(ask(&mut reactor), None);
    assert_eq!(reactor.stale(), 2);
    Linux.close(dup).unwrap();
}

#[test]
fn a_level_registration_is_deregistered_before_it_is_closed() {
    for (trigger, calls) in [
        (Trigger::Level, &[Call::EpollCtl, Call::Close][..]),
        (Trigger::Edge, &[Call::Close]),
        (Trigger::OneShot, &[Call::Close]),
        (Trigger::EdgeOneShot, &[Call::Close]),
    ] {
        let mut reactor = Reactor::on(refusing(&[])).unwrap();
        let (near, far) = stream_pair(reactor.kernel());
        let dup = reactor.kernel().dup(&near).unwrap();
        let near = watch(&mut reactor, near, Interest::READABLE, trigger, ());
        let far = keep(&mut reactor, far);
        reactor.kernel().tap.heard.clear();
        reactor.close(near);
        assert_eq!(reactor.kernel().tap.heard, calls, "{trigger:?}");
        for _ in 0..3 {
            send(&mut reactor, far, b"to a duplicate");
            assert_eq!(ask(&mut reactor), None);
        }
        assert!(trigger != Trigger::Level || reactor.stale() == 0, "a closed level one reports");
        reactor.kernel().close(dup).unwrap();
    }
}

/// The sleep is one millisecond at least, so that in fifty there are at most fifty more waits.
#[test]
fn a_level_ghost_neither_ends_the_wait_nor_spins() {
    let (mut reactor, far, dup) = haunted(Trigger::Level);
    for _ in 0..2 {
        let before = reactor.stale();
        let deadline = Linux.now() + Duration::from_millis(50);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        let waits = reactor.stale() - before;
        assert!((9..=60).contains(&waits), "invariant: stale events do not spin: {waits} waits");
    }
    // With the last duplicate the ghost is gone.
    reactor.close(far);
    Linux.close(dup).unwrap();
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn a_wait_without_a_deadline_outlasts_a_level_ghost() {
    let (mut reactor, _far, dup) = haunted(Trigger::Level);
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || {
        // More waits than any bound on them.
        std::thread::sleep(Duration::from_millis(30));
        waker.wake(&mut Linux)
    });
    assert_eq!(reactor.next(None), Ok(Some(epollite::Event::Woken)));
    thread.join().unwrap().unwrap();
    Linux.close(dup).unwrap();
}

/// Nothing is left to sleep with: the wait is given back to the caller, with what the kernel said of
/// the descriptor to sleep with, and no errno that it did not say.
#[test]
fn a_level_ghost_without_a_descriptor_to_sleep_with_is_told_by_the_errno_of_that() {
    let (mut reactor, _far, dup) = haunted(Trigger::Level);
    reactor.kernel().tap.planned.push((Call::EpollCreate1, Errno::EMFILE, u32::MAX));
    assert_eq!(reactor.next(None), Err(Errno::EMFILE));
    assert!(reactor.stale() < 2_000, "no loop without a bound");
    reactor.kernel().tap.planned.clear();
    let ready = Linux.eventfd(1).unwrap();
    let living = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    assert_eq!(reactor.next(None).unwrap(), io(living, EPOLLIN), "and not the end");
    Linux.close(dup).unwrap();
}

#[test]
fn the_living_are_heard_in_spite_of_a_level_ghost() {
    let (mut reactor, _far, dup) = haunted(Trigger::Level);
    let ready = Linux.eventfd(1).unwrap();
    let living = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    for _ in 0..3 {
        assert_eq!(reactor.next(None).unwrap(), io(living, EPOLLIN));
    }
    Linux.close(dup).unwrap();
}

#[test]
fn a_deadline_that_has_passed_ends_the_wait_in_spite_of_a_level_ghost() {
    let (mut reactor, _far, dup) = haunted(Trigger::Level);
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.stale(), 1, "law: one look, and no spin");
    Linux.close(dup).unwrap();
}

#[test]
fn deadlines_come_in_spite_of_a_level_ghost() {
    let (mut reactor, far, dup) = haunted(Trigger::Level);
    reactor.source(far).unwrap().io.set_deadline(Instant::ZERO);
    let timer = epollite::Event::Timer { token: far };
    assert_eq!(ask(&mut reactor), Some(timer));
    Linux.close(dup).unwrap();
}

/// A reactor with a ghost in it, readable: closed without being deregistered (the kernel refuses
/// that), while a duplicate lives. With the other end of the stream, and the duplicate.
fn haunted(trigger: Trigger) -> (Reactor<(), Refusing>, Token, epollite::Fd) {
    let mut reactor = Reactor::on(refusing(&[])).expect("one descriptor is to be had");
    let (near, far) = stream_pair(reactor.kernel());
    let dup = reactor.kernel().dup(&near).expect("one more is to be had");
    let near = watch(&mut reactor, near, Interest::READABLE, trigger, ());
    let far = keep(&mut reactor, far);
    reactor.kernel().tap.planned.push((Call::EpollCtl, Errno::ENOMEM, 1));
    reactor.close(near);
    reactor.kernel().tap.planned.clear();
    send(&mut reactor, far, b"boo");
    (reactor, far, dup)
}
