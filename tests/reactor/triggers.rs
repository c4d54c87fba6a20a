//! Level, edge, one-shot and both: which conditions are reported again.

use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::{Interest, Reactor, Trigger};

use super::support::{io_event, keep, poll_now, send, stream_pair, watch};

#[test]
fn level_repeats_until_it_is_drained() {
    let (mut reactor, near, far) = registered_pair(Interest::READABLE, Trigger::Level);
    assert_eq!(poll_now(&mut reactor), None);
    send(&mut reactor, far, b"abc");
    for _ in 0..3 {
        assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
    }
    super::support::drain(&mut reactor, near);
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn edge_fires_once_per_arrival_read_or_not() {
    let (mut reactor, near, far) = registered_pair(Interest::READABLE, Trigger::Edge);
    for _ in 0..3 {
        send(&mut reactor, far, b"abc");
        assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
        assert_eq!(poll_now(&mut reactor), None, "one arrival, one event");
    }
    assert_eq!(super::support::drain(&mut reactor, near), 9);
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn edge_reports_arrivals_between_two_waits_as_one() {
    let (mut reactor, near, far) = registered_pair(Interest::READABLE, Trigger::Edge);
    send(&mut reactor, far, b"a");
    send(&mut reactor, far, b"b");
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn edge_reports_once_data_that_arrived_before_registration() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let far = keep(&mut reactor, far);
    send(&mut reactor, far, b"early");
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Edge, ());
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn edge_reports_writability_when_space_is_freed() {
    let (mut reactor, near, far) = registered_pair(Interest::WRITABLE, Trigger::Edge);
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLOUT));
    let chunk = [7; 4096];
    while reactor.get_mut(near).unwrap().1.send(&chunk).unwrap() != epollite::Sent::WouldBlock {}
    assert_eq!(poll_now(&mut reactor), None, "a full buffer is no edge");
    super::support::drain(&mut reactor, far);
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLOUT));
}

#[test]
fn one_shot_is_disarmed_until_it_is_rearmed() {
    for trigger in [Trigger::OneShot, Trigger::EdgeOneShot] {
        let (mut reactor, near, far) = registered_pair(Interest::READABLE, trigger);
        for _ in 0..3 {
            send(&mut reactor, far, b"abc");
            assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
            send(&mut reactor, far, b"more");
            assert_eq!(poll_now(&mut reactor), None, "{trigger:?} is disarmed");
            let (_, mut io) = reactor.get_mut(near).unwrap();
            io.modify(Interest::READABLE, trigger).unwrap();
            assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN), "still unread");
            super::support::drain(&mut reactor, near);
            let (_, mut io) = reactor.get_mut(near).unwrap();
            io.modify(Interest::READABLE, trigger).unwrap();
            assert_eq!(poll_now(&mut reactor), None);
        }
    }
}

#[test]
fn one_shot_is_disarmed_for_errors_and_hang_ups_too() {
    for trigger in [Trigger::OneShot, Trigger::EdgeOneShot] {
        let (mut reactor, near, far) = registered_pair(Interest::READABLE, trigger);
        send(&mut reactor, far, b"abc");
        assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
        reactor.close(far);
        assert_eq!(poll_now(&mut reactor), None, "{trigger:?} reports no hang-up");
        let (_, mut io) = reactor.get_mut(near).unwrap();
        io.modify(Interest::NONE, trigger).unwrap();
        let Some(epollite::Event::Io { ready, .. }) = poll_now(&mut reactor) else {
            panic!("after re-arming, the hang-up is reported without interest")
        };
        assert!(ready.is_hup() && !ready.is_readable());
        assert_eq!(poll_now(&mut reactor), None);
    }
}

#[test]
fn modify_changes_interest_and_reports_again() {
    let (mut reactor, near, far) = registered_pair(Interest::READABLE, Trigger::Edge);
    send(&mut reactor, far, b"abc");
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN));
    let both = Interest::READABLE | Interest::WRITABLE;
    let (_, mut io) = reactor.get_mut(near).unwrap();
    assert!(io.is_registered_for(Interest::READABLE, Trigger::Edge));
    io.modify(both, Trigger::Edge).unwrap();
    assert!(io.is_registered_for(both, Trigger::Edge));
    assert!(!io.is_registered_for(Interest::READABLE, Trigger::Edge));
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN | EPOLLOUT));
    assert_eq!(poll_now(&mut reactor), None);
    let (_, mut io) = reactor.get_mut(near).unwrap();
    io.modify(Interest::NONE, Trigger::Level).unwrap();
    send(&mut reactor, far, b"unheard");
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn a_level_listener_repeats_until_its_queue_is_empty() {
    let mut reactor = Reactor::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let (interest, trigger) = (Interest::READABLE, Trigger::Level);
    let listener = watch(&mut reactor, listener.into(), interest, trigger, ());
    assert!(matches!(reactor.get_mut(listener).unwrap().1.accept(), Ok(None)));
    let clients = [(); 3].map(|()| std::net::TcpStream::connect(addr).unwrap());
    for client in &clients {
        assert_eq!(super::support::await_io(&mut reactor).0, listener);
        let accepted = reactor.get_mut(listener).unwrap().1.accept().unwrap();
        let (connection, from) = accepted.expect("the event reported a connection");
        assert_eq!(from, client.local_addr().unwrap().into());
        keep(&mut reactor, connection);
    }
    assert_eq!(poll_now(&mut reactor), None);
}

/// A reactor with one end of a stream registered; holds the other, which is silent.
fn registered_pair(
    interest: Interest,
    trigger: Trigger,
) -> (Reactor<()>, epollite::Token, epollite::Token) {
    let mut reactor = Reactor::new().expect("a descriptor is available");
    let (near, far) = stream_pair(reactor.kernel());
    let far = keep(&mut reactor, far);
    // Conditions that hold at registration are one edge.
    assert_eq!(poll_now(&mut reactor), None);
    let near = watch(&mut reactor, near, interest, trigger, ());
    (reactor, near, far)
}
