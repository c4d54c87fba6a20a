//! Waking from other threads: nothing is lost, little is called, and the end is the end.

use std::sync::{Barrier, Mutex};
use std::thread;

use epollite::event::EPOLLIN;
use epollite::kernel::{Tap, Tapped};
use epollite::{Call, Counted, Counts, Errno, Event, Instant, Interest, Kernel, Linux, Reactor};
use epollite::{Trigger, Waker};

use super::world::{ask, io, refusing, watch};

#[test]
fn wakes_before_the_reactor_has_heard_are_one_call_and_one_event() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel = Counted::over(Linux);
    for round in 1..=3 {
        for waker in [waker.clone(), waker.clone(), reactor.waker().unwrap()] {
            waker.wake(&mut kernel).unwrap();
        }
        assert_eq!(kernel.tap.calls(Call::Write), round, "law: coalesced");
        assert_eq!(ask(&mut reactor), Some(Event::Woken));
        assert_eq!(ask(&mut reactor), None);
    }
    assert_eq!(kernel.tap.total(), 3, "law: one call a wake, and it is never read");
}

#[test]
fn a_second_waker_costs_no_call() {
    let mut reactor = Reactor::<(), _>::on(Counted::over(Linux)).unwrap();
    let _first = reactor.waker().unwrap();
    let before = reactor.kernel().tap;
    let _second = reactor.waker().unwrap();
    assert_eq!(reactor.kernel().tap, before);
}

#[test]
fn a_wake_ends_a_wait_for_ever() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let thread = thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
}

#[test]
fn a_wake_comes_beside_other_events() {
    let mut reactor = Reactor::new().unwrap();
    let waker = reactor.waker().unwrap();
    let ready = Linux.eventfd(1).unwrap();
    let token = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    waker.wake(&mut Linux).unwrap();
    let mut heard = [reactor.next(None).unwrap(), reactor.pending()];
    heard.sort_by_key(|event| *event == Some(Event::Woken));
    assert_eq!(heard, [io(token, EPOLLIN), Some(Event::Woken)]);
}

#[test]
fn a_full_counter_is_emptied_so_that_the_wake_is_an_edge() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(ask(&mut reactor), Some(Event::Woken));
    let mut kernel = refusing(&[(Call::Write, Errno::EAGAIN, 1)]);
    waker.wake(&mut kernel).unwrap();
    assert_eq!(kernel.tap.heard, [Call::Write, Call::Read, Call::Write]);
    assert_eq!(ask(&mut reactor), Some(Event::Woken));
}

#[test]
fn a_wake_that_failed_does_not_hold_the_next_one_back() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel = refusing(&[(Call::Write, Errno::EIO, 1)]);
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EIO));
    assert_eq!(waker.wake(&mut kernel), Ok(()));
    assert_eq!(ask(&mut reactor), Some(Event::Woken));
}

#[test]
fn a_waker_that_could_not_be_made_leaks_nothing_and_can_be_made_later() {
    let mut kernel = refusing(&[(Call::EpollCtl, Errno::ENOSPC, 1)]);
    let mut reactor = Reactor::<(), _>::on(&mut kernel).unwrap();
    assert_eq!(reactor.waker().unwrap_err(), Errno::ENOSPC);
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(ask(&mut reactor), Some(Event::Woken));
    drop(reactor);
    assert_eq!(kernel.tap.count(Call::Close), 3, "two eventfds and the epoll");
}

#[test]
fn when_the_reactor_is_gone_a_wake_is_epipe_and_makes_no_call() {
    let (waker, mut kernel) = (orphan(false), Counted::over(Linux));
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EPIPE));
    assert_eq!(kernel.tap.total(), 0);
}

#[test]
fn when_the_reactor_is_gone_every_wake_is_epipe() {
    let waker = orphan(false);
    let heard = [(); 3].map(|()| waker.clone().wake(&mut Linux));
    assert_eq!(heard, [Err(Errno::EPIPE); 3], "law: gone is gone");
}

#[test]
fn when_the_reactor_went_without_hearing_a_wake_is_epipe_too() {
    let waker = orphan(true);
    assert_eq!(waker.wake(&mut Linux), Err(Errno::EPIPE), "law: gone is gone");
}

