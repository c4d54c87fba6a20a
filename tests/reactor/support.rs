//! Shared by the reactor tests: descriptors to register, a non-blocking poll, and a kernel with
//! injected errors. Independent of the tests.

use std::net::{TcpListener, TcpStream};

use epollite::event::Ready;
use epollite::kernel::{Hooked, SyscallHook};
use epollite::kernel::{SocketOption, SocketOptionName};
use epollite::kernel::{SocketType, Syscall};
use epollite::{Errno, Event, Fd, Instant, Interest, Kernel, Linux, Reactor};
use epollite::{Received, Sent, Token, Trigger};

/// A stream between two descriptors of this process.
pub(crate) fn stream_pair(kernel: &mut impl Kernel) -> (Fd, Fd) {
    kernel.socketpair(SocketType::Stream).expect("two descriptors are available")
}

/// As [`stream_pair`], over TCP on loopback. Both ends are non-blocking.
pub(crate) fn tcp_pair() -> (Fd, Fd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let addr = listener.local_addr().expect("it is bound");
    let ours = TcpStream::connect(addr).expect("the listener is open");
    let (theirs, _) = listener.accept().expect("the connection is there");
    for socket in [&ours, &theirs] {
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
    }
    (ours.into(), theirs.into())
}

/// Registers `fd` and returns its token.
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
        .expect("there is a free slot, and the kernel accepts it")
}

/// As [`watch`], for a source that is only written to: readable, edge-triggered, so that it stays
/// silent.
pub(crate) fn keep<K: Kernel>(reactor: &mut Reactor<(), K>, fd: Fd) -> Token {
    watch(reactor, fd, Interest::NONE, Trigger::Edge, ())
}

/// The next event already available.
pub(crate) fn poll_now<T, K: Kernel>(reactor: &mut Reactor<T, K>) -> Option<Event> {
    reactor.next(Some(Instant::ZERO)).expect("the call succeeds")
}

/// The next event, however long it takes; it must be an I/O event.
pub(crate) fn await_io<T, K: Kernel>(reactor: &mut Reactor<T, K>) -> (Token, Ready) {
    match reactor.next(None).expect("the call succeeds") {
        Some(Event::Io { token, ready }) => (token, ready),
        other => panic!("wanted an event of a descriptor, got {other:?}"),
    }
}

/// An I/O event, by the bits of its mask.
pub(crate) const fn io_event(token: Token, bits: u32) -> Option<Event> {
    Some(Event::Io { token, ready: Ready::from_bits(bits) })
}

/// Sends all of `bytes` from a registration.
pub(crate) fn send<T, K: Kernel>(reactor: &mut Reactor<T, K>, token: Token, bytes: &[u8]) {
    let (_, mut io) = reactor.get_mut(token).expect("the token is live");
    assert_eq!(io.send(bytes), Ok(Sent::Bytes(bytes.len())));
}

/// Reads until `EAGAIN`.
pub(crate) fn drain<T, K: Kernel>(reactor: &mut Reactor<T, K>, token: Token) -> usize {
    let (_, mut io) = reactor.get_mut(token).expect("the token is live");
    let (mut buf, mut total) = ([0; 64], 0);
    while let Received::Bytes(count) = io.recv(&mut buf).expect("the connection is intact") {
        total += count;
    }
    total
}

/// Makes closing `socket` send a reset.
pub(crate) fn closing_resets<K: Kernel>(kernel: &mut K, socket: &Fd) -> Result<(), Errno> {
    let linger = SocketOption::LingerSeconds(Some(0));
    kernel.setsockopt(socket, linger)?;
    assert_eq!(kernel.getsockopt(socket, SocketOptionName::LingerSeconds), Ok(linger));
    Ok(())
}

/// Fails calls the given number of times, and records every call.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) planned: Vec<(Syscall, Errno, u32)>,
    pub(crate) calls: Vec<Syscall>,
}

/// The real kernel, with planned errors.
pub(crate) type Refusing = Hooked<Linux, Refusals>;

pub(crate) fn refusing(planned: &[(Syscall, Errno, u32)]) -> Refusing {
    let hook = Refusals { planned: planned.to_vec(), calls: Vec::new() };
    Hooked { kernel: Linux, hook }
}

impl Refusals {
    pub(crate) fn count(&self, call: Syscall) -> usize {
        self.calls.iter().filter(|calls| **calls == call).count()
    }
}

impl SyscallHook for Refusals {
    fn on_enter(&mut self, call: Syscall) -> Result<(), Errno> {
        self.calls.push(call);
        for (planned, errno, times) in &mut self.planned {
            if *planned == call && *times > 0 {
                *times -= 1;
                return Err(*errno);
            }
        }
        Ok(())
    }

    fn on_exit(&mut self, _: Syscall, _: Option<Errno>) {}
}
