//! Ownership: the reactor closes everything registered with it, and accepts every socket type of
//! the standard library.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use epollite::event::EPOLLIN;
use epollite::instrument::CallCounter;
use epollite::kernel::Syscall;
use epollite::{Errno, Fd, Interest, Kernel, Linux, Reactor, Trigger};

use super::support::{await_io, drain, io_event, keep, poll_now, stream_pair, watch};

#[test]
fn dropping_the_reactor_closes_all_that_it_owns() {
    let mut kernel = CallCounter::new(Linux);
    let mut reactor = Reactor::with_kernel(&mut kernel).unwrap();
    for round in 0..5 {
        let (near, far) = stream_pair(reactor.kernel());
        let (reader, writer) = reactor.kernel().pipe2().unwrap();
        let dup = reactor.kernel().dup(&near).unwrap();
        let tokens = [near, far, reader, writer, dup].map(|fd| keep(&mut reactor, fd));
        // Some are removed early, one way or the other.
        if round % 2 == 0 {
            reactor.close(tokens[2]).unwrap();
            let (fd, ()) = reactor.deregister(tokens[3]).unwrap();
            reactor.kernel().close(fd).unwrap();
        }
    }
    let _waker = reactor.waker().unwrap();
    drop(reactor);
    let calls = |call| kernel.hook.calls(call);
    let made = 2 * calls(Syscall::Socketpair)
        + 2 * calls(Syscall::Pipe2)
        + calls(Syscall::Dup)
        + calls(Syscall::Eventfd)
        + calls(Syscall::EpollCreate1);
    assert_eq!(made, 5 * 5 + 2);
    assert_eq!(calls(Syscall::Close), made, "invariant: as many closes as descriptors");
    assert_eq!(kernel.hook.errors(Syscall::Close), 0, "invariant: each is closed once");
}

#[test]
fn dropping_the_reactor_sends_eof() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut reactor = Reactor::new().unwrap();
    keep(&mut reactor, theirs.into());
    drop(reactor);
    assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn every_socket_of_the_standard_library_can_be_registered() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
    udp.connect(udp.local_addr().unwrap()).unwrap();
    let (left, mut right) = UnixStream::pair().unwrap();
    let (sender, datagrams) = UnixDatagram::pair().unwrap();
    let name = format!("epollite owning {}", std::process::id());
    let name = SocketAddr::from_abstract_name(name).unwrap();
    let unix = UnixListener::bind_addr(&name).unwrap();
    stream.write_all(b"x").unwrap();
    udp.send(b"x").unwrap();
    right.write_all(b"x").unwrap();
    sender.send(b"x").unwrap();
    let _client = UnixStream::connect_addr(&unix.local_addr().unwrap()).unwrap();
    let (accepted, _) = tcp.accept().unwrap();

    for fd in [
        Fd::from(accepted),
        Fd::from(udp),
        Fd::from(left),
        Fd::from(datagrams),
        Fd::from(unix),
        Fd::from(OwnedFd::from(std::io::pipe().unwrap().1)),
    ] {
        let mut reactor = Reactor::new().unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = watch(&mut reactor, fd, both, Trigger::OneShot, ());
        assert_eq!(await_io(&mut reactor).0, token);
    }
}

#[test]
fn fds_convert_to_std_and_back() {
    let (near, far) = stream_pair(&mut Linux);
    let number = near.number();
    let mut stream = UnixStream::from(OwnedFd::from(near));
    assert_eq!(stream.as_raw_fd().cast_unsigned(), number);
    let far = UnixStream::from(OwnedFd::from(far));
    stream.write_all(b"hello").unwrap();
    let mut reactor = Reactor::new().unwrap();
    let fd = Fd::from(far);
    let token = watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, ());
    assert_eq!(poll_now(&mut reactor), io_event(token, EPOLLIN));
    assert_eq!(drain(&mut reactor, token), 5);
    assert_eq!(Fd::from(stream).number(), number);
    drop(OwnedFd::from(reactor.deregister(token).unwrap().0));
}

#[test]
#[should_panic(expected = "invalid outside it")]
fn a_simulated_descriptor_does_not_go_to_the_standard_library() {
    drop(OwnedFd::from(Fd::simulated(1)));
}

#[test]
fn a_simulated_descriptor_is_refused_by_a_real_reactor() {
    let mut reactor = Reactor::new().unwrap();
    let refused = reactor
        .register(Fd::simulated(1), Interest::READABLE, Trigger::Level, "state")
        .unwrap_err();
    assert_eq!(refused.kind, Errno::EBADF.into());
    assert!(refused.fd.is_simulated() && refused.state == "state");
}

#[test]
fn registrations_can_be_iterated_while_closing() {
    let mut reactor = Reactor::new().unwrap();
    let tokens: Vec<_> = (0..10)
        .map(|number| {
            let fd = Linux.eventfd(0).unwrap();
            watch(&mut reactor, fd, Interest::READABLE, Trigger::Level, number)
        })
        .collect();
    for token in tokens.iter().step_by(2) {
        reactor.close(*token).unwrap();
    }
    let mut seen = Vec::new();
    for slot in 0..reactor.slot_count() {
        if let Some(token) = reactor.token_at(slot) {
            seen.extend(reactor.close(token));
        }
    }
    assert_eq!(seen, [1, 3, 5, 7, 9]);
    assert!(reactor.is_empty());
}
