//! Outbound connections, on the real kernel and on the simulated one: several addresses in turn,
//! deadlines, and one fault at each call.

use core::time::Duration;
use std::fmt::Debug;

use epollite::instrument::{CallCounter, CallCounts, FaultInjector, FaultPlan};
use epollite::kernel::{CallError, SocketOption, SocketOptionName, SocketType, Syscall};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::reactor::{ConnectConfig, ConnectError, ConnectProgress, Connector};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Event, Fd, Instant, Interest, Kernel, Linux, Reactor};
use epollite::{Received, Sent, Trigger};

type Outcome = Result<usize, CallError>;

#[test]
fn the_second_address_is_tried_when_the_first_refuses() {
    second_of_two(Linux, Linux);
    let sim = Sim::default();
    second_of_two(sim.new_process(), sim.new_process());
}

fn second_of_two<K: Kernel>(mut server: K, kernel: K) {
    crate::deadline::arm();
    let refusing = refusing(&mut server);
    let (listener, addr) = listener(&mut server);
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let config = config([refusing, addr]);
    let mut connector = reactor.connect(config, "state").unwrap();
    assert_eq!(run(&mut reactor, &mut connector), Ok(1));

    let token = connector.token();
    let (state, mut io) = reactor.get_mut(token).unwrap();
    assert_eq!(*state, "state", "invariant: the state stays with the registration");
    assert!(io.is_registered_for(Interest::READABLE, Trigger::Edge));
    assert!(!io.cancel_deadline(), "invariant: the deadline ends with the connect");
    assert_eq!(io.syscall(|kernel, fd| kernel.getpeername(fd)), Ok(addr));
    assert_eq!(io.send(b"hello"), Ok(Sent::Bytes(5)));
    let (accepted, _) = server.accept4(&listener).unwrap();
    assert_eq!(server.send(&accepted, b"hi"), Ok(2));
    let event = reactor.next(None).unwrap();
    assert!(matches!(event, Some(Event::Io { token: of, .. }) if of == token), "{event:?}");
    let progress = connector.on_event(&mut reactor, event.unwrap());
    assert_eq!(progress.unwrap(), ConnectProgress::Unrelated, "invariant: it ended");
    assert_eq!(reactor.get_mut(token).unwrap().1.recv(&mut [0; 8]), Ok(Received::Bytes(2)));
    assert!(connector.cancel(&mut reactor).is_none(), "invariant: a connection is not cancelled");
    assert_eq!(reactor.len(), 1);
    close(&mut server, [listener, accepted]);
}

#[test]
fn when_all_addresses_refuse_the_state_comes_back() {
    all_refuse(Linux, Linux);
    let sim = Sim::default();
    all_refuse(sim.new_process(), sim.new_process());
}

fn all_refuse<K: Kernel>(mut server: K, kernel: K) {
    crate::deadline::arm();
    let addrs = [refusing(&mut server), refusing(&mut server)];
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let started = reactor.connect(config(addrs), "state");
    let refused = CallError { call: Syscall::Connect, errno: Errno::ECONNREFUSED };
    let error = match started {
        Ok(mut connector) => until_over(&mut reactor, &mut connector).unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.error, error.index, error.state), (refused, 1, "state"));
    assert_eq!(error.to_string(), "connect: ECONNREFUSED: connection refused");
    assert!(reactor.is_empty(), "invariant: nothing stays registered");
}

#[test]
fn without_an_address_there_is_nothing_to_connect_to() {
    let mut reactor = Reactor::with_kernel(Sim::default()).unwrap();
    let error = reactor.connect(config([]), 7).unwrap_err();
    let wanted = CallError { call: Syscall::Connect, errno: Errno::EDESTADDRREQ };
    assert_eq!((error.error, error.state), (wanted, 7));
    let error = reactor.connect(config([Addr::Unspecified]), 7).unwrap_err();
    let wanted = CallError { call: Syscall::Socket, errno: Errno::EAFNOSUPPORT };
    assert_eq!((error.error, error.state), (wanted, 7));
}

/// A Unix listener with a full queue never answers: the deadline is what ends it.
#[test]
fn the_deadline_ends_all_attempts_and_an_attempt_timeout_only_one() {
    full_queue(Linux, Linux);
    let sim = Sim::default();
    full_queue(sim.new_process(), sim.new_process());
}

