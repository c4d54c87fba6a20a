//! What the tests of the reactor have in common: descriptors to watch, a way to ask without
//! waiting, and a kernel that can be told to refuse. It knows no test.

use std::net::{TcpListener, TcpStream};

use epollite::kernel::{Tap, Tapped};
use epollite::{Call, Errno, Event, Fd, Instant, Interest, Kernel, Kind, Linux, Reactor};
use epollite::{OptionName, Ready, Received, Sent, SocketOption, Token, Trigger};

/// A stream between two descriptors of this process.
pub(crate) fn stream_pair(kernel: &mut impl Kernel) -> (Fd, Fd) {
    kernel.socketpair(Kind::Stream).expect("two descriptors are to be had")
}

/// As [`stream_pair`], over TCP on loopback. Both ends are non-blocking.
pub(crate) fn tcp_pair() -> (Fd, Fd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let addr = listener.local_addr().expect("it is bound");
    let ours = TcpStream::connect(addr).expect("it listens");
    let (theirs, _) = listener.accept().expect("the connection is there");
    for socket in [&ours, &theirs] {
        socket.set_nonblocking(true).expect("sockets can be so");
    }
    (ours.into(), theirs.into())
}

/// Registers `fd` and says who it is.
pub(crate) fn watch<T, K: Kernel>(
    reactor: &mut Reactor<T, K>,
    fd: Fd,
    interest: Interest,
    trigger: Trigger,
    state: T,
) -> Token {
    crate::deadline::arm();
    reactor
        .register_or_close(fd, interest, trigger, state)
        .expect("there is room, and the kernel takes it")
}

/// As [`watch`], for who only writes to it: readable, edge-triggered, so that it is silent.
pub(crate) fn keep<K: Kernel>(reactor: &mut Reactor<(), K>, fd: Fd) -> Token {
    watch(reactor, fd, Interest::NONE, Trigger::Edge, ())
}

/// The next event that is there already.
pub(crate) fn ask<T, K: Kernel>(reactor: &mut Reactor<T, K>) -> Option<Event> {
    reactor.next(Some(Instant::ZERO)).expect("nothing is wrong")
}

/// The next event, however long it takes; it must be one of a descriptor.
pub(crate) fn await_io<T, K: Kernel>(reactor: &mut Reactor<T, K>) -> (Token, Ready) {
    match reactor.next(None).expect("nothing is wrong") {
        Some(Event::Io { token, ready }) => (token, ready),
        other => panic!("wanted an event of a descriptor, got {other:?}"),
    }
}

/// An event of a descriptor, by the bits of its mask.
pub(crate) const fn io(token: Token, bits: u32) -> Option<Event> {
    Some(Event::Io { token, ready: Ready::from_bits(bits) })
}

/// Sends all of `bytes` from a registration.
pub(crate) fn send<T, K: Kernel>(reactor: &mut Reactor<T, K>, token: Token, bytes: &[u8]) {
    let mut source = reactor.source(token).expect("it lives");
    assert_eq!(source.io.send(bytes), Ok(Sent::Bytes(bytes.len())));
}

/// Reads all that is there, until there is nothing.
pub(crate) fn drain<T, K: Kernel>(reactor: &mut Reactor<T, K>, token: Token) -> usize {
    let mut source = reactor.source(token).expect("it lives");
    let (mut buf, mut total) = ([0; 64], 0);
    while let Received::Bytes(count) = source.io.recv(&mut buf).expect("it is whole") {
        total += count;
    }
    total
}

/// Has the closing of `socket` send a reset.
pub(crate) fn closing_resets(kernel: &mut impl Kernel, socket: &Fd) {
    kernel.setsockopt(socket, SocketOption::LingerSeconds(Some(0))).expect("TCP lingers");
    assert_eq!(
        kernel.getsockopt(socket, OptionName::LingerSeconds),
        Ok(SocketOption::LingerSeconds(Some(0)))
    );
}

/// Refuses a call so many times, and remembers every call.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) planned: Vec<(Call, Errno, u32)>,
    pub(crate) heard: Vec<Call>,
}

/// The real kernel, with refusals on order.
pub(crate) type Refusing = Tapped<Linux, Refusals>;

pub(crate) fn refusing(planned: &[(Call, Errno, u32)]) -> Refusing {
    let tap = Refusals { planned: planned.to_vec(), heard: Vec::new() };
    Tapped { kernel: Linux, tap }
}

impl Refusals {
    pub(crate) fn count(&self, call: Call) -> usize {
        self.heard.iter().filter(|heard| **heard == call).count()
    }
}

impl Tap for Refusals {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        self.heard.push(call);
        for (planned, errno, times) in &mut self.planned {
            if *planned == call && *times > 0 {
                *times -= 1;
                return Err(*errno);
            }
        }
        Ok(())
    }

    fn leave(&mut self, _: Call, _: Option<Errno>) {}
}
