//! Signals: an interrupted call is made again, an interrupted wait goes on, and both have an end.

use core::time::Duration;

use epollite::Trigger;
use epollite::event::EPOLLIN;
use epollite::{Call, Errno, Instant, Interest, Kernel, Reactor, Received, Sent, Shut, Token};

use super::world::{Refusing, io, refusing, stream_pair, watch};

#[test]
fn an_interrupted_wait_is_begun_anew_and_the_deadline_holds() {
    let planned = [Call::EpollWait, Call::EpollPwait2].map(|call| (call, Errno::EINTR, 20));
    let mut reactor = Reactor::<(), _>::on(refusing(&planned)).unwrap();
    let deadline = reactor.kernel().now() + Duration::from_millis(3);
    assert_eq!(reactor.next(Some(deadline)), Ok(None));
    assert!(reactor.kernel().now() >= deadline, "law: never too early");
    assert!(reactor.kernel().tap.count(Call::EpollPwait2) > 20);
}

#[test]
fn an_interrupted_wait_loses_no_event() {
    let (mut reactor, near, _far) = readable(Call::EpollWait, 500);
    assert_eq!(reactor.next(None), Ok(io(near, EPOLLIN)));
    assert_eq!(reactor.kernel().tap.count(Call::EpollWait), 501);
}

#[test]
fn what_the_last_wait_of_a_thousand_brings_is_reported() {
    let (mut reactor, near, _far) = readable(Call::EpollWait, 999);
    assert_eq!(reactor.next(None), Ok(io(near, EPOLLIN)));
    assert_eq!(reactor.kernel().tap.count(Call::EpollWait), 1_000);
}

#[test]
fn an_interrupted_look_at_a_deadline_long_past_is_repeated() {
    let planned = (Call::EpollWait, Errno::EINTR, 3);
    let mut reactor = Reactor::<(), _>::on(refusing(&[planned])).unwrap();
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));
    assert_eq!(reactor.kernel().tap.count(Call::EpollWait), 4);
}

#[test]
fn a_thousand_interruptions_in_a_row_are_an_errno() {
    let (mut reactor, near, _far) = readable(Call::EpollWait, 1_000);
    assert_eq!(reactor.next(None), Err(Errno::EINTR));
    assert_eq!(reactor.kernel().tap.count(Call::EpollWait), 1_000);
    assert_eq!(reactor.next(None), Ok(io(near, EPOLLIN)), "and not the end");
}

#[test]
fn an_interrupted_call_is_made_again_and_at_most_sixteen_times() {
    for (call, make) in VERBS {
        let (mut reactor, near, far) = readable(call, 15);
        let token = if call == Call::Recv { near } else { far };
        assert_eq!(make(&mut reactor, token), Ok(()), "{call:?}");
        assert_eq!(reactor.kernel().tap.count(call), 16, "{call:?}");

        let (mut reactor, near, far) = readable(call, u32::MAX);
        let token = if call == Call::Recv { near } else { far };
        assert_eq!(make(&mut reactor, token), Err(Errno::EINTR), "{call:?}");
        assert_eq!(reactor.kernel().tap.count(call), 16, "{call:?}");
    }
}

#[test]
fn other_errnos_are_not_tried_again() {
    for (call, make) in VERBS {
        let (mut reactor, near, far) = readable(call, 0);
        let token = if call == Call::Recv { near } else { far };
        reactor.kernel().tap.planned.push((call, Errno::EIO, 1));
        assert_eq!(make(&mut reactor, token), Err(Errno::EIO), "{call:?}");
        assert_eq!(reactor.kernel().tap.count(call), 1, "{call:?}");
    }
}

type Verb = fn(&mut Reactor<(), Refusing>, Token) -> Result<(), Errno>;

const VERBS: [(Call, Verb); 3] = [
    (Call::Recv, |reactor, token| {
        let received = reactor.source(token).expect("it lives").io.recv(&mut [0; 8])?;
        assert_eq!(received, Received::Bytes(1));
        Ok(())
    }),
    (Call::Send, |reactor, token| {
        let sent = reactor.source(token).expect("it lives").io.send(b"more")?;
        assert_eq!(sent, Sent::Bytes(4));
        Ok(())
    }),
    (Call::Shutdown, |reactor, token| {
        reactor.source(token).expect("it lives").io.shutdown(Shut::Write)
    }),
];

/// A stream with one byte to be read at its near end; `call` is interrupted from now on.
fn readable(call: Call, times: u32) -> (Reactor<(), Refusing>, Token, Token) {
    let mut reactor = Reactor::on(refusing(&[])).expect("one descriptor is to be had");
    let (near, far) = stream_pair(reactor.kernel());
    reactor.kernel().send(&far, b"x").expect("there is room");
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, ());
    let far = watch(&mut reactor, far, Interest::NONE, Trigger::Level, ());
    reactor.kernel().tap.planned.push((call, Errno::EINTR, times));
    reactor.kernel().tap.heard.clear();
    (reactor, near, far)
}
