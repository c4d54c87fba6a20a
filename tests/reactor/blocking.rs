//! Blocking descriptors, from each place where they can come from, at each function that takes one:
//! none stops the loop. On the simulated kernel every descriptor is non-blocking.

#![expect(unsafe_code, reason = "a descriptor by its number")]

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use epollite::event::ExclusiveTrigger;
use epollite::executor::{Direction, Executor};
use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::{MaybeBlockingFd, OutgoingMessage, ReceiveMode, SocketType, Syscall};
use epollite::server::datagram::{DatagramConfig, DatagramServer};
use epollite::server::stream::{StreamConfig, StreamServer};
use epollite::sim::Sim;
use epollite::{Errno, Fd, Instant, Interest, Kernel, Linux, Reactor, Received, Token, Trigger};
use static_assertions::assert_not_impl_any;

// What may be blocking is no `Fd`, which all functions below take.
assert_not_impl_any!(MaybeBlockingFd: Into<Fd>, AsRef<Fd>, core::ops::Deref);

/// How a blocking descriptor becomes an [`Fd`].
const WAYS: [fn(OwnedFd) -> Fd; 4] = [
    Fd::from,
    |owned| Linux::from_owned_fd(owned).into_nonblocking(&mut Linux).unwrap(),
    |owned| {
        // SAFETY: it is open, and was owned until now.
        let blocking = unsafe { Linux::from_raw_fd(owned.into_raw_fd()) };
        blocking.into_nonblocking(&mut Linux).unwrap()
    },
    |owned| {
        let owned = Linux::from_owned_fd(owned).into_fd_as_is();
        received(&mut Linux, owned).into_nonblocking(&mut Linux).unwrap()
    },
];

/// The duplicate that a process gets to which `fd` is sent.
fn received<K: Kernel>(kernel: &mut K, fd: Fd) -> MaybeBlockingFd {
    let (near, far) = kernel.socketpair(SocketType::Datagram).unwrap();
    let (bufs, descriptors) = ([&b"x"[..]], [&fd]);
    let message =
        OutgoingMessage { bufs: &bufs, descriptors: &descriptors, ..OutgoingMessage::default() };
    kernel.send_message(&near, &message).unwrap();
    let mut buf = [0; 1];
    let mut message = kernel.recv_message(&far, &mut [&mut buf[..]], ReceiveMode::Consume).unwrap();
    for fd in [near, far, fd] {
        kernel.close(fd).unwrap();
    }
    message.descriptors.take().unwrap()
}

/// A blocking stream, and its peer.
fn stream() -> (OwnedFd, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (near.into(), far)
}

#[test]
fn no_registration_blocks() {
    const FUNCTIONS: [fn(&mut Reactor<()>, Fd) -> Token; 4] = [
        |reactor, fd| reactor.register(fd, Interest::READABLE, Trigger::Edge, ()).unwrap(),
        |reactor, fd| reactor.register_or_close(fd, Interest::READABLE, Trigger::Edge, ()).unwrap(),
        |reactor, fd| {
            let edge = ExclusiveTrigger::Edge;
            reactor.register_exclusive(fd, Interest::READABLE, edge, ()).unwrap()
        },
        |reactor, fd| {
            let (interest, edge) = (Interest::READABLE, Trigger::Edge);
            let token = reactor.register_duplicate(&fd, interest, edge, ()).unwrap();
            Linux.close(fd).unwrap();
            token
        },
    ];
    crate::deadline::arm();
    for way in WAYS {
        for function in FUNCTIONS {
            let ((near, _far), mut reactor) = (stream(), Reactor::new().unwrap());
            let token = function(&mut reactor, way(near));
            check_that_it_does_not_block(&mut reactor, token);
        }
    }
    // Those that take one that may be blocking.
    let (interest, edge) = (Interest::READABLE, Trigger::Edge);
    let ((near, _far), mut reactor) = (stream(), Reactor::new().unwrap());
    let blocking = Linux::from_owned_fd(near);
    let token = reactor.register_nonblocking(blocking, interest, edge, ()).unwrap();
    check_that_it_does_not_block(&mut reactor, token);
    let ((near, _far), mut reactor) = (stream(), Reactor::new().unwrap());
    let token = reactor.register_borrowed(&near, interest, edge, ()).unwrap();
    check_that_it_does_not_block(&mut reactor, token);
}

