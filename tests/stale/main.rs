//! *The* stale-event test: two sources are ready in one batch, and each frees the other.
//!
//! Alone in its process, with one test and one thread, so that the number of a descriptor just
//! closed is the number of the next one opened.

use epollite::{Event, Fd, Instant, Interest, Kernel, Linux, Reactor, Token, Trigger};

/// How the first source frees the second.
#[derive(Clone, Copy, Debug)]
enum Freed {
    Closed,
    DeregisteredAndClosed,
}

#[test]
fn an_event_for_a_source_freed_in_the_same_batch_is_dropped_despite_fd_reuse() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for freed in [Freed::Closed, Freed::DeregisteredAndClosed] {
            each_frees_the_other(trigger, freed);
        }
    }
}

fn each_frees_the_other(trigger: Trigger, freed: Freed) {
    let mut reactor = Reactor::new().expect("a descriptor is available");
    let pair = [(); 2].map(|()| register(&mut reactor, 1, trigger));
    let Ok(Some(Event::Io { token: first, .. })) = reactor.next(None) else {
        panic!("both are ready")
    };
    let second = if first == pair[0] { pair[1] } else { pair[0] };
    let (_, io) = reactor.get_mut(second).expect("it lives until now");
    let number = io.fd().number();
    match freed {
        Freed::Closed => drop(reactor.close(second)),
        Freed::DeregisteredAndClosed => {
            let (fd, ()) = reactor.deregister(second).expect("it lives until now");
            Linux.close(fd).expect("the descriptor is open");
        }
    }
    let successor = register(&mut reactor, 0, trigger);
    let (_, io) = reactor.get_mut(successor).expect("the token is live");
    assert_eq!(io.fd().number(), number, "the descriptor number is reused");
    assert_eq!(successor.slot(), second.slot(), "the slot is reused");
    assert_ne!(successor, second, "invariant: a token is never reused");

    // The successor is silent: an event for it now was meant for the freed source.
    assert_eq!(reactor.try_next(), None, "invariant: a stale event is not delivered");
    assert_eq!(reactor.stale_events(), 1, "invariant: a stale event is counted");
    reactor.close(first);
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));

    // And it is reported when it becomes ready itself.
    let (_, mut io) = reactor.get_mut(successor).expect("the token is live");
    let one = 1u64.to_ne_bytes();
    assert_eq!(io.syscall(|kernel, fd| kernel.write(fd, &one)), Ok(8));
    let event = reactor.next(None).expect("the call succeeds");
    assert!(
        matches!(event, Some(Event::Io { token, .. }) if token == successor),
        "invariant: the successor of a descriptor number is reported ({trigger:?}, {freed:?})"
    );
    assert_eq!(reactor.stale_events(), 1);
}

/// An eventfd, which is readable unless `initial` is zero.
fn register(reactor: &mut Reactor<()>, initial: u32, trigger: Trigger) -> Token {
    let fd: Fd = Linux.eventfd(initial).expect("a descriptor is available");
    reactor.register_or_close(fd, Interest::READABLE, trigger, ()).expect("there is room")
}
