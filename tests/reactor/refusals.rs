//! What is refused, by whom, and what comes back.

use std::fs::File;
use std::os::fd::OwnedFd;

use epollite::event::EPOLLIN;
use epollite::reactor::{Limits, Reason};
use epollite::{Call, Counted, Errno, Exclusive, Fd, Interest, Kernel, Linux, Reactor};
use epollite::{Refusal, Trigger};

use super::world::{ask, io, refusing, stream_pair, watch};

#[test]
fn a_regular_file_is_refused_by_the_kernel_and_handed_back_with_its_state() {
    let mut reactor = Reactor::new().unwrap();
    let fd = regular_file();
    let number = fd.number();
    let refused = reactor
        .register(fd, Interest::READABLE, Trigger::Level, String::from("state"))
        .unwrap_err();
    assert_eq!(refused.reason, Reason::Kernel(Errno::EPERM));
    assert_eq!(refused.fd.number(), number);
    assert_eq!(refused.state, "state");
    assert!(reactor.is_empty(), "law: who is refused leaves nothing behind");
    // It is open still: the caller can close it, once.
    assert_eq!(reactor.kernel().close(refused.fd), Ok(()));
}

#[test]
fn a_full_reactor_makes_no_call_and_hands_everything_back() {
    let limits = Limits { registrations_max: 1, ..Limits::default() };
    let mut reactor = Reactor::with_limits(Counted::over(Linux), limits).unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, 1);
    let before = reactor.kernel().tap;
    let refused = reactor.register(far, Interest::READABLE, Trigger::Level, 2).unwrap_err();
    assert_eq!((refused.reason, refused.state), (Reason::Full, 2));
    assert_eq!(reactor.kernel().tap, before, "law: no call for who has no place");
    assert_eq!((reactor.len(), reactor.is_empty()), (1, false));
    // When one goes there is room again.
    reactor.close(near);
    assert_eq!((reactor.len(), reactor.is_empty()), (0, true));
    watch(&mut reactor, refused.fd, Interest::READABLE, Trigger::Level, 3);
}

#[test]
fn register_or_close_closes_whatever_is_refused() {
    let limits = Limits { registrations_max: 0, ..Limits::default() };
    let mut reactor = Reactor::with_limits(Counted::over(Linux), limits).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let refused = reactor.register_or_close(fd, Interest::READABLE, Trigger::Level, ());
    assert_eq!(refused, Err(Reason::Full));
    assert_eq!(reactor.kernel().tap.calls(Call::Close), 1);

    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    let fd = regular_file();
    let refused = reactor.register_or_close(fd, Interest::READABLE, Trigger::Level, ());
    assert_eq!(refused, Err(Reason::Kernel(Errno::EPERM)));
    assert_eq!(reactor.kernel().tap.calls(Call::Close), 1);
}

#[test]
fn a_duplicate_is_a_registration_of_its_own() {
    let mut reactor = Reactor::new().unwrap();
    let one = Linux.eventfd(1).unwrap();
    let two = Linux.dup(&one).unwrap();
    let tokens =
        [one, two].map(|fd| watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ()));
    let mut heard = [ask(&mut reactor), ask(&mut reactor)];
    heard.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(heard, tokens.map(|token| io(token, EPOLLIN)));
    assert_eq!(ask(&mut reactor), None);
}

#[test]
fn an_exclusive_mix_is_refused_before_any_call() {
    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    let mut fd = reactor.kernel().eventfd(0).unwrap();
    let before = reactor.kernel().tap;
    for bad in [Interest::PRIORITY, Interest::READ_CLOSED] {
        for exclusive in [Exclusive::Level, Exclusive::Edge] {
            let interest = Interest::READABLE | bad;
            let refused = reactor.register_exclusive(fd, interest, exclusive, ()).unwrap_err();
            assert_eq!(refused.reason, Reason::Mix(Refusal::ExclusiveInterest));
            fd = refused.fd;
        }
    }
    assert_eq!(reactor.kernel().tap, before, "law: a mix is refused before any call");
    assert!(reactor.is_empty());
    reactor.kernel().close(fd).unwrap();
}

#[test]
fn linux_takes_every_exclusive_mix_that_we_do() {
    let mut reactor = Reactor::new().unwrap();
    let (read, write) = (Interest::READABLE, Interest::WRITABLE);
    for interest in [Interest::NONE, read, write, read | write] {
        for exclusive in [Exclusive::Level, Exclusive::Edge] {
            let fd = reactor.kernel().eventfd(0).unwrap();
            reactor.register_exclusive(fd, interest, exclusive, ()).unwrap();
        }
    }
}

#[test]
fn an_exclusive_registration_is_fixed_and_rearming_makes_no_call() {
    let mut reactor = Reactor::on(Counted::over(Linux)).unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token = reactor.register_exclusive(fd, Interest::READABLE, Exclusive::Level, ()).unwrap();
    let before = reactor.kernel().tap;
    let mut source = reactor.source(token).unwrap();
    let refused = source.io.rearm(Interest::READABLE, Trigger::Level);
    assert_eq!(refused, Err(Reason::Mix(Refusal::ExclusiveIsFixed)));
    assert_eq!(reactor.kernel().tap, before);
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN), "it stays as it was");
    let (fd, ()) = reactor.deregister(token).unwrap();
    watch(&mut reactor, fd, Interest::READABLE, Trigger::OneShot, ());
}

#[test]
fn a_refused_rearm_leaves_what_was_watched() {
    let mut reactor = Reactor::on(refusing(&[])).unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    let no_memory = (Call::EpollCtl, Errno::ENOMEM, 1);
    reactor.kernel().tap.planned.push(no_memory);
    let mut source = reactor.source(token).unwrap();
    let refused = source.io.rearm(Interest::NONE, Trigger::Level);
    assert_eq!(refused, Err(Reason::Kernel(Errno::ENOMEM)));
    assert!(source.io.watches(Interest::READABLE, Trigger::Level));
    assert_eq!(ask(&mut reactor), io(token, EPOLLIN));
}

#[test]
#[should_panic(expected = "reading into nothing tells nothing")]
fn reading_into_nothing_is_a_broken_promise() {
    let mut reactor = Reactor::new().unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    let _ = reactor.source(token).unwrap().io.recv(&mut []);
}

/// This program's own file.
fn regular_file() -> Fd {
    let path = std::env::current_exe().expect("a program has a file");
    let file = File::open(path).expect("and may read it");
    OwnedFd::from(file).into()
}
