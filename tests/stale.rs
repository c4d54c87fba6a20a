//! *The* stale-event test: two sources are ready in one batch, and each frees the other.
//!
//! Alone in its process, with one test and one thread, so that the number of a descriptor just
//! closed is the number of the next one opened.

use epollite::{Event, Fd, Instant, Interest, Kernel, Linux, Reactor, Token, Trigger};

/// How the first frees the second.
#[derive(Clone, Copy, Debug)]
enum Freed {
    Closed,
    DeregisteredAndClosed,
}

#[test]
fn an_event_of_who_was_freed_in_its_batch_reaches_nobody_though_the_number_lives_again() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for freed in [Freed::Closed, Freed::DeregisteredAndClosed] {
            each_frees_the_other(trigger, freed);
        }
    }
}

fn each_frees_the_other(trigger: Trigger, freed: Freed) {
    let mut reactor = Reactor::new().expect("one descriptor is to be had");
    let pair = [(); 2].map(|()| register(&mut reactor, 1, trigger));
    let Ok(Some(Event::Io { token: first, .. })) = reactor.next(None) else {
        panic!("both are ready")
    };
    let second = if first == pair[0] { pair[1] } else { pair[0] };
    let source = reactor.source(second).expect("it lives until now");
    let number = source.io.fd.number();
    match freed {
        Freed::Closed => drop(reactor.close(second)),
        Freed::DeregisteredAndClosed => {
            let (fd, ()) = reactor.deregister(second).expect("it lives until now");
            Linux.close(fd).expect("it is open until now");
        }
    }
    let heir = register(&mut reactor, 0, trigger);
    let source = reactor.source(heir).expect("it lives");
    assert_eq!(source.io.fd.number(), number, "the number is used again");
    assert_eq!(heir.slot(), second.slot(), "the slot is used again");
    assert_ne!(heir, second, "law: a token is never used again");

    // The heir is silent: whatever is said of it now was meant for the dead.
    assert_eq!(reactor.pending(), None, "law: a stale event reaches nobody");
    assert_eq!(reactor.stale(), 1, "law: a stale event is counted");
    reactor.close(first);
    assert_eq!(reactor.next(Some(Instant::ZERO)), Ok(None));

    // And it is heard when it has something to say itself.
    let source = reactor.source(heir).expect("it lives");
    let one = 1u64.to_ne_bytes();
    assert_eq!(source.io.kernel.write(source.io.fd, &one), Ok(8));
    let heard = reactor.next(None).expect("nothing is wrong");
    assert!(
        matches!(heard, Some(Event::Io { token, .. }) if token == heir),
        "law: who took a number over is heard ({trigger:?}, {freed:?})"
    );
    assert_eq!(reactor.stale(), 1);
}

/// An eventfd, which is readable unless `initial` is zero.
fn register(reactor: &mut Reactor<()>, initial: u32, trigger: Trigger) -> Token {
    let fd: Fd = Linux.eventfd(initial).expect("one descriptor is to be had");
    reactor.register_or_close(fd, Interest::READABLE, trigger, ()).expect("there is room")
}
