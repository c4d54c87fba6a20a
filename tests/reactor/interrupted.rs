//! Signals: an interrupted call is retried, an interrupted wait continues, and both are bounded.

use core::time::Duration;

use epollite::Trigger;
use epollite::event::EPOLLIN;
use epollite::kernel::{Shutdown, Syscall};
use epollite::{Errno, Instant, Interest, Kernel, Reactor, Received, Sent, Token};

use super::support::{Refusing, io_event, refusing, stream_pair, watch};

#[test]
fn an_interrupted_wait_restarts_with_the_same_deadline() {
    let planned = [Syscall::EpollWait, Syscall::EpollPwait2].map(|call| (call, Errno::EINTR, 20));
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&planned)).unwrap();
    let deadline = reactor.kernel().now() + Duration::from_millis(3);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "invariant: never too early");
    assert!(reactor.kernel().hook.count(Syscall::EpollPwait2) > 20);
}

#[test]
fn an_interrupted_wait_loses_no_event() {
    let (mut reactor, near, _far) = readable(Syscall::EpollWait, 500);
    assert_eq!(reactor.next(None), Ok(io_event(near, EPOLLIN)));
    assert_eq!(reactor.kernel().hook.count(Syscall::EpollWait), 501);
}

#[test]
fn the_events_of_the_last_of_a_thousand_waits_are_reported() {
    let (mut reactor, near, _far) = readable(Syscall::EpollWait, 999);
    assert_eq!(reactor.next(None), Ok(io_event(near, EPOLLIN)));
    assert_eq!(reactor.kernel().hook.count(Syscall::EpollWait), 1_000);
}

#[test]
fn an_interrupted_poll_is_retried() {
    let planned = (Syscall::EpollWait, Errno::EINTR, 3);
    let mut reactor = Reactor::<(), _>::with_kernel(refusing(&[planned])).unwrap();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.kernel().hook.count(Syscall::EpollWait), 4);
}

#[test]
fn a_thousand_interruptions_in_a_row_are_an_errno() {
    let (mut reactor, near, _far) = readable(Syscall::EpollWait, 1_000);
    assert_eq!(reactor.next(None), Err(Errno::EINTR));
    assert_eq!(reactor.kernel().hook.count(Syscall::EpollWait), 1_000);
    assert_eq!(reactor.next(None), Ok(io_event(near, EPOLLIN)), "and no EOF");
}

#[test]
fn an_interrupted_call_is_retried_at_most_sixteen_times() {
    for (call, make) in VERBS {
        let (mut reactor, near, far) = readable(call, 15);
        let token = if call == Syscall::Recv { near } else { far };
        assert_eq!(make(&mut reactor, token), Ok(()), "{call:?}");
        assert_eq!(reactor.kernel().hook.count(call), 16, "{call:?}");

        let (mut reactor, near, far) = readable(call, u32::MAX);
        let token = if call == Syscall::Recv { near } else { far };
        assert_eq!(make(&mut reactor, token), Err(Errno::EINTR), "{call:?}");
        assert_eq!(reactor.kernel().hook.count(call), 16, "{call:?}");
    }
}

#[test]
fn other_errnos_are_not_retried() {
    for (call, make) in VERBS {
        let (mut reactor, near, far) = readable(call, 0);
        let token = if call == Syscall::Recv { near } else { far };
        reactor.kernel().hook.planned.push((call, Errno::EIO, 1));
        assert_eq!(make(&mut reactor, token), Err(Errno::EIO), "{call:?}");
        assert_eq!(reactor.kernel().hook.count(call), 1, "{call:?}");
    }
}

type Verb = fn(&mut Reactor<(), Refusing>, Token) -> Result<(), Errno>;

const VERBS: [(Syscall, Verb); 3] = [
    (Syscall::Recv, |reactor, token| {
        let received = reactor.get_mut(token).expect("the token is live").1.recv(&mut [0; 8])?;
        assert_eq!(received, Received::Bytes(1));
        Ok(())
    }),
    (Syscall::Send, |reactor, token| {
        let sent = reactor.get_mut(token).expect("the token is live").1.send(b"more")?;
        assert_eq!(sent, Sent::Bytes(4));
        Ok(())
    }),
    (Syscall::Shutdown, |reactor, token| {
        reactor.get_mut(token).expect("the token is live").1.shutdown(Shutdown::Write)
    }),
];

/// A stream with one byte readable at its near end; `call` is interrupted from now on.
fn readable(call: Syscall, times: u32) -> (Reactor<(), Refusing>, Token, Token) {
    let mut reactor = Reactor::with_kernel(refusing(&[])).expect("a descriptor is available");
    let (near, far) = stream_pair(reactor.kernel());
    reactor.kernel().send(&far, b"x").expect("there is room");
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, ());
    let far = watch(&mut reactor, far, Interest::NONE, Trigger::Level, ());
    reactor.kernel().hook.planned.push((call, Errno::EINTR, times));
    reactor.kernel().hook.calls.clear();
    (reactor, near, far)
}
