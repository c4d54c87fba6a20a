//! How long `next` waits, by which system call, and how many events it takes at once.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::instrument::CallCounter;
use epollite::kernel::Syscall;
use epollite::reactor::Limits;
use epollite::{Errno, Event, Instant, Interest, Kernel, Linux, Reactor, Trigger};

use super::support::{poll_now, refusing, watch};

#[test]
fn an_expired_deadline_polls_once() {
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[])).unwrap();
    reactor.kernel().hook.calls.clear();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.kernel().hook.calls, [Syscall::EpollWait]);
}

#[test]
fn a_future_deadline_is_waited_for_to_the_nanosecond() {
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[])).unwrap();
    reactor.kernel().hook.calls.clear();
    let deadline = reactor.kernel().now() + Duration::from_micros(300);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "invariant: never too early");
    let calls = &reactor.kernel().hook.calls;
    assert!(calls.len() <= 1, "invariant: one wait is one call: {calls:?}");
}

#[test]
fn the_pwait2_fallback_rounds_up_and_is_cached() {
    let missing = (Syscall::EpollPwait2, Errno::ENOSYS, u32::MAX);
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[missing])).unwrap();
    for _ in 0..5 {
        let deadline = reactor.kernel().now() + Duration::from_millis(2);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        assert!(reactor.kernel().now() >= deadline, "invariant: never too early");
    }
    let tap = &reactor.kernel().hook;
    assert_eq!(
        (tap.count(Syscall::EpollPwait2), tap.count(Syscall::EpollWait)),
        (1, 5),
        "invariant: rounded up, one wait is one call; a missing system call is tried once"
    );
}

#[test]
fn without_epoll_pwait2_a_wait_without_deadline_blocks_too() {
    let missing = (Syscall::EpollPwait2, Errno::ENOSYS, u32::MAX);
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[missing])).unwrap();
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(reactor.next(Some(Instant::MAX)), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
}

#[test]
fn one_wait_per_batch() {
    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    for _ in 0..100 {
        let fd = reactor.kernel().eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    }
    for _ in 0..100 {
        assert!(reactor.next(None).unwrap().is_some());
    }
    let tap = &reactor.kernel().hook;
    let waits = tap.calls(Syscall::EpollWait) + tap.calls(Syscall::EpollPwait2);
    assert_eq!(waits, 1, "invariant: one wait, one batch");
}

#[test]
fn a_small_batch_starves_no_source() {
    let limits = Limits { events_max: NonZeroU32::MIN, ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    let tokens = [(); 5].map(|()| {
        let fd = Linux.eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ())
    });
    let mut calls = [0; 5];
    for _ in 0..50 {
        let Some(Event::Io { token, .. }) = poll_now(&mut reactor) else { panic!("all are ready") };
        calls[tokens.iter().position(|known| *known == token).unwrap()] += 1;
    }
    assert_eq!(calls, [10; 5], "invariant: the kernel reports ready descriptors round-robin");
}

#[test]
fn a_wait_error_is_returned_and_recoverable() {
    let refused = (Syscall::EpollWait, Errno::EBADF, 1);
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[refused])).unwrap();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Err(Errno::EBADF));
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
}

#[test]
fn epoll_create_errors_are_returned() {
    let refused = (Syscall::EpollCreate1, Errno::EMFILE, 1);
    let reactor = Reactor::<(), _>::with_kernel(refusing(&[refused]));
    assert_eq!(reactor.unwrap_err(), Errno::EMFILE);
}