fn check_that_it_does_not_block(reactor: &mut Reactor<()>, token: Token) {
    let (_, mut io) = reactor.get_mut(token).unwrap();
    assert_eq!(io.recv(&mut [0; 8]), Ok(Received::WouldBlock), "invariant: it does not block");
}

#[test]
fn no_server_blocks() {
    crate::deadline::arm();
    for way in WAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = StreamServer::<Linux, ()>::new(Linux, StreamConfig::default()).unwrap();
        server.add_listener(way(listener.into())).unwrap();
        // The second call of accept4(2) finds nothing.
        server.run_once(None).unwrap();
        assert_eq!(server.connections(), 1);

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        let mut server = DatagramServer::new(Linux, DatagramConfig::default()).unwrap();
        server.add_socket(way(socket.into())).unwrap();
        server.run_once(None).unwrap();
        server.run_once(Some(Instant::ZERO)).unwrap();
    }
}

#[test]
fn no_task_blocks() {
    crate::deadline::arm();
    for way in WAYS {
        let mut executor = Executor::new().unwrap();
        let handle = executor.handle();
        // Each has something to receive first, so that there is a call that finds nothing.
        let (near, mut far) = stream();
        far.write_all(b"8 bytes.").unwrap();
        let (datagram, peer) = UnixDatagram::pair().unwrap();
        peer.send(b"8 bytes.").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, mut other_far) = stream();
        other_far.write_all(b"8 bytes.").unwrap();
        executor
            .block_on(async {
                let short = Duration::from_millis(1);
                let mut stream = handle.stream(way(near)).unwrap();
                assert_eq!(stream.recv(&mut [0; 8]).await, Ok(8));
                assert!(handle.timeout(short, stream.recv(&mut [0; 8])).await.is_err());
                let mut datagram = handle.datagram(way(datagram.into())).unwrap();
                assert_eq!(datagram.recv(&mut [0; 8]).await, Ok(8));
                assert!(handle.timeout(short, datagram.recv(&mut [0; 8])).await.is_err());
                let mut listener = handle.listener(way(listener.into())).unwrap();
                listener.accept().await.unwrap();
                assert!(handle.timeout(short, listener.accept()).await.is_err());
                let mut other = handle.async_fd(way(other)).unwrap();
                let recv = |kernel: &mut Linux, fd: &Fd| kernel.recv(fd, &mut [0; 8]);
                assert_eq!(other.async_io(Direction::Read, recv).await, Ok(8));
                let nothing = other.async_io(Direction::Read, recv);
                assert!(handle.timeout(short, nothing).await.is_err());
            })
            .unwrap();
    }
}

#[test]
fn one_that_stays_blocking_is_closed_or_returned() {
    for errno in [Errno::EPERM, Errno::ENOTTY] {
        let plan = FaultPlan::once(0, errno).for_syscall(Syscall::IoctlFionbio);
        let mut kernel = FaultInjector::new(Sim::default(), plan);
        let eventfd = kernel.eventfd(0).unwrap();
        let blocking = received(&mut kernel, eventfd);
        // A leak would be a panic of the simulated kernel.
        assert_eq!(blocking.into_nonblocking(&mut kernel), Err(errno));
    }
    let mut kernel = Sim::default();
    let eventfd = kernel.eventfd(0).unwrap();
    let blocking = received(&mut kernel, eventfd);
    assert_eq!(kernel.read(blocking.get(), &mut [0; 8]), Err(Errno::EAGAIN));
    let fd = blocking.into_nonblocking(&mut kernel).unwrap();
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    reactor.register(fd, Interest::READABLE, Trigger::Edge, ()).unwrap();
}