fn full_queue<K: Kernel>(mut server: K, kernel: K) {
    crate::deadline::arm();
    let (full, waiting) = full_unix_listener(&mut server);
    let (listener, addr) = listener(&mut server);
    let full_addr = server.getsockname(&full).unwrap();
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let timed_out = CallError { call: Syscall::Connect, errno: Errno::ETIMEDOUT };

    let deadline = reactor.kernel().now() + Duration::from_millis(25);
    let limited = ConnectConfig { deadline: Some(deadline), ..config([full_addr, addr]) };
    let mut connector = reactor.connect(limited, ()).unwrap();
    let error = until_over(&mut reactor, &mut connector).unwrap_err();
    assert_eq!((error.error, error.index), (timed_out, 0), "invariant: the deadline is the last");
    assert!(reactor.kernel().now() >= deadline, "invariant: not before its deadline");
    assert!(reactor.is_empty());

    let attempt_timeout = Some(Duration::from_millis(25));
    let limited = ConnectConfig { attempt_timeout, ..config([full_addr, addr]) };
    let mut connector = reactor.connect(limited.clone(), ()).unwrap();
    assert_eq!(run(&mut reactor, &mut connector), Ok(1), "invariant: the next address is tried");
    reactor.close(connector.token());

    // Room in the queue is found without an event.
    let mut connector =
        reactor.connect(ConnectConfig { attempt_timeout: None, ..limited }, ()).unwrap();
    let (accepted, _) = server.accept4(&full).unwrap();
    assert_eq!(run(&mut reactor, &mut connector), Ok(0));
    close(&mut server, [full, accepted, listener]);
    close(&mut server, waiting);
}

/// The attempt that is repeated fails in another way than the first one.
#[test]
fn the_next_address_is_tried_when_a_full_listener_goes_away() {
    full_queue_closes(Linux, Linux);
    let sim = Sim::default();
    full_queue_closes(sim.new_process(), sim.new_process());
}

fn full_queue_closes<K: Kernel>(mut server: K, kernel: K) {
    crate::deadline::arm();
    let (full, waiting) = full_unix_listener(&mut server);
    let (listener, addr) = listener(&mut server);
    let full_addr = server.getsockname(&full).unwrap();
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let mut connector = reactor.connect(config([full_addr, addr]), ()).unwrap();
    close(&mut server, [full]);
    assert_eq!(run(&mut reactor, &mut connector), Ok(1), "invariant: no address is left out");
    close(&mut server, [listener]);
    close(&mut server, waiting);
}

/// A path that was bound could not be bound again.
#[test]
fn a_bound_unix_socket_is_not_retried() {
    bound_to_full_queue(Linux, Linux);
    let sim = Sim::default();
    bound_to_full_queue(sim.new_process(), sim.new_process());
}

fn bound_to_full_queue<K: Kernel>(mut server: K, kernel: K) {
    let (full, waiting) = full_unix_listener(&mut server);
    let full_addr = server.getsockname(&full).unwrap();
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let bind = Some("unix:@epollite bound connect".parse().unwrap());
    let error = reactor.connect(ConnectConfig { bind, ..config([full_addr]) }, ()).unwrap_err();
    let full_queue = CallError { call: Syscall::Connect, errno: Errno::EAGAIN };
    assert_eq!(error.error, full_queue);
    assert!(reactor.is_empty());
    close(&mut server, [full]);
    close(&mut server, waiting);
}

#[test]
fn a_connect_may_be_cancelled_and_leaves_nothing() {
    cancelled(Linux, Linux);
    let sim = Sim::default();
    cancelled(sim.new_process(), sim.new_process());
}

fn cancelled<K: Kernel>(mut server: K, kernel: K) {
    let (full, waiting) = full_unix_listener(&mut server);
    let (listener, addr) = listener(&mut server);
    let full_addr = server.getsockname(&full).unwrap();
    let mut reactor = Reactor::with_kernel(CallCounter::new(kernel)).unwrap();
    for addr in [addr, full_addr] {
        let connector = reactor.connect(config([addr]), "state").unwrap();
        assert_eq!(reactor.len(), 1);
        assert_eq!(connector.cancel(&mut reactor), Some("state"));
        assert!(reactor.is_empty());
    }
    let counts = reactor.kernel().hook;
    assert_eq!(counts.calls(Syscall::Socket), counts.calls(Syscall::Close));
    close(&mut server, [full, listener]);
    close(&mut server, waiting);
}

