//! A reactor inside a reactor: an epoll is a descriptor, readable while an event is pending in it.

use epollite::event::EPOLLIN;
use epollite::reactor::RegisterErrorKind;
use epollite::{Errno, Event, Interest, Kernel, Linux, Reactor, Token, Trigger};

use super::support::{io_event, poll_now, watch};

#[test]
fn the_outer_reactor_reports_the_inner_while_ready() {
    let (mut outer, mut inner, token) = nested(Trigger::Level);
    assert_eq!(poll_now(&mut outer), None);
    let fd = Linux.eventfd(1).unwrap();
    let leaf = watch(&mut inner, fd, Interest::READABLE, Trigger::Level, ());
    for _ in 0..2 {
        assert_eq!(poll_now(&mut outer), io_event(token, EPOLLIN));
        assert_eq!(poll_now(&mut inner), io_event(leaf, EPOLLIN));
    }
    inner.close(leaf);
    assert_eq!(poll_now(&mut outer), None);
}

#[test]
fn an_inner_waker_wakes_the_outer_reactor() {
    let (mut outer, mut inner, token) = nested(Trigger::Edge);
    let waker = inner.waker().unwrap();
    let thread = std::thread::spawn(move || waker.wake(&mut Linux));
    assert_eq!(outer.next(None), Ok(io_event(token, EPOLLIN)));
    assert_eq!(poll_now(&mut inner), Some(Event::Woken));
    thread.join().unwrap().unwrap();
}

#[test]
fn epoll_cycles_are_refused() {
    let (outer, mut inner, _) = nested(Trigger::Level);
    let dup = Linux.dup(outer.epoll()).unwrap();
    let ring = inner.register_or_close(dup, Interest::READABLE, Trigger::Level, ());
    assert_eq!(ring, Err(RegisterErrorKind::Os(Errno::ELOOP)));
}

#[test]
fn a_duplicate_of_a_dropped_reactors_epoll_reports_nothing() {
    let (mut outer, inner, token) = nested(Trigger::Level);
    drop(inner);
    assert_eq!(poll_now(&mut outer), None);
    assert_eq!(outer.close(token), Some(()));
}

/// An outer reactor that watches an inner one.
fn nested(trigger: Trigger) -> (Reactor<()>, Reactor<()>, Token) {
    let mut outer = Reactor::new().expect("a descriptor is available");
    let inner = Reactor::new().expect("another descriptor is available");
    let dup = Linux.dup(inner.epoll()).expect("another descriptor is available");
    let token = watch(&mut outer, dup, Interest::READABLE, trigger, ());
    (outer, inner, token)
}
