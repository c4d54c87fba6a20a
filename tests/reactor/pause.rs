//! Paused registrations, and descriptors that are blocking or that another owner keeps: on the real
//! kernel and on the simulated one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use epollite::event::ExclusiveTrigger;
use epollite::event::{EPOLLIN, MaskError};
use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::{CallError, Syscall};
use epollite::reactor::RegisterErrorKind;
use epollite::sim::Sim;
use epollite::{Errno, Event, Interest, Kernel, Linux, Reactor, Received, Trigger};

use super::support::{await_io, io_event, poll_now, stream_pair, watch};

#[test]
fn a_paused_registration_reports_nothing_and_a_resumed_one_what_is_ready() {
    paused(Linux);
    paused(Sim::default());
}

fn paused<K: Kernel>(kernel: K) {
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot] {
        let (near, far) = stream_pair(reactor.kernel());
        let token = watch(&mut reactor, near, Interest::READABLE, trigger, ());
        let (_, mut io) = reactor.get_mut(token).unwrap();
        assert_eq!((io.pause(), io.pause()), (Ok(()), Ok(())));
        assert!(io.is_paused() && !io.is_registered_for(Interest::READABLE, trigger));
        assert_eq!(reactor.interest_list().count(), 0);
        reactor.kernel().send(&far, b"x").unwrap();
        assert_eq!(poll_now(&mut reactor), None, "invariant: paused, {trigger:?}");
        let (_, mut io) = reactor.get_mut(token).unwrap();
        assert_eq!((io.resume(), io.resume()), (Ok(()), Ok(())));
        assert!(io.is_registered_for(Interest::READABLE, trigger));
        assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN), "{trigger:?}");

        // A hang-up cannot be masked, and a paused registration does not report it either.
        let (_, mut io) = reactor.get_mut(token).unwrap();
        io.pause().unwrap();
        io.modify(Interest::WRITABLE, trigger).unwrap();
        reactor.kernel().close(far).unwrap();
        assert_eq!(poll_now(&mut reactor), None, "invariant: paused, {trigger:?}");
        let (_, mut io) = reactor.get_mut(token).unwrap();
        io.resume().unwrap();
        assert!(io.is_registered_for(Interest::WRITABLE, trigger), "invariant: as modified");
        let Some(Event::Io { ready, .. }) = poll_now(&mut reactor) else { panic!("it hung up") };
        assert!(ready.is_hup() && ready.is_writable() && !ready.is_readable());
        reactor.get_mut(token).unwrap().1.pause().unwrap();
        assert_eq!(reactor.close(token), Some(()));
    }
    assert_eq!((reactor.len(), reactor.stale_events()), (0, 0));
}

#[test]
fn a_paused_registration_keeps_its_deadline_and_is_requeued() {
    let mut reactor = Reactor::new().unwrap();
    let eventfd = reactor.kernel().eventfd(0).unwrap();
    let token = watch(&mut reactor, eventfd, Interest::READABLE, Trigger::Level, ());
    let (_, mut io) = reactor.get_mut(token).unwrap();
    io.requeue(epollite::event::Ready::READABLE);
    io.pause().unwrap();
    io.set_deadline(epollite::Instant::ZERO);
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
    assert_eq!(poll_now(&mut reactor), Some(Event::Timer { token }));
    let (fd, ()) = reactor.deregister(token).expect("it is registered");
    reactor.kernel().close(fd).unwrap();
}

#[test]
fn an_exclusive_listener_can_be_paused() {
    let mut reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let token = reactor
        .register_exclusive(listener.into(), Interest::READABLE, ExclusiveTrigger::Level, ())
        .unwrap();
    let (_, mut io) = reactor.get_mut(token).unwrap();
    io.pause().unwrap();
    let refused = io.modify(Interest::READABLE, Trigger::Level);
    assert_eq!(refused, Err(RegisterErrorKind::InvalidMask(MaskError::ExclusiveImmutable)));
    let client = TcpStream::connect(addr).unwrap();
    assert_eq!(poll_now(&mut reactor), None);
    reactor.get_mut(token).unwrap().1.resume().unwrap();
    assert_eq!(await_io(&mut reactor).0, token);
    let (accepted, _) = reactor.get_mut(token).unwrap().1.accept().unwrap().expect("it waits");
    reactor.kernel().close(accepted).unwrap();
    drop(client);
}

