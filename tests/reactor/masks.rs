//! The full event mask: readable, writable, read-closed, hup, error and priority, each separately.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use epollite::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use epollite::kernel::{Shutdown, SocketOption, SocketOptionName};
use epollite::{Errno, Interest, Kernel, Reactor, Received};
use epollite::{Token, Trigger};

use super::support::{
    await_io, closing_resets, io_event, keep, poll_now, send, stream_pair, tcp_pair, watch,
};

#[test]
fn the_peers_end_is_read_closed_apart_from_the_data_before_it() {
    let (mut reactor, near, far) = pair(tcp_pair());
    send(&mut reactor, far, b"last");
    reactor.get_mut(far).unwrap().1.shutdown(Shutdown::Write).unwrap();
    while !await_io(&mut reactor).1.is_read_closed() {}
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN | EPOLLRDHUP));
    assert_eq!(super::support::drain(&mut reactor, near), 4);
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLIN | EPOLLRDHUP));
    let end = reactor.get_mut(near).unwrap().1.recv(&mut [0; 4]);
    assert_eq!(end, Ok(Received::Eof));
}

#[test]
fn rdhup_is_reported_only_on_request() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::WRITABLE, Trigger::Level, ());
    reactor.kernel().shutdown(&far, Shutdown::Write).unwrap();
    assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLOUT));
    reactor.kernel().close(far).unwrap();
}

#[test]
fn both_directions_over_is_a_hang_up_that_cannot_be_masked() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::NONE, Trigger::Level, ());
    assert_eq!(poll_now(&mut reactor), None);
    reactor.kernel().close(far).unwrap();
    for _ in 0..3 {
        assert_eq!(poll_now(&mut reactor), io_event(near, EPOLLHUP));
    }
}

#[test]
fn a_pipe_without_a_writer_is_hup() {
    let mut reactor = Reactor::new().unwrap();
    let (reader, writer) = reactor.kernel().pipe2().unwrap();
    let reader = watch(&mut reactor, reader, Interest::READABLE, Trigger::Level, ());
    reactor.kernel().write(&writer, b"x").unwrap();
    reactor.kernel().close(writer).unwrap();
    assert_eq!(poll_now(&mut reactor), io_event(reader, EPOLLIN | EPOLLHUP));
    let (_, mut io) = reactor.get_mut(reader).unwrap();
    assert_eq!(io.syscall(|kernel, fd| kernel.read(fd, &mut [0; 4])), Ok(1));
    assert_eq!(poll_now(&mut reactor), io_event(reader, EPOLLHUP));
}

#[test]
fn a_pipe_without_a_reader_is_err() {
    let mut reactor = Reactor::new().unwrap();
    let (reader, writer) = reactor.kernel().pipe2().unwrap();
    let writer = watch(&mut reactor, writer, Interest::NONE, Trigger::Level, ());
    reactor.kernel().close(reader).unwrap();
    assert_eq!(poll_now(&mut reactor), io_event(writer, EPOLLERR));
}

#[test]
fn a_reset_is_error_and_hang_up_and_the_errno_can_be_taken_once() {
    let (mut reactor, near, far) = pair(tcp_pair());
    let (_, mut io) = reactor.get_mut(far).unwrap();
    io.syscall(closing_resets).unwrap();
    reactor.close(far);
    let bits = EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
    let (token, ready) = await_io(&mut reactor);
    assert_eq!((token, ready.bits()), (near, bits));
    let taken = |reactor: &mut Reactor<()>| {
        let (_, mut io) = reactor.get_mut(near).unwrap();
        let name = SocketOptionName::Error;
        io.syscall(|kernel, fd| kernel.getsockopt(fd, name)).unwrap()
    };
    let reset = SocketOption::Error(Some(Errno::ECONNRESET));
    assert_eq!(taken(&mut reactor), reset);
    assert_eq!(taken(&mut reactor), SocketOption::Error(None));
    assert_eq!(poll_now(&mut reactor), io_event(near, bits & !EPOLLERR));
}

#[test]
fn a_broken_connection_is_an_errno_of_recv_and_not_an_end() {
    let (mut reactor, near, far) = pair(tcp_pair());
    let (_, mut io) = reactor.get_mut(far).unwrap();
    io.syscall(closing_resets).unwrap();
    reactor.close(far);
    await_io(&mut reactor);
    let (_, mut io) = reactor.get_mut(near).unwrap();
    assert_eq!(io.recv(&mut [0; 4]), Err(Errno::ECONNRESET));
    assert_eq!(io.send(b"x"), Err(Errno::EPIPE));
}

/// A sysfs file that has not been read yet counts as changed: the only priority event available
/// without `MSG_OOB`.
#[test]
fn priority_is_reported_separately_from_readable() {
    let Ok(mut file) = File::open("/sys/class/net/lo/mtu") else {
        return; // No sysfs in this box.
    };
    let mut reactor = Reactor::new().unwrap();
    let unread = OwnedFd::from(file.try_clone().unwrap());
    let token = watch(&mut reactor, unread.into(), Interest::PRIORITY, Trigger::Level, ());
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLPRI | EPOLLERR));
    file.read_to_string(&mut String::new()).unwrap();
    assert_eq!(poll_now(&mut reactor), None, "no event after the read");
}

/// Registers one end for all events, and holds the other.
fn pair((near, far): (epollite::Fd, epollite::Fd)) -> (Reactor<()>, Token, Token) {
    let mut reactor = Reactor::new().expect("a descriptor is available");
    let all = Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY;
    let near = watch(&mut reactor, near, all, Trigger::Level, ());
    let far = keep(&mut reactor, far);
    (reactor, near, far)
}
