//! Waking from other threads: no wake is lost, few calls are made, and wakes after drop fail.

use std::sync::{Barrier, Mutex};
use std::thread;

use epollite::Trigger;
use epollite::event::EPOLLIN;
use epollite::instrument::{CallCounter, CallCounts};
use epollite::kernel::{CallError, Syscall};
use epollite::kernel::{Hooked, SyscallHook};
use epollite::reactor::Waker;
use epollite::{Errno, Event, Instant, Interest, Kernel, Linux, Reactor};

use super::support::{io_event, poll_now, refusing, watch};

#[test]
fn wakes_are_coalesced() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel = CallCounter::new(Linux);
    for round in 1..=3 {
        for waker in [waker.clone(), waker.clone(), reactor.waker().unwrap()] {
            waker.wake(&mut kernel).unwrap();
        }
        assert_eq!(kernel.hook.calls(Syscall::Write), round, "invariant: coalesced");
        assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
        assert_eq!(poll_now(&mut reactor), None);
    }
    assert_eq!(kernel.hook.total(), 3, "invariant: one call per wake, and it is never read");
}

#[test]
fn a_second_waker_costs_no_call() {
    let mut reactor = Reactor::<(), _>::with_kernel(CallCounter::new(Linux)).unwrap();
    let _first = reactor.waker().unwrap();
    let before = reactor.kernel().hook;
    let _second = reactor.waker().unwrap();
    assert_eq!(reactor.kernel().hook, before);
}

#[test]
fn a_wake_ends_a_wait_without_deadline() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let thread = thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
}

#[test]
fn a_wake_is_reported_along_with_other_events() {
    let mut reactor = Reactor::new().unwrap();
    let waker = reactor.waker().unwrap();
    let ready = Linux.eventfd(1).unwrap();
    let token = watch(&mut reactor, ready, Interest::READABLE, Trigger::Level, ());
    waker.wake(&mut Linux).unwrap();
    let mut results = [reactor.next(None).unwrap(), reactor.try_next()];
    results.sort_by_key(|event| *event == Some(Event::Woken));
    assert_eq!(results, [io_event(token, EPOLLIN), Some(Event::Woken)]);
}

#[test]
fn a_full_counter_is_emptied_so_that_the_wake_is_an_edge() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
    let mut kernel = refusing(&[(Syscall::Write, Errno::EAGAIN, 1)]);
    waker.wake(&mut kernel).unwrap();
    assert_eq!(kernel.hook.calls, [Syscall::Write, Syscall::Read, Syscall::Write]);
    assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
}

#[test]
fn a_wake_that_failed_does_not_hold_the_next_one_back() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel = refusing(&[(Syscall::Write, Errno::EIO, 1)]);
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EIO));
    assert_eq!(waker.wake(&mut kernel), Ok(()));
    assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
}

#[test]
fn a_waker_that_could_not_be_made_leaks_nothing_and_can_be_made_later() {
    let mut kernel = refusing(&[(Syscall::EpollCtl, Errno::ENOSPC, 1)]);
    let mut reactor = Reactor::<(), _>::with_kernel(&mut kernel).unwrap();
    let failure = CallError { call: Syscall::EpollCtl, errno: Errno::ENOSPC };
    assert_eq!(reactor.waker().unwrap_err(), failure);
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
    drop(reactor);
    assert_eq!(kernel.hook.count(Syscall::Close), 3, "two eventfds and the epoll");
}

#[test]
fn wake_after_drop_is_epipe_without_a_syscall() {
    let (waker, mut kernel) = (orphan(false), CallCounter::new(Linux));
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EPIPE));
    assert_eq!(kernel.hook.total(), 0);
}

#[test]
fn every_wake_after_drop_is_epipe() {
    let waker = orphan(false);
    let results = [(); 3].map(|()| waker.clone().wake(&mut Linux));
    assert_eq!(results, [Err(Errno::EPIPE); 3], "invariant: waking a dropped reactor is EPIPE");
}

#[test]
fn a_wake_after_drop_with_a_pending_wake_is_epipe() {
    let waker = orphan(true);
    assert_eq!(
        waker.wake(&mut Linux),
        Err(Errno::EPIPE),
        "invariant: waking a dropped reactor is EPIPE"
    );
}

