//! The servers as seen by a program that links them: registration, events, errors, and the rare
//! paths.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{Read, Write};

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::{CallError, Shutdown, SocketOption, SocketOptionName, SocketType, Syscall};
use epollite::net::{AddressFamily, UnixAddr};
use epollite::server::stream::{CloseReason, Outcome, ServerEvent, StreamConfig, StreamServer};
use epollite::server::{
    PortSharing, bind_datagram, bind_datagram_everywhere, bind_stream, bind_stream_everywhere,
    datagram,
};
use epollite::sim::Sim;
use epollite::sim::{Ipv6, SimConfig};
use epollite::{Addr, Errno, Event, Fd, Instant, Interest, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn user_sources_are_registered_reported_and_deregistered() {
    let sim = Sim::default();
    let mut server =
        StreamServer::<_, &str>::new(sim.new_process(), StreamConfig::default()).unwrap();
    let (listener, _) = bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    let listener = server.add_listener(listener).unwrap();
    let eventfd = server.kernel().eventfd(1).unwrap();
    let eventfd = server.register(eventfd, Interest::READABLE, Trigger::Level, "eventfd").unwrap();
    let Ok(Outcome::User(Event::Io { token, ready })) = server.run_once(None) else {
        panic!("invariant: a registered source is waited on")
    };
    assert!(token == eventfd && ready.is_readable());
    assert_eq!(server.get_mut(eventfd).map(|(state, _)| *state), Some("eventfd"));
    assert!(
        server.get_mut(listener).is_none(),
        "invariant: a listener is not accessible to the user"
    );
    assert!(
        server.deregister(listener).is_none(),
        "invariant: a listener is not accessible to the user"
    );
    let (fd, state) = server.deregister(eventfd).expect("it was registered");
    assert_eq!(state, "eventfd");
    server.kernel().close(fd).unwrap();
    assert!(server.deregister(eventfd).is_none(), "invariant: a stale token resolves to none");
    assert_eq!(server.run_once(Some(Instant::ZERO)), Ok(Outcome::TimedOut));
}

#[test]
fn a_wake_before_run_stops_the_server() {
    let mut sim = Sim::default();
    let mut streams = StreamServer::<_>::new(
        sim.new_process(),
        StreamConfig { emit_events: true, ..StreamConfig::default() },
    );
    let streams = streams.as_mut().unwrap();
    let (listener, addr) = bind_stream(streams.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    streams.add_listener(listener).unwrap();
    let client = connect(&mut sim, &addr);
    sim.send(&client, b"hello").unwrap();
    sim.shutdown(&client, Shutdown::Write).unwrap();
    let waker = streams.waker().unwrap();
    waker.wake(streams.kernel()).unwrap();
    let stats = streams.run().expect("invariant: no errno stops the server");
    assert_eq!(
        (stats.bytes_out, stats.closed),
        (5, 1),
        "invariant: a connection in the backlog is served"
    );
    sim.close(client).unwrap();

    let mut datagrams = datagram::DatagramServer::new(sim.new_process(), reported()).unwrap();
    let (socket, addr) = bind_datagram(datagrams.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    datagrams.add_socket(socket).unwrap();
    let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
    sim.sendto(&client, b"hello", &addr).unwrap();
    assert_eq!(datagrams.run_once(None), Ok(true));
    let waker = datagrams.waker().unwrap();
    waker.wake(datagrams.kernel()).unwrap();
    assert_eq!(datagrams.run().expect("invariant: no errno stops the server").echoed, 1);
    drop(datagrams);
    let gone = waker.wake(&mut sim.new_process());
    assert_eq!(gone, Err(Errno::EPIPE), "invariant: waking a dropped server is EPIPE");
    sim.close(client).unwrap();
}

/// Rounds of nothing but echoes are not reported; a connection that opens or closes is.
#[test]
fn run_rounds_returns_when_anything_but_an_echo_has_happened() {
    const MESSAGES: u64 = 50;
    for trigger in TRIGGERS {
        for idle_timeout in [None, Some(Duration::from_secs(600))] {
            let config = StreamConfig { trigger, idle_timeout, ..StreamConfig::default() };
            let mut server = StreamServer::<Linux>::new(Linux, config).unwrap();
            let (listener, addr) =
                bind_stream(server.kernel(), &any_port(), PortSharing::Exclusive).unwrap();
            server.add_listener(listener).unwrap();
            let addr = std::net::SocketAddr::try_from(addr).unwrap();
            let client = std::thread::spawn(move || {
                let mut client = std::net::TcpStream::connect(addr).unwrap();
                for _ in 0..MESSAGES {
                    client.write_all(&[7; 10]).unwrap();
                    client.read_exact(&mut [0; 10]).unwrap();
                }
            });
            let mut seen = vec![0];
            while seen != [0, 1, 0] {
                assert_eq!(server.run_rounds(), Ok(Outcome::Handled));
                let open = server.connections();
                if seen.last() != Some(&open) {
                    seen.push(open);
                }
            }
            client.join().unwrap();
            assert_eq!(server.stats().bytes_out, MESSAGES * 10, "{trigger:?}");
            assert_eq!(server.stats().echoes, server.stats().events_handled - 2, "{trigger:?}");
        }
    }
}

/// What is published after each round is what has been counted.
#[test]
fn run_rounds_with_shows_the_counters_after_every_round() {
    const MESSAGES: u64 = 50;
    let mut server = StreamServer::<Linux>::new(Linux, StreamConfig::default()).unwrap();
    let (listener, addr) =
        bind_stream(server.kernel(), &any_port(), PortSharing::Exclusive).unwrap();
    server.add_listener(listener).unwrap();
    let addr = std::net::SocketAddr::try_from(addr).unwrap();
    let (published, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = std::net::TcpStream::connect(addr).unwrap();
            for message in 1..=MESSAGES {
                client.write_all(&[7; 10]).unwrap();
                client.read_exact(&mut [0; 10]).unwrap();
                // The server publishes before it waits again; nothing else would wake it.
                while published.load(Ordering::Relaxed) < message {
                    std::thread::yield_now();
                }
                seen.store(message, Ordering::Relaxed);
            }
        });
        while server.stats().closed == 0 {
            let outcome = server.run_rounds_with(&mut |stats, _| {
                published.store(stats.echoes, Ordering::Relaxed);
            });
            assert_eq!(outcome, Ok(Outcome::Handled));
            published.store(server.stats().echoes, Ordering::Relaxed);
        }
    });
    assert_eq!(seen.into_inner(), MESSAGES);
}