#[test]
fn a_deadline_in_the_past_times_out_and_tries_no_other_address() {
    let mut reactor = Reactor::new().unwrap();
    // No host answers: the address is reserved for documentation. Where there is no route to it
    // the call fails at once, and that is not what is tested.
    let addrs = ["192.0.2.1:9", "192.0.2.2:9"].map(|addr| addr.parse().unwrap());
    let past = ConnectConfig { deadline: Some(Instant::ZERO), ..config(addrs) };
    let Ok(mut connector) = reactor.connect(past, ()) else { return };
    let event = reactor.next(None).unwrap().unwrap();
    match connector.on_event(&mut reactor, event) {
        Err(ConnectError { error, index, .. }) if error.errno == Errno::ETIMEDOUT => {
            assert_eq!(index, 0);
        }
        // A firewall has answered.
        _ => return,
    }
    assert!(reactor.is_empty());
}

#[test]
fn the_local_address_and_the_options_are_set_before_it_connects() {
    bound(Linux, Linux);
    let sim = Sim::default();
    bound(sim.new_process(), sim.new_process());
}

fn bound<K: Kernel>(mut server: K, kernel: K) {
    crate::deadline::arm();
    let (listener, addr) = listener(&mut server);
    let mut reactor = Reactor::with_kernel(kernel).unwrap();
    let bind = "127.0.0.2:0".parse().unwrap();
    let options = vec![SocketOption::NoDelay(true)];
    let config = ConnectConfig { bind: Some(bind), options, ..config([addr]) };
    let mut connector = reactor.connect(config, ()).unwrap();
    assert_eq!(run(&mut reactor, &mut connector), Ok(0));
    let (_, mut io) = reactor.get_mut(connector.token()).unwrap();
    let local = io.syscall(|kernel, fd| kernel.getsockname(fd)).unwrap();
    assert_eq!(local.ip(), bind.ip());
    let no_delay = io.syscall(|kernel, fd| kernel.getsockopt(fd, SocketOptionName::NoDelay));
    assert_eq!(no_delay, Ok(SocketOption::NoDelay(true)));
    close(&mut server, [listener]);
}

#[test]
fn an_error_before_connect_names_its_call() {
    let mut reactor = Reactor::with_kernel(Sim::default()).unwrap();
    let target = "127.0.0.1:9".parse().unwrap();
    let bind = Some("192.0.2.1:0".parse().unwrap());
    let error = reactor.connect(ConnectConfig { bind, ..config([target]) }, ()).unwrap_err();
    let wanted = CallError { call: Syscall::Bind, errno: Errno::EADDRNOTAVAIL };
    assert_eq!(error.error, wanted);
    let options = vec![SocketOption::KeepCount(0)];
    let error = reactor.connect(ConnectConfig { options, ..config([target]) }, ()).unwrap_err();
    let wanted = CallError { call: Syscall::Setsockopt, errno: Errno::EINVAL };
    assert_eq!(error.error, wanted);
}

#[test]
fn a_connection_to_itself_is_refused_unless_its_port_was_chosen() {
    let sim = Sim::default();
    let mut reactor = Reactor::with_kernel(sim.new_process()).unwrap();
    let itself = "127.0.0.1:5000".parse().unwrap();
    let chosen = ConnectConfig { bind: Some(itself), ..config([itself]) };
    let mut connector = reactor.connect(chosen, ()).unwrap();
    assert_eq!(run(&mut reactor, &mut connector), Ok(0), "invariant: the caller has chosen it");
    reactor.close(connector.token());

    // By chance: the model assigns the port after the last one that it has assigned.
    let mut kernel = sim.new_process();
    let last = refusing(&mut kernel);
    let next = last.with_port(last.port().unwrap() + 1);
    let mut connector = reactor.connect(config([next]), ()).unwrap();
    let refused = CallError { call: Syscall::Connect, errno: Errno::ECONNREFUSED };
    assert_eq!(run(&mut reactor, &mut connector), Err(refused));
    let local = refusing(&mut kernel);
    assert_eq!(local.port(), Some(next.port().unwrap() + 1), "the port was that of the socket");
}

#[test]
fn any_one_call_may_fail_and_nothing_leaks() {
    for is_real in [true, false] {
        let mut fired = 0;
        for call in Syscall::ALL {
            for &errno in call.errnos() {
                for at in 0.. {
                    let faults = FaultPlan::once(at, errno).for_syscall(call);
                    let has_fired = if is_real {
                        with_faults(Linux, Linux, faults)
                    } else {
                        let sim = Sim::default();
                        with_faults(sim.new_process(), sim.new_process(), faults)
                    };
                    if !has_fired {
                        break;
                    }
                    fired += 1;
                }
            }
        }
        assert!(fired > 20, "only {fired} faults fired");
    }
}

