//! How long `next` waits, by which call, and how many events it takes at once.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::reactor::Limits;
use epollite::{Call, Counted, Errno, Event, Instant, Interest, Kernel, Linux, Reactor, Trigger};

use super::world::{ask, refusing, watch};

#[test]
fn a_deadline_that_has_passed_asks_once_and_does_not_wait() {
    let mut reactor = Reactor::<(), _>::on(refusing(&[])).unwrap();
    reactor.kernel().tap.heard.clear();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.kernel().tap.heard, [Call::EpollWait]);
}

#[test]
fn a_deadline_to_come_is_waited_for_to_the_nanosecond() {
    let mut reactor = Reactor::<(), _>::on(refusing(&[])).unwrap();
    reactor.kernel().tap.heard.clear();
    let deadline = reactor.kernel().now() + Duration::from_micros(300);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "law: never too early");
    let heard = &reactor.kernel().tap.heard;
    assert!(heard.len() <= 1, "law: one wait is one call: {heard:?}");
}

#[test]
fn without_epoll_pwait2_it_rounds_up_and_asks_for_it_once() {
    let missing = (Call::EpollPwait2, Errno::ENOSYS, u32::MAX);
    let mut reactor = Reactor::<(), _>::on(refusing(&[missing])).unwrap();
    for _ in 0..5 {
        let deadline = reactor.kernel().now() + Duration::from_millis(2);
        assert_eq!(reactor.next(Some(deadline)), Ok(None));
        assert!(reactor.kernel().now() >= deadline, "law: never too early");
    }
    let tap = &reactor.kernel().tap;
    assert_eq!(
        (tap.count(Call::EpollPwait2), tap.count(Call::EpollWait)),
        (1, 5),
        "law: rounded up, one wait is one call; and who is not there is asked once"
    );
}

#[test]
fn without_epoll_pwait2_a_wait_for_ever_is_one_too() {
    let missing = (Call::EpollPwait2, Errno::ENOSYS, u32::MAX);
    let mut reactor = Reactor::<(), _>::on(refusing(&[missing])).unwrap();
    let waker = reactor.waker().unwrap();
    let thread = std::thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(reactor.next(Some(Instant::NEVER)), Ok(Some(Event::Woken)));
    thread.join().unwrap().unwrap();
}

#[test]
fn a_batch_is_asked_for_once_whatever_its_size() {
    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    for _ in 0..100 {
        let fd = reactor.kernel().eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    }
    for _ in 0..100 {
        assert!(reactor.next(None).unwrap().is_some());
    }
    let tap = &reactor.kernel().tap;
    let waits = tap.calls(Call::EpollWait) + tap.calls(Call::EpollPwait2);
    assert_eq!(waits, 1, "law: one wait, one batch");
}

#[test]
fn a_small_batch_starves_nobody() {
    let limits = Limits { events_max: NonZeroU32::MIN, ..Limits::default() };
    let mut reactor = Reactor::with_limits(Linux, limits).unwrap();
    let tokens = [(); 5].map(|()| {
        let fd = Linux.eventfd(1).unwrap();
        watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ())
    });
    let mut heard = [0; 5];
    for _ in 0..50 {
        let Some(Event::Io { token, .. }) = ask(&mut reactor) else { panic!("all are ready") };
        heard[tokens.iter().position(|known| *known == token).unwrap()] += 1;
    }
    assert_eq!(heard, [10; 5], "law: the kernel hands events out in turn");
}

#[test]
fn an_errno_of_the_wait_goes_up_and_the_next_wait_works() {
    let refused = (Call::EpollWait, Errno::EBADF, 1);
    let mut reactor = Reactor::<(), _>::on(refusing(&[refused])).unwrap();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Err(Errno::EBADF));
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
}

#[test]
fn a_reactor_that_cannot_have_its_epoll_says_why() {
    let refused = (Call::EpollCreate1, Errno::EMFILE, 1);
    let reactor = Reactor::<(), _>::on(refusing(&[refused]));
    assert_eq!(reactor.unwrap_err(), Errno::EMFILE);
}