/// A level-triggered registration that outlives its descriptor, since the kernel refused to end it,
/// is reported in every wait. All ways to run a server sleep in between.
#[test]
fn a_level_ghost_does_not_spin_in_any_way_to_run() {
    type GhostServer = StreamServer<FaultInjector<Linux>, ()>;
    type Run = fn(&mut GhostServer) -> Result<Outcome, Errno>;
    let ways: [Run; 2] = [|server| server.run_once(None), GhostServer::run_rounds];
    for run in ways {
        // The waker, the registration, its end.
        let faults = FaultPlan::once(2, Errno::ENOMEM).for_syscall(Syscall::EpollCtl);
        let config = StreamConfig { trigger: Trigger::Level, ..StreamConfig::default() };
        let mut server = GhostServer::new(FaultInjector::new(Linux, faults), config).unwrap();
        let waker = server.waker().unwrap();
        let (near, far) = server.kernel().socketpair(SocketType::Stream).unwrap();
        let duplicate = server.kernel().dup(&near).unwrap();
        let near = server.register(near, Interest::READABLE, Trigger::Level, ()).unwrap();
        let (near, ()) = server.deregister(near).unwrap();
        server.kernel().close(near).unwrap();
        server.kernel().send(&far, b"boo").unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            waker.wake(&mut Linux)
        });
        let began = Linux.now();
        let mut returned = 0;
        while run(&mut server) != Ok(Outcome::User(Event::Woken)) {
            returned += 1;
            assert!(returned < 100, "invariant: no busy loop");
        }
        thread.join().unwrap().unwrap();
        let millis = (Linux.now() - began).as_millis();
        let stale = server.stats().events_stale;
        assert!(stale > 8, "the ghost is reported: {stale}");
        assert!(u128::from(stale) <= 20 + millis, "invariant: a sleep is a millisecond: {stale}");
        for fd in [far, duplicate] {
            server.kernel().close(fd).unwrap();
        }
    }
}

