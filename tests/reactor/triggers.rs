//! Level, edge, one-shot and both: who is reminded, and of what.

use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::{Interest, Reactor, Trigger};

use super::world::{ask, io, keep, send, stream_pair, watch};

#[test]
fn level_repeats_until_it_is_drained() {
    let (mut reactor, near, far) = watched(Interest::READABLE, Trigger::Level);
    assert_eq!(ask(&mut reactor), None);
    send(&mut reactor, far, b"abc");
    for _ in 0..3 {
        assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
    }
    super::world::drain(&mut reactor, near);
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn edge_fires_once_per_arrival_read_or_not() {
    let (mut reactor, near, far) = watched(Interest::READABLE, Trigger::Edge);
    for _ in 0..3 {
        send(&mut reactor, far, b"abc");
        assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
        assert_eq!(ask(&mut reactor), None, "one arrival, one event");
    }
    assert_eq!(super::world::drain(&mut reactor, near), 9);
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn edge_reports_arrivals_between_two_waits_as_one() {
    let (mut reactor, near, far) = watched(Interest::READABLE, Trigger::Edge);
    send(&mut reactor, far, b"a");
    send(&mut reactor, far, b"b");
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn edge_reports_once_what_was_ready_before_it_was_registered() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let far = keep(&mut reactor, far);
    send(&mut reactor, far, b"early");
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Edge, ());
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn edge_writes_are_reported_when_room_comes_back() {
    let (mut reactor, near, far) = watched(Interest::WRITABLE, Trigger::Edge);
    assert_eq!(ask(&mut reactor), io(near, EPOLLOUT));
    let chunk = [7; 4096];
    while reactor.source(near).unwrap().io.send(&chunk).unwrap() != epollite::Sent::Nothing {}
    assert_eq!(ask(&mut reactor), None, "full is no arrival");
    super::world::drain(&mut reactor, far);
    assert_eq!(ask(&mut reactor), io(near, EPOLLOUT));
}

#[test]
fn one_shot_falls_silent_until_it_is_rearmed() {
    for trigger in [Trigger::OneShot, Trigger::EdgeOneShot] {
        let (mut reactor, near, far) = watched(Interest::READABLE, trigger);
        for _ in 0..3 {
            send(&mut reactor, far, b"abc");
            assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
            send(&mut reactor, far, b"more");
            assert_eq!(ask(&mut reactor), None, "{trigger:?} has said its word");
            let mut source = reactor.source(near).unwrap();
            source.io.rearm(Interest::READABLE, trigger).unwrap();
            assert_eq!(ask(&mut reactor), io(near, EPOLLIN), "still unread");
            super::world::drain(&mut reactor, near);
            let mut source = reactor.source(near).unwrap();
            source.io.rearm(Interest::READABLE, trigger).unwrap();
            assert_eq!(ask(&mut reactor), None);
        }
    }
}

#[test]
fn one_shot_falls_silent_of_errors_and_hang_ups_too() {
    for trigger in [Trigger::OneShot, Trigger::EdgeOneShot] {
        let (mut reactor, near, far) = watched(Interest::READABLE, trigger);
        send(&mut reactor, far, b"abc");
        assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
        reactor.close(far);
        assert_eq!(ask(&mut reactor), None, "{trigger:?} hears of no hang-up");
        let mut source = reactor.source(near).unwrap();
        source.io.rearm(Interest::NONE, trigger).unwrap();
        let Some(epollite::Event::Io { ready, .. }) = ask(&mut reactor) else {
            panic!("re-armed, it hears of the hang-up unasked")
        };
        assert!(ready.is_hup() && !ready.is_readable());
        assert_eq!(ask(&mut reactor), None);
    }
}

#[test]
fn rearming_changes_what_is_heard_and_reports_anew() {
    let (mut reactor, near, far) = watched(Interest::READABLE, Trigger::Edge);
    send(&mut reactor, far, b"abc");
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN));
    let both = Interest::READABLE | Interest::WRITABLE;
    let mut source = reactor.source(near).unwrap();
    assert!(source.io.watches(Interest::READABLE, Trigger::Edge));
    source.io.rearm(both, Trigger::Edge).unwrap();
    assert!(source.io.watches(both, Trigger::Edge));
    assert!(!source.io.watches(Interest::READABLE, Trigger::Edge));
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN | EPOLLOUT));
    assert_eq!(ask(&mut reactor), None);
    let mut source = reactor.source(near).unwrap();
    source.io.rearm(Interest::NONE, Trigger::Level).unwrap();
    send(&mut reactor, far, b"unheard");
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn a_level_listener_repeats_until_its_queue_is_empty() {
    let mut reactor = Reactor::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let (interest, trigger) = (Interest::READABLE, Trigger::Level);
    let door = watch(&mut reactor, listener.into(), interest, trigger, ());
    assert!(matches!(reactor.source(door).unwrap().io.accept(), Ok(None)));
    let clients = [(); 3].map(|()| std::net::TcpStream::connect(addr).unwrap());
    for client in &clients {
        assert_eq!(super::world::await_io(&mut reactor).0, door);
        let accepted = reactor.source(door).unwrap().io.accept().unwrap();
        let (guest, from) = accepted.expect("the event said so");
        assert_eq!(from, client.local_addr().unwrap().into());
        keep(&mut reactor, guest);
    }
    assert_eq!(ask(&mut reactor), None);
}

/// A reactor that watches one end of a stream and holds the other, which is silent.
fn watched(
    interest: Interest,
    trigger: Trigger,
) -> (Reactor<()>, epollite::Token, epollite::Token) {
    let mut reactor = Reactor::new().expect("one descriptor is to be had");
    let (near, far) = stream_pair(reactor.kernel());
    let far = keep(&mut reactor, far);
    // Whatever is so from birth is one edge.
    assert_eq!(ask(&mut reactor), None);
    let near = watch(&mut reactor, near, interest, trigger, ());
    (reactor, near, far)
}
