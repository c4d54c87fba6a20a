//! The full mask comes back: readable, writable, read-closed, hup, error and priority, each apart.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use epollite::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use epollite::{Errno, Interest, Kernel, OptionName, Reactor, Received, Shut, SocketOption};
use epollite::{Token, Trigger};

use super::world::{ask, await_io, closing_resets, io, keep, send, stream_pair, tcp_pair, watch};

#[test]
fn the_peers_end_is_read_closed_apart_from_the_data_before_it() {
    let (mut reactor, near, far) = pair(tcp_pair());
    send(&mut reactor, far, b"last");
    reactor.source(far).unwrap().io.shutdown(Shut::Write).unwrap();
    while !await_io(&mut reactor).1.is_read_closed() {}
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN | EPOLLRDHUP));
    assert_eq!(super::world::drain(&mut reactor, near), 4);
    assert_eq!(ask(&mut reactor), io(near, EPOLLIN | EPOLLRDHUP));
    let end = reactor.source(near).unwrap().io.recv(&mut [0; 4]);
    assert_eq!(end, Ok(Received::End));
}

#[test]
fn read_closed_is_silent_for_who_does_not_ask() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::WRITABLE, Trigger::Level, ());
    reactor.kernel().shutdown(&far, Shut::Write).unwrap();
    assert_eq!(ask(&mut reactor), io(near, EPOLLOUT));
    reactor.kernel().close(far).unwrap();
}

#[test]
fn both_directions_over_is_a_hang_up_that_cannot_be_masked() {
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(reactor.kernel());
    let near = watch(&mut reactor, near, Interest::NONE, Trigger::Level, ());
    assert_eq!(ask(&mut reactor), None);
    reactor.kernel().close(far).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut reactor), io(near, EPOLLHUP));
    }
}

#[test]
fn a_pipe_whose_writer_is_gone_hangs_up_and_is_not_readable() {
    let mut reactor = Reactor::new().unwrap();
    let (reader, writer) = reactor.kernel().pipe2().unwrap();
    let reader = watch(&mut reactor, reader, Interest::READABLE, Trigger::Level, ());
    reactor.kernel().write(&writer, b"x").unwrap();
    reactor.kernel().close(writer).unwrap();
    assert_eq!(ask(&mut reactor), io(reader, EPOLLIN | EPOLLHUP));
    let source = reactor.source(reader).unwrap();
    assert_eq!(source.io.kernel.read(source.io.fd, &mut [0; 4]), Ok(1));
    assert_eq!(ask(&mut reactor), io(reader, EPOLLHUP));
}

#[test]
fn a_pipe_whose_reader_is_gone_is_an_error() {
    let mut reactor = Reactor::new().unwrap();
    let (reader, writer) = reactor.kernel().pipe2().unwrap();
    let writer = watch(&mut reactor, writer, Interest::NONE, Trigger::Level, ());
    reactor.kernel().close(reader).unwrap();
    assert_eq!(ask(&mut reactor), io(writer, EPOLLERR));
}

#[test]
fn a_reset_is_error_and_hang_up_and_the_errno_can_be_taken_once() {
    let (mut reactor, near, far) = pair(tcp_pair());
    let source = reactor.source(far).unwrap();
    closing_resets(source.io.kernel, source.io.fd);
    reactor.close(far);
    let bits = EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
    let (token, ready) = await_io(&mut reactor);
    assert_eq!((token, ready.bits()), (near, bits));
    let taken = |reactor: &mut Reactor<()>| {
        let source = reactor.source(near).unwrap();
        let name = OptionName::Error;
        source.io.kernel.getsockopt(source.io.fd, name).unwrap()
    };
    let reset = SocketOption::Error(Some(Errno::ECONNRESET));
    assert_eq!(taken(&mut reactor), reset);
    assert_eq!(taken(&mut reactor), SocketOption::Error(None));
    assert_eq!(ask(&mut reactor), io(near, bits & !EPOLLERR));
}

#[test]
fn a_broken_connection_is_an_errno_of_recv_and_not_an_end() {
    let (mut reactor, near, far) = pair(tcp_pair());
    let source = reactor.source(far).unwrap();
    closing_resets(source.io.kernel, source.io.fd);
    reactor.close(far);
    await_io(&mut reactor);
    let mut source = reactor.source(near).unwrap();
    assert_eq!(source.io.recv(&mut [0; 4]), Err(Errno::ECONNRESET));
    assert_eq!(source.io.send(b"x"), Err(Errno::EPIPE));
}

/// A file of sysfs that has not been read yet counts as changed: the one urgent thing to be had
/// without `MSG_OOB`.
#[test]
fn priority_comes_apart_from_readable() {
    let Ok(mut file) = File::open("/sys/class/net/lo/mtu") else {
        return; // No sysfs in this box.
    };
    let mut reactor = Reactor::new().unwrap();
    let unread = OwnedFd::from(file.try_clone().unwrap());
    let token = watch(&mut reactor, unread.into(), Interest::PRIORITY, Trigger::Level, ());
    assert_eq!(ask(&mut reactor), io(token, EPOLLPRI | EPOLLERR));
    file.read_to_string(&mut String::new()).unwrap();
    assert_eq!(ask(&mut reactor), None, "what was read is news no more");
}

/// Watches everything of one end, and holds the other.
fn pair((near, far): (epollite::Fd, epollite::Fd)) -> (Reactor<()>, Token, Token) {
    let mut reactor = Reactor::new().expect("one descriptor is to be had");
    let all = Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY;
    let near = watch(&mut reactor, near, all, Trigger::Level, ());
    let far = keep(&mut reactor, far);
    (reactor, near, far)
}