/// What was received is reported, although the peer has gone and takes no echo.
#[test]
fn bytes_whose_echo_fails_are_reported() {
    for trigger in TRIGGERS {
        let mut sim = Sim::default();
        let config = StreamConfig { trigger, emit_events: true, ..StreamConfig::default() };
        let mut server = StreamServer::<_>::new(sim.new_process(), config).unwrap();
        let addr = Addr::Unix(UnixAddr::unnamed());
        let listener = server.kernel().socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        server.kernel().bind(&listener, &addr).unwrap();
        server.kernel().listen(&listener, 8).unwrap();
        let addr = server.kernel().getsockname(&listener).unwrap();
        server.add_listener(listener).unwrap();
        let client = sim.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        sim.connect(&client, &addr).unwrap();
        sim.send(&client, b"hello").unwrap();
        sim.close(client).unwrap();
        while server.run_once(Some(Instant::ZERO)) != Ok(Outcome::TimedOut) {}
        let events: Vec<_> = core::iter::from_fn(|| server.next_event()).collect();
        assert_eq!(server.stats().bytes_in, 5, "{trigger:?}");
        assert!(
            matches!(
                events[..],
                [
                    ServerEvent::Accepted { .. },
                    ServerEvent::Received { bytes: 5, .. },
                    ServerEvent::Closed { why: CloseReason::Error(Errno::EPIPE), .. }
                ]
            ),
            "{trigger:?}: {events:?}"
        );
    }
}

#[test]
fn an_epoll_wait_error_ends_the_server() {
    let faults = FaultPlan::persistent(0, Errno::EBADF).for_syscall(Syscall::EpollWait);
    let kernel = FaultInjector::new(Sim::default(), faults);
    let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
    assert_eq!(server.run_once(Some(Instant::ZERO)), Err(Errno::EBADF));
    let kernel = FaultInjector::new(Sim::default(), faults);
    let mut server =
        datagram::DatagramServer::new(kernel, datagram::DatagramConfig::default()).unwrap();
    assert_eq!(server.run_once(Some(Instant::ZERO)), Err(Errno::EBADF));
}

#[test]
fn a_socket_that_cannot_be_served_is_refused_and_closed() {
    // The simulated kernel detects the leak, if there is one.
    for call in [Syscall::Getsockname, Syscall::EpollCtl] {
        let expected = CallError { call, errno: Errno::ENOMEM };
        let kernel =
            FaultInjector::new(Sim::default(), FaultPlan::once(0, Errno::ENOMEM).for_syscall(call));
        let mut server =
            datagram::DatagramServer::new(kernel, datagram::DatagramConfig::default()).unwrap();
        let socket = server.kernel().socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
        assert_eq!(server.add_socket(socket), Err(expected), "invariant: the call is named");
        let kernel =
            FaultInjector::new(Sim::default(), FaultPlan::once(0, Errno::ENOMEM).for_syscall(call));
        let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
        let socket = server.kernel().socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        assert_eq!(server.add_listener(socket), Err(expected), "invariant: the call is named");
    }
}

