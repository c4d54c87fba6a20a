//! The calls that a program of its own makes, and no server here: each fails once, with every errno
//! its man page allows; opened and closed descriptors are counted.

use epollite::instrument::{CallCounter, CallCounts, FaultInjector, FaultPlan};
use epollite::kernel::{
    OutgoingMessage, ReceiveMode, SocketOption, SocketOptionName, SocketType, Syscall,
    close_quietly,
};
use epollite::reactor::{ConnectConfig, ConnectProgress};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Errno, Fd, Instant, Interest, Kernel, Linux, Reactor, Trigger};

/// The calls that the scenario must have made: those of no server.
const NEW: [Syscall; 7] = [
    Syscall::Readv,
    Syscall::Writev,
    Syscall::RecvMessage,
    Syscall::SendMessage,
    Syscall::IoctlFionbio,
    Syscall::GetsockoptTcpInfo,
    Syscall::Connect,
];

#[test]
fn any_one_call_of_the_api_may_fail_and_nothing_leaks() {
    every_fault(|faults| with_faults(Linux, faults));
    every_fault(|faults| with_faults(Sim::default(), faults));
}

fn every_fault(run: impl Fn(FaultPlan) -> bool) {
    for call in Syscall::ALL {
        for &errno in call.errnos() {
            for at in 0.. {
                if !run(FaultPlan::once(at, errno).for_syscall(call)) {
                    assert!(at > 0 || !NEW.contains(&call), "invariant: {call:?} is made");
                    break;
                }
            }
        }
    }
}

/// Returns whether the fault has fired.
fn with_faults<K: Kernel>(kernel: K, faults: FaultPlan) -> bool {
    let mut received = 0;
    let mut kernel = CallCounter::new(FaultInjector::new(kernel, faults));
    if let Ok(mut reactor) = Reactor::with_kernel(&mut kernel) {
        // Any error ends it: what it has opened is closed all the same.
        let _ = connect(&mut reactor);
        let _ = transfer(&mut reactor, &mut received);
    }
    let counts = kernel.hook;
    let (opened, closed) = (opened(&counts) + received, counts.calls(Syscall::Close));
    assert_eq!(opened, closed, "leak under {faults:?}");
    kernel.kernel.hook.has_fired()
}

type Faulty<'a, K> = Reactor<(), &'a mut CallCounter<FaultInjector<K>>>;

/// Connects and looks at the connection.
fn connect<K: Kernel>(reactor: &mut Faulty<'_, K>) -> Result<(), Errno> {
    let any = "127.0.0.1:0".parse().expect("it is an address");
    let (listener, addr) = bind_stream(reactor.kernel(), &any, PortSharing::Exclusive)?;
    let listener = reactor.register_or_close(listener, Interest::READABLE, Trigger::Level, ())?;
    let config = ConnectConfig { addrs: vec![addr], ..ConnectConfig::default() };
    let mut connector = reactor.connect(config, ()).map_err(|error| error.error.errno)?;
    let token = loop {
        let event = reactor.next(None)?.expect("there is no deadline");
        match connector.on_event(reactor, event).map_err(|error| error.error.errno)? {
            ConnectProgress::Connected { .. } => break connector.token(),
            ConnectProgress::Pending | ConnectProgress::Unrelated => {}
        }
    };
    let (_, mut io) = reactor.get_mut(listener).expect("it is registered");
    io.pause()?;
    io.resume()?;
    let (_, mut io) = reactor.get_mut(token).expect("it is registered");
    // The model has no such call.
    let info = io.syscall(|kernel, fd| kernel.getsockopt_tcp_info(fd));
    assert!(info.is_ok() || info.is_err());
    io.syscall(|kernel, fd| kernel.setsockopt(fd, SocketOption::Ttl(7)))?;
    io.syscall(|kernel, fd| kernel.getsockopt(fd, SocketOptionName::Ttl))?;
    Ok(())
}

/// Passes a descriptor, and transfers bytes by all calls with several buffers.
fn transfer<K: Kernel>(reactor: &mut Faulty<'_, K>, received: &mut u64) -> Result<(), Errno> {
    let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
    let result = pass(reactor, &near, &far, received);
    for fd in [near, far] {
        close_quietly(reactor.kernel(), fd);
    }
    result
}

fn pass<K: Kernel>(
    reactor: &mut Faulty<'_, K>,
    near: &Fd,
    far: &Fd,
    received: &mut u64,
) -> Result<(), Errno> {
    let token = reactor.register_duplicate(near, Interest::READABLE, Trigger::Edge, ())?;
    let (_, mut io) = reactor.get_mut(token).expect("it is registered");
    io.send_vectored(&[b"head", b"body"])?;
    let message =
        OutgoingMessage { bufs: &[b"x"], descriptors: &[near, far], ..OutgoingMessage::default() };
    let kernel = reactor.kernel();
    kernel.readv(far, &mut [&mut [0; 4], &mut [0; 4]])?;
    kernel.send_message(near, &message)?;
    let passed = kernel.recv_message(far, &mut [&mut [0; 8]], ReceiveMode::Consume)?;
    *received += passed.descriptors.len() as u64;
    passed.descriptors.close_all(kernel);
    kernel.writev(far, &[b"an", b"swer"])?;
    assert!(reactor.next(Some(Instant::ZERO)).is_ok_and(|event| event.is_some()));
    let (_, mut io) = reactor.get_mut(token).expect("it is registered");
    io.recv_vectored(&mut [&mut [0; 2], &mut [0; 8]])?;
    Ok(())
}

fn opened(counts: &CallCounts) -> u64 {
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    made(Syscall::Socket)
        + made(Syscall::Dup)
        + made(Syscall::EpollCreate1)
        + 2 * made(Syscall::Socketpair)
}