/// Connects, one call failing. Returns whether it did.
fn with_faults<K: Kernel>(mut server: K, kernel: K, faults: FaultPlan) -> bool {
    crate::deadline::arm();
    let refusing = refusing(&mut server);
    let (listener, addr) = listener(&mut server);
    let mut kernel = CallCounter::new(FaultInjector::new(kernel, faults));
    if let Ok(mut reactor) = Reactor::with_kernel(&mut kernel) {
        let options = vec![SocketOption::NoDelay(true)];
        let bind = Some("127.0.0.1:0".parse().unwrap());
        let config = ConnectConfig { options, bind, ..config([refusing, addr]) };
        match reactor.connect(config, ()) {
            Ok(mut connector) => {
                let outcome = run(&mut reactor, &mut connector);
                assert!(outcome != Ok(0), "invariant: a refused address is not connected to");
                assert!(outcome.is_err() == reactor.is_empty());
            }
            Err(_) => assert!(reactor.is_empty()),
        }
    }
    let counts = kernel.hook;
    assert_eq!(opened(&counts), counts.calls(Syscall::Close), "leak under {faults:?}");
    close(&mut server, [listener]);
    kernel.kernel.hook.has_fired()
}

fn opened(counts: &CallCounts) -> u64 {
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    made(Syscall::Socket) + made(Syscall::EpollCreate1)
}

/// Edge-triggered and with a deadline that is far away, so that both are seen to change.
fn config<const N: usize>(addrs: [Addr; N]) -> ConnectConfig {
    let deadline = Some(Instant::MAX);
    let (addrs, trigger) = (addrs.to_vec(), Trigger::Edge);
    ConnectConfig { addrs, deadline, trigger, ..ConnectConfig::default() }
}

/// Passes events until it has ended.
fn until_over<T, K: Kernel>(
    reactor: &mut Reactor<T, K>,
    connector: &mut Connector,
) -> Result<usize, ConnectError<T>> {
    loop {
        let event = match reactor.next(None) {
            Ok(event) => event.expect("there is no deadline"),
            Err(errno) if errno.is_interrupted() => continue,
            Err(errno) => panic!("the wait failed: {errno}"),
        };
        match connector.on_event(reactor, event)? {
            ConnectProgress::Connected { index } => return Ok(index),
            ConnectProgress::Pending => {}
            progress @ ConnectProgress::Unrelated => panic!("{event:?} is {progress:?}"),
        }
    }
}

fn run<T: Debug, K: Kernel>(reactor: &mut Reactor<T, K>, connector: &mut Connector) -> Outcome {
    until_over(reactor, connector).map_err(|error| error.error)
}

/// A TCP listener and its address.
fn listener<K: Kernel>(kernel: &mut K) -> (Fd, Addr) {
    let listener = bound_socket(kernel);
    kernel.listen(&listener, 8).unwrap();
    let addr = kernel.getsockname(&listener).unwrap();
    (listener, addr)
}

/// An address on which no socket listens.
fn refusing<K: Kernel>(kernel: &mut K) -> Addr {
    let socket = bound_socket(kernel);
    let addr = kernel.getsockname(&socket).unwrap();
    kernel.close(socket).unwrap();
    addr
}

fn bound_socket<K: Kernel>(kernel: &mut K) -> Fd {
    let socket = kernel.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    kernel.bind(&socket, &"127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// A Unix listener whose accept queue is full, and the clients that wait in it.
fn full_unix_listener<K: Kernel>(kernel: &mut K) -> (Fd, Vec<Fd>) {
    let listener = kernel.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    kernel.bind(&listener, &Addr::from(UnixAddr::unnamed())).unwrap();
    kernel.listen(&listener, 0).unwrap();
    let addr = kernel.getsockname(&listener).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = kernel.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        let connected = kernel.connect(&client, &addr);
        waiting.push(client);
        match connected {
            Ok(()) => assert!(waiting.len() < 1_000, "a queue of 0 is short"),
            Err(errno) => {
                assert_eq!(errno, Errno::EAGAIN);
                return (listener, waiting);
            }
        }
    }
}

fn close<K: Kernel>(kernel: &mut K, fds: impl IntoIterator<Item = Fd>) {
    for fd in fds {
        kernel.close(fd).unwrap();
    }
}
