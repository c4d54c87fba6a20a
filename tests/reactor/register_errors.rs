//! Registration errors: what is rejected, by the reactor or the kernel, and what is returned.

use std::fs::File;
use std::os::fd::OwnedFd;

use epollite::Trigger;
use epollite::event::EPOLLIN;
use epollite::event::ExclusiveTrigger;
use epollite::event::MaskError;
use epollite::instrument::CallCounter;
use epollite::kernel::Syscall;
use epollite::reactor::{Limits, RegisterErrorKind};
use epollite::{Errno, Fd, Interest, Kernel, Linux, Reactor};

use super::support::{io_event, poll_now, refusing, stream_pair, watch};

#[test]
fn a_rejected_regular_file_is_returned_with_its_state() {
    let mut reactor = Reactor::new().unwrap();
    let fd = regular_file();
    let number = fd.number();
    let refused = reactor
        .register(fd, Interest::READABLE, Trigger::Level, String::from("state"))
        .unwrap_err();
    assert_eq!(refused.kind, RegisterErrorKind::Os(Errno::EPERM));
    assert_eq!(refused.fd.number(), number);
    assert_eq!(refused.state, "state");
    assert!(reactor.is_empty(), "invariant: a failed registration leaves nothing behind");
    // It is still open: the caller can close it, once.
    assert_eq!(reactor.kernel().close(refused.fd), Ok(()));
}

#[test]
fn a_full_reactor_makes_no_call_and_hands_everything_back() {
    let limits = Limits { registrations_max: 1, ..Limits::default() };
    let mut reactor = Reactor::with_limits(CallCounter::new(Linux), limits).unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::READABLE, Trigger::Level, 1);
    let before = reactor.kernel().hook;
    let refused = reactor.register(far, Interest::READABLE, Trigger::Level, 2).unwrap_err();
    assert_eq!((refused.kind, refused.state), (RegisterErrorKind::Full, 2));
    assert_eq!(reactor.kernel().hook, before, "invariant: no system call without a free slot");
    assert_eq!((reactor.len(), reactor.is_empty()), (1, false));
    // Removing one frees a slot.
    reactor.close(near);
    assert_eq!((reactor.len(), reactor.is_empty()), (0, true));
    watch(&mut reactor, refused.fd, Interest::READABLE, Trigger::Level, 3);
}

#[test]
fn register_or_close_closes_whatever_is_refused() {
    let limits = Limits { registrations_max: 0, ..Limits::default() };
    let mut reactor = Reactor::with_limits(CallCounter::new(Linux), limits).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let refused = reactor.register_or_close(fd, Interest::READABLE, Trigger::Level, ());
    assert_eq!(refused, Err(RegisterErrorKind::Full));
    assert_eq!(reactor.kernel().hook.calls(Syscall::Close), 1);

    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    let fd = regular_file();
    let refused = reactor.register_or_close(fd, Interest::READABLE, Trigger::Level, ());
    assert_eq!(refused, Err(RegisterErrorKind::Os(Errno::EPERM)));
    assert_eq!(reactor.kernel().hook.calls(Syscall::Close), 1);
}

#[test]
fn a_duplicate_is_a_registration_of_its_own() {
    let mut reactor = Reactor::new().unwrap();
    let one = Linux.eventfd(1).unwrap();
    let two = Linux.dup(&one).unwrap();
    let tokens =
        [one, two].map(|fd| watch(&mut reactor, fd, Interest::READABLE, Trigger::Edge, ()));
    let mut events = [poll_now(&mut reactor), poll_now(&mut reactor)];
    events.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(events, tokens.map(|token| io_event(token, EPOLLIN)));
    assert_eq!(poll_now(&mut reactor), None);
}

#[test]
fn an_exclusive_mix_is_refused_before_any_call() {
    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    let mut fd = reactor.kernel().eventfd(0).unwrap();
    let before = reactor.kernel().hook;
    for bad in [Interest::PRIORITY, Interest::READ_CLOSED] {
        for exclusive in [ExclusiveTrigger::Level, ExclusiveTrigger::Edge] {
            let interest = Interest::READABLE | bad;
            let refused = reactor.register_exclusive(fd, interest, exclusive, ()).unwrap_err();
            assert_eq!(refused.kind, RegisterErrorKind::InvalidMask(MaskError::ExclusiveInterest));
            fd = refused.fd;
        }
    }
    assert_eq!(
        reactor.kernel().hook,
        before,
        "invariant: an invalid mask is rejected before any call"
    );
    assert!(reactor.is_empty());
    reactor.kernel().close(fd).unwrap();
}

#[test]
fn linux_accepts_every_exclusive_mask_we_accept() {
    let mut reactor = Reactor::new().unwrap();
    let (read, write) = (Interest::READABLE, Interest::WRITABLE);
    for interest in [Interest::NONE, read, write, read | write] {
        for exclusive in [ExclusiveTrigger::Level, ExclusiveTrigger::Edge] {
            let fd = reactor.kernel().eventfd(0).unwrap();
            reactor.register_exclusive(fd, interest, exclusive, ()).unwrap();
        }
    }
}

#[test]
fn an_exclusive_registration_is_fixed_and_rearming_makes_no_call() {
    let mut reactor = Reactor::with_kernel(CallCounter::new(Linux)).unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token =
        reactor.register_exclusive(fd, Interest::READABLE, ExclusiveTrigger::Level, ()).unwrap();
    let before = reactor.kernel().hook;
    let (_, mut io) = reactor.get_mut(token).unwrap();
    let refused = io.modify(Interest::READABLE, Trigger::Level);
    assert_eq!(refused, Err(RegisterErrorKind::InvalidMask(MaskError::ExclusiveImmutable)));
    assert_eq!(reactor.kernel().hook, before);
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN), "the registration is unchanged");
    let (fd, ()) = reactor.deregister(token).unwrap();
    watch(&mut reactor, fd, Interest::READABLE, Trigger::OneShot, ());
}

#[test]
fn a_failed_modify_keeps_the_old_mask() {
    let mut reactor = Reactor::with_kernel(refusing(&[])).unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    let no_memory = (Syscall::EpollCtl, Errno::ENOMEM, 1);
    reactor.kernel().hook.planned.push(no_memory);
    let (_, mut io) = reactor.get_mut(token).unwrap();
    let refused = io.modify(Interest::NONE, Trigger::Level);
    assert_eq!(refused, Err(RegisterErrorKind::Os(Errno::ENOMEM)));
    assert!(io.is_registered_for(Interest::READABLE, Trigger::Level));
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
}

#[test]
#[should_panic(expected = "the receive buffer must not be empty")]
fn recv_into_an_empty_buffer_panics() {
    let mut reactor = Reactor::new().unwrap();
    let fd = reactor.kernel().eventfd(1).unwrap();
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    let _ = reactor.get_mut(token).unwrap().1.recv(&mut []);
}

/// This test's own executable.
fn regular_file() -> Fd {
    let path = std::env::current_exe().expect("the executable has a path");
    let file = File::open(path).expect("the executable is readable");
    OwnedFd::from(file).into()
}