#[test]
fn dropping_wakers_closes_nothing_and_the_reactor_closes_it_once() {
    let mut kernel = Counted::over(Linux);
    let mut reactor = Reactor::<(), _>::on(&mut kernel).unwrap();
    let waker = reactor.waker().unwrap();
    drop((waker.clone(), waker));
    assert_eq!(reactor.kernel().tap.calls(Call::Close), 0);
    // A waker made anew is the same, and works.
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
    drop(reactor);
    assert_eq!(kernel.tap.calls(Call::Close), 2, "the eventfd and the epoll");
    assert_eq!(kernel.tap.calls(Call::Eventfd), 1);
}

#[test]
fn many_threads_with_a_queue_lose_nothing() {
    const THREADS: u32 = 4;
    const ITEMS: u32 = 2_000;
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let queue = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (waker, queue) = (waker.clone(), &queue);
            scope.spawn(move || {
                for item in 0..ITEMS {
                    queue.lock().unwrap().push((thread, item));
                    waker.wake(&mut Linux).unwrap();
                }
            });
        }
        let mut seen = [0; THREADS as usize];
        // It hangs when a wake is lost: only a wake makes it look.
        while seen.iter().sum::<u32>() < THREADS * ITEMS {
            assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
            for (thread, item) in queue.lock().unwrap().drain(..) {
                let expected: &mut u32 = &mut seen[thread as usize];
                assert_eq!(item, *expected, "law: first in, first out");
                *expected += 1;
            }
        }
    });
}

#[test]
fn a_reactor_that_goes_while_threads_wake_it_closes_the_eventfd_exactly_once() {
    const THREADS: usize = 3;
    for _ in 0..200 {
        let mut kernel = Counted::over(Linux);
        let mut reactor = Reactor::<(), _>::on(&mut kernel).unwrap();
        let waker = reactor.waker().unwrap();
        let start = Barrier::new(THREADS + 1);
        let mut counts = Counts::ZERO;
        thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| {
                let (waker, start) = (waker.clone(), &start);
                scope.spawn(move || wake_thrice(&waker, start))
            });
            start.wait();
            ask(&mut reactor);
            drop(reactor);
            for thread in threads {
                counts.add(&thread.join().unwrap());
            }
        });
        counts.add(&kernel.tap);
        let closes = counts.calls(Call::Close);
        assert_eq!(closes, 2, "law: the eventfd is closed once, and the epoll");
        assert_eq!(counts.errors(Call::Close) + counts.errors(Call::Write), 0);
    }
}

#[test]
fn the_last_who_writes_closes_for_a_reactor_that_has_gone() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel =
        Tapped { kernel: Linux, tap: GoesAtTheWrite { reactor: Some(reactor), closes: 0 } };
    assert_eq!(waker.wake(&mut kernel), Ok(()), "it had begun in time");
    assert_eq!(kernel.tap.closes, 1, "law: the eventfd is closed by the last who can reach it");
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EPIPE));
}

/// Ends the reactor while a wake is on its way to it.
struct GoesAtTheWrite {
    reactor: Option<Reactor<()>>,
    closes: u32,
}

impl Tap for GoesAtTheWrite {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        if call == Call::Write {
            self.reactor = None;
        }
        Ok(())
    }

    fn leave(&mut self, call: Call, _: Option<Errno>) {
        self.closes += u32::from(call == Call::Close);
    }
}

/// `EPIPE` or not: both are right, nothing else is.
fn wake_thrice(waker: &Waker, start: &Barrier) -> Counts {
    let mut kernel = Counted::over(Linux);
    start.wait();
    for _ in 0..3 {
        let woken = waker.wake(&mut kernel);
        assert!(matches!(woken, Ok(()) | Err(Errno::EPIPE)), "{woken:?}");
    }
    kernel.tap
}

/// A waker whose reactor is gone; when `woken`, a wake was on its way.
fn orphan(woken: bool) -> Waker {
    let mut reactor = Reactor::<()>::new().expect("one descriptor is to be had");
    let waker = reactor.waker().expect("one more is to be had");
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    if woken {
        assert_eq!(waker.wake(&mut Linux), Ok(()));
    }
    waker
}