#[test]
fn dropping_wakers_closes_nothing_and_the_reactor_closes_it_once() {
    let mut kernel = CallCounter::new(Linux);
    let mut reactor = Reactor::<(), _>::with_kernel(&mut kernel).unwrap();
    let waker = reactor.waker().unwrap();
    drop((waker.clone(), waker));
    assert_eq!(reactor.kernel().hook.calls(Syscall::Close), 0);
    // A second waker is the same, and works.
    let waker = reactor.waker().unwrap();
    waker.wake(&mut Linux).unwrap();
    assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
    drop(reactor);
    assert_eq!(kernel.hook.calls(Syscall::Close), 2, "the eventfd and the epoll");
    assert_eq!(kernel.hook.calls(Syscall::Eventfd), 1);
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
        // It hangs when a wake is lost: only a wake makes it check the queue.
        while seen.iter().sum::<u32>() < THREADS * ITEMS {
            assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
            for (thread, item) in queue.lock().unwrap().drain(..) {
                let expected: &mut u32 = &mut seen[thread as usize];
                assert_eq!(item, *expected, "invariant: first in, first out");
                *expected += 1;
            }
        }
    });
}

#[test]
fn dropping_during_wakes_closes_the_eventfd_once() {
    const THREADS: usize = 3;
    for _ in 0..200 {
        let mut kernel = CallCounter::new(Linux);
        let mut reactor = Reactor::<(), _>::with_kernel(&mut kernel).unwrap();
        let waker = reactor.waker().unwrap();
        let start = Barrier::new(THREADS + 1);
        let mut counts = CallCounts::ZERO;
        thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| {
                let (waker, start) = (waker.clone(), &start);
                scope.spawn(move || wake_thrice(&waker, start))
            });
            start.wait();
            poll_now(&mut reactor);
            drop(reactor);
            for thread in threads {
                counts.add(&thread.join().unwrap());
            }
        });
        counts.add(&kernel.hook);
        let closes = counts.calls(Syscall::Close);
        assert_eq!(closes, 2, "invariant: the eventfd and the epoll are closed once");
        assert_eq!(counts.errors(Syscall::Close) + counts.errors(Syscall::Write), 0);
    }
}

#[test]
fn the_last_writer_closes_the_eventfd() {
    let mut reactor = Reactor::<()>::new().unwrap();
    let waker = reactor.waker().unwrap();
    let mut kernel =
        Hooked { kernel: Linux, hook: DropsDuringWrite { reactor: Some(reactor), closes: 0 } };
    assert_eq!(waker.wake(&mut kernel), Ok(()), "the wake had begun before the drop");
    assert_eq!(kernel.hook.closes, 1, "invariant: the eventfd is closed with its last owner");
    assert_eq!(waker.wake(&mut kernel), Err(Errno::EPIPE));
}

/// Drops the reactor while a wake is in progress.
struct DropsDuringWrite {
    reactor: Option<Reactor<()>>,
    closes: u32,
}

impl SyscallHook for DropsDuringWrite {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        if call == Syscall::Write {
            self.reactor = None;
        }
        Ok(())
    }

    fn on_exit(&mut self, call: Syscall, _: Option<Errno>) {
        self.closes += u32::from(call == Syscall::Close);
    }
}

/// `EPIPE` or not: both are right, nothing else is.
fn wake_thrice(waker: &Waker, start: &Barrier) -> CallCounts {
    let mut kernel = CallCounter::new(Linux);
    start.wait();
    for _ in 0..3 {
        let woken = waker.wake(&mut kernel);
        assert!(matches!(woken, Ok(()) | Err(Errno::EPIPE)), "{woken:?}");
    }
    kernel.hook
}

/// A waker whose reactor is dropped; when `woken`, a wake was pending.
fn orphan(woken: bool) -> Waker {
    let mut reactor = Reactor::<()>::new().expect("a descriptor is available");
    let waker = reactor.waker().expect("another descriptor is available");
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    if woken {
        assert_eq!(waker.wake(&mut Linux), Ok(()));
    }
    waker
}