#[test]
fn a_failed_pause_or_resume_changes_nothing() {
    for at in [1, 2] {
        let plan = FaultPlan::once(at, Errno::ENOMEM).for_syscall(Syscall::EpollCtl);
        let mut reactor = Reactor::with_kernel(FaultInjector::new(Sim::default(), plan)).unwrap();
        let eventfd = reactor.kernel().eventfd(1).unwrap();
        let token = watch(&mut reactor, eventfd, Interest::READABLE, Trigger::Level, ());
        let (_, mut io) = reactor.get_mut(token).unwrap();
        let results = (io.pause(), io.pause(), io.resume(), io.resume());
        if at == 1 {
            assert_eq!(results, (Err(Errno::ENOMEM), Ok(()), Ok(()), Ok(())));
        } else {
            assert_eq!(results, (Ok(()), Ok(()), Err(Errno::ENOMEM), Ok(())));
        }
        assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
    }
    let mut reactor = Reactor::new().unwrap();
    let timer = reactor.add_timer(epollite::Instant::MAX, ()).unwrap();
    assert_eq!(reactor.get_mut(timer).unwrap().1.pause(), Err(Errno::EBADF));
}

#[test]
fn a_blocking_descriptor_is_made_non_blocking() {
    crate::deadline::arm();
    let mut reactor = Reactor::new().unwrap();
    let (near, _far) = UnixStream::pair().unwrap();
    let blocking = Linux::from_owned_fd(near.into());
    let token =
        reactor.register_nonblocking(blocking, Interest::READABLE, Trigger::Edge, ()).unwrap();
    let (_, mut io) = reactor.get_mut(token).unwrap();
    assert_eq!(io.recv(&mut [0; 8]), Ok(Received::WouldBlock), "invariant: it does not block");

    let plan = FaultPlan::once(0, Errno::EPERM).for_syscall(Syscall::IoctlFionbio);
    let mut reactor = Reactor::with_kernel(FaultInjector::new(Sim::default(), plan)).unwrap();
    let eventfd = reactor.kernel().eventfd(0).unwrap();
    let refused = reactor.register_nonblocking(eventfd, Interest::READABLE, Trigger::Edge, 7);
    let error = refused.unwrap_err();
    let kind =
        RegisterErrorKind::Call(CallError { call: Syscall::IoctlFionbio, errno: Errno::EPERM });
    assert_eq!((error.kind, error.state), (kind, 7), "invariant: it names the call");
    assert!(kind.to_string().starts_with("ioctl: EPERM"), "{kind}");
    reactor.kernel().close(error.fd).unwrap();
}

#[test]
fn a_borrowed_descriptor_stays_its_owners() {
    crate::deadline::arm();
    let mut reactor = Reactor::new().unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let token =
        reactor.register_borrowed(&near, Interest::READABLE, Trigger::Level, "near").unwrap();
    far.write_all(b"hello").unwrap();
    assert_eq!(await_io(&mut reactor).0, token);
    assert_eq!(near.read(&mut [0; 16]).unwrap(), 5);
    // Its owner closes it, and its number is used again: the registration is not confused.
    drop(near);
    let (_reused, _other) = UnixStream::pair().unwrap();
    far.write_all(b"more").unwrap();
    assert_eq!(await_io(&mut reactor).0, token);
    assert_eq!(reactor.get_mut(token).unwrap().1.recv(&mut [0; 16]), Ok(Received::Bytes(4)));
    reactor.close(token);
    assert_eq!(reactor.stale_events(), 0);
}

/// Every call of a registration fails once: what was duplicated is closed.
#[test]
fn an_error_leaks_no_duplicate() {
    for call in [Syscall::Dup, Syscall::IoctlFionbio, Syscall::EpollCtl] {
        let plan = FaultPlan::once(0, Errno::ENOMEM).for_syscall(call);
        let kernel = CallCounter::new(FaultInjector::new(Sim::default(), plan));
        let mut reactor = Reactor::with_kernel(kernel).unwrap();
        let eventfd = reactor.kernel().eventfd(0).unwrap();
        let registered =
            reactor.register_duplicate(&eventfd, Interest::READABLE, Trigger::Edge, ());
        let errno = Errno::ENOMEM;
        let kind = match call {
            Syscall::EpollCtl => RegisterErrorKind::Os(errno),
            call => RegisterErrorKind::Call(CallError { call, errno }),
        };
        assert_eq!(registered, Err(kind), "invariant: it names the call");
        // The model counts descriptors that are left open when it is dropped.
        reactor.kernel().close(eventfd).unwrap();
    }
}