#[test]
fn a_blocked_send_stops_receiving() {
    for trigger in TRIGGERS {
        let mut sim = Sim::default();
        let faults = FaultPlan::once(0, Errno::EAGAIN).for_syscall(Syscall::Sendmmsg);
        let kernel = FaultInjector::new(sim.new_process(), faults);
        let config = datagram::DatagramConfig { trigger, ..datagram::DatagramConfig::default() };
        let mut server = datagram::DatagramServer::new(kernel, config).unwrap();
        let (socket, addr) =
            bind_datagram(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
        server.add_socket(socket).unwrap();
        let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
        sim.sendto(&client, b"first", &addr).unwrap();
        server.run_once(None).unwrap();
        let mut buf = [0; 16];
        assert_eq!(sim.recvfrom(&client, &mut buf), Err(Errno::EAGAIN), "there was no room");
        sim.sendto(&client, b"second", &addr).unwrap();
        for _ in 0..4 {
            server.run_once(Some(Instant::ZERO)).unwrap();
        }
        for wanted in [&b"first"[..], b"second"] {
            let (length, _) = sim
                .recvfrom(&client, &mut buf)
                .expect("invariant: the reply is sent when there is room");
            assert_eq!(&buf[..length], wanted, "invariant: replies keep their order ({trigger:?})");
        }
        sim.close(client).unwrap();
    }
}

#[test]
fn an_answer_that_cannot_be_sent_is_dropped_and_the_next_is_not() {
    let mut sim = Sim::default();
    let faults = FaultPlan::once(0, Errno::ENOBUFS).for_syscall(Syscall::Sendmmsg);
    let kernel = FaultInjector::new(sim.new_process(), faults);
    let mut server =
        datagram::DatagramServer::new(kernel, datagram::DatagramConfig::default()).unwrap();
    let (socket, addr) = bind_datagram(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    server.add_socket(socket).unwrap();
    let client = sim.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
    sim.sendto(&client, b"lost", &addr).unwrap();
    sim.sendto(&client, b"hello", &addr).unwrap();
    server.run_once(None).unwrap();
    let mut buf = [0; 16];
    assert_eq!(sim.recvfrom(&client, &mut buf), Ok((5, addr)));
    assert_eq!((server.stats().dropped, server.stats().echoed), (1, 1));
    sim.close(client).unwrap();
}

#[test]
fn a_stuck_idle_client_is_closed_with_unsent_data() {
    for trigger in TRIGGERS {
        let mut sim = Sim::new(epollite::sim::SimConfig {
            receive_buffer_bytes: 512,
            send_buffer_bytes: 512,
            ..epollite::sim::SimConfig::default()
        });
        let idle = Some(Duration::from_secs(1));
        let config = StreamConfig {
            trigger,
            idle_timeout: idle,
            emit_events: true,
            ..StreamConfig::default()
        };
        let mut server = StreamServer::<_>::new(sim.new_process(), config).unwrap();
        let (listener, addr) =
            bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        let client = connect(&mut sim, &addr);
        for _ in 0..20 {
            let _ = sim.send(&client, &[b'x'; 512]);
            server.run_once(Some(Instant::ZERO)).unwrap();
        }
        assert!(server.buffered_bytes() > 0, "it does not read, and has unsent data");
        // The first check cannot know whether it has read since, and four more see that it does
        // not.
        for checks in 0..5 {
            assert_eq!(server.connections(), 1, "not before {checks} checks");
            let pause = if checks == 0 { 1_000 } else { 250 };
            sim.advance(Duration::from_millis(pause));
            server.run_once(Some(Instant::ZERO)).unwrap();
        }
        assert_eq!(server.connections(), 0, "invariant: an idle client is closed ({trigger:?})");
        let mut why = None;
        while let Some(note) = server.next_event() {
            if let ServerEvent::Closed { why: left, .. } = note {
                why = Some(left);
            }
        }
        assert_eq!(why, Some(CloseReason::IdleTimeout));
        sim.close(client).unwrap();
    }
}

#[test]
fn a_server_is_stopped_once() {
    let sim = Sim::default();
    let mut server = StreamServer::<_>::new(sim.new_process(), StreamConfig::default()).unwrap();
    let (listener, addr) = bind_stream(server.kernel(), &tcp(), PortSharing::Exclusive).unwrap();
    server.add_listener(listener).unwrap();
    let mut sim = sim;
    let client = connect(&mut sim, &addr);
    server.run_once(None).unwrap();
    server.begin_shutdown();
    sim.advance(Duration::from_secs(4));
    // A second call does not restart the drain timeout.
    server.begin_shutdown();
    sim.advance(Duration::from_secs(1));
    let is_drained = (0..4).any(|_| server.run_once(Some(Instant::ZERO)) == Ok(Outcome::Drained));
    assert!(is_drained, "invariant: the drain time counts from the first stop");
    sim.close(client).unwrap();
}

#[test]
fn reuseport_is_set_only_on_request() {
    let mut sim = Sim::default();
    for (wanted, port) in [("127.0.0.1:7777", true), ("[::]:7778", true), ("unix:@shared", false)] {
        let wanted: Addr = wanted.parse().unwrap();
        for (sharing, is_shared) in
            [(PortSharing::Exclusive, false), (PortSharing::ReusePort, port)]
        {
            let (socket, _) = bind_stream(&mut sim, &wanted, sharing).unwrap();
            let shared = sim.getsockopt(&socket, SocketOptionName::ReusePort);
            assert_eq!(shared, Ok(SocketOption::ReusePort(is_shared)), "{wanted} {sharing:?}");
            if wanted.family() == Some(AddressFamily::Inet6) {
                let alone = sim.getsockopt(&socket, SocketOptionName::V6Only);
                assert_eq!(alone, Ok(SocketOption::V6Only(true)), "invariant: [::] is IPv6 only");
            }
            sim.close(socket).unwrap();
        }
    }
}

/// Binds a port of every address.
type Everywhere<K> = fn(&mut K, u16, PortSharing) -> Result<(Fd, Addr), CallError>;

#[test]
fn a_missing_host_means_all_ipv4_addresses_without_ipv6() {
    let binds: [(SocketType, Everywhere<Sim>); 2] = [
        (SocketType::Stream, bind_stream_everywhere),
        (SocketType::Datagram, bind_datagram_everywhere),
    ];
    for (ipv6, wanted) in [
        (Ipv6::Present, "[::]:7777"),
        (Ipv6::Disabled, "[::]:7777"),
        (Ipv6::Absent, "0.0.0.0:7777"),
    ] {
        for (kind, bind) in binds {
            let mut sim = Sim::new(SimConfig { ipv6, ..SimConfig::default() });
            let bound = bind(&mut sim, 7_777, PortSharing::Exclusive);
            let (socket, addr) = bound.expect("invariant: IPv4 is available");
            assert_eq!(addr, wanted.parse().unwrap(), "{ipv6:?} {kind:?}");
            sim.close(socket).unwrap();
        }
    }
}

#[test]
fn only_the_lack_of_ipv6_has_ipv4_tried() {
    let binds: [Everywhere<FaultInjector<Sim>>; 2] =
        [bind_stream_everywhere, bind_datagram_everywhere];
    for bind in binds {
        for (call, errno, is_tried) in [
            (Syscall::Socket, Errno::EAFNOSUPPORT, true),
            (Syscall::Bind, Errno::EADDRNOTAVAIL, true),
            (Syscall::Socket, Errno::EMFILE, false),
            (Syscall::Bind, Errno::EADDRINUSE, false),
            (Syscall::Bind, Errno::EACCES, false),
        ] {
            let faults = FaultPlan::once(0, errno).for_syscall(call);
            let mut kernel = FaultInjector::new(Sim::default(), faults);
            match bind(&mut kernel, 7_777, PortSharing::Exclusive) {
                Ok((socket, addr)) => {
                    assert!(is_tried, "invariant: {errno} of {call:?} is reported");
                    assert_eq!(addr, "0.0.0.0:7777".parse().unwrap());
                    kernel.close(socket).unwrap();
                }
                Err(error) => {
                    assert_eq!(error, CallError { call, errno });
                    assert!(
                        !is_tried,
                        "invariant: {errno} of {call:?} means that there is no IPv6"
                    );
                }
            }
            // The simulated kernel detects the first socket, if it was left open.
            assert_eq!(kernel.hook.calls(), 1 + u64::from(is_tried), "{errno} of {call:?}");
        }
    }
}

#[test]
fn debug_output_of_servers_and_reactors_is_one_line_without_user_state() {
    let sim = Sim::default();
    let server = StreamServer::<_>::new(sim.new_process(), StreamConfig::default()).unwrap();
    let datagrams =
        datagram::DatagramServer::new(sim.new_process(), datagram::DatagramConfig::default())
            .unwrap();
    let mut reactor = epollite::Reactor::with_kernel(sim.new_process()).unwrap();
    let fd = reactor.kernel().eventfd(0).unwrap();
    let token = reactor.register_or_close(fd, Interest::READABLE, Trigger::Edge, "mine").unwrap();
    let source = format!("{:?}", reactor.get_mut(token).unwrap());
    assert!(source.contains("mine") && source.contains("registered for IN|"), "{source}");
    assert_eq!(reactor.get_mut(token).unwrap().1.token(), token);
    let fd = reactor.kernel().eventfd(0).unwrap();
    let exclusive = epollite::event::ExclusiveTrigger::Level;
    let refused = reactor.register_exclusive(fd, Interest::PRIORITY, exclusive, "mine");
    let refused = refused.expect_err("an exclusive watch takes no priority");
    assert!(format!("{refused:?}").starts_with("RegisterError(InvalidMask("), "{refused:?}");
    reactor.kernel().close(refused.fd).unwrap();
    for text in [format!("{server:?}"), format!("{datagrams:?}"), format!("{reactor:?}")] {
        assert!(!text.contains('\n') && !text.contains("mine"), "{text}");
    }
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    assert!(!format!("{unnamed:?}").is_empty());
}

/// Any free port: on the real kernel.
fn any_port() -> Addr {
    tcp().with_port(0)
}

/// The same port each time: each model has its own.
pub(crate) fn tcp() -> Addr {
    "127.0.0.1:7777".parse().unwrap()
}

fn reported() -> datagram::DatagramConfig {
    datagram::DatagramConfig { emit_events: true, ..datagram::DatagramConfig::default() }
}

pub(crate) fn connect(sim: &mut Sim, addr: &Addr) -> Fd {
    let socket = sim.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    assert!(matches!(sim.connect(&socket, addr), Ok(()) | Err(Errno::EINPROGRESS)));
    socket
}
