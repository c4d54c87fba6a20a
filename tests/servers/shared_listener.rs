//! Listeners shared with other epolls: registered again after each pause, round-robin turn and
//! fault.
//!
//! Which of several epolls is woken is up to the kernel, and tested in
//! `tests/program/models/children.rs`.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use epollite::audit::{EpollEntry, parse_fdinfo};
use epollite::event::{EPOLLET, EPOLLEXCLUSIVE, EPOLLIN};
use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::server::stream::{AcceptSharing, Outcome, ServerEvent, StreamConfig, StreamServer};
use epollite::{Errno, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

type CountedFaults = CallCounter<FaultInjector<Linux>>;

#[test]
fn rotation_costs_two_epoll_ctl_per_connection() {
    for trigger in TRIGGERS {
        let calls = |sharing| {
            let config = StreamConfig { trigger, accepts_max: 1, ..StreamConfig::default() };
            let (mut server, addr) = shared(config, sharing, no_fault());
            let before = server.kernel().hook.calls(Syscall::EpollCtl);
            let clients: Vec<_> = (0..5).map(|_| served(&mut server, addr)).collect();
            let made = server.kernel().hook.calls(Syscall::EpollCtl) - before;
            drop(clients);
            made
        };
        let (one, all) = (calls(AcceptSharing::Exclusive), calls(AcceptSharing::RoundRobin));
        assert_eq!(all - one, 10, "invariant: a DEL and an ADD for each of five, {trigger:?}");
    }
}

#[test]
fn a_shared_listener_resumes_after_a_pause() {
    for trigger in TRIGGERS {
        for sharing in [AcceptSharing::Exclusive, AcceptSharing::RoundRobin] {
            let config = StreamConfig { trigger, connections_max: 1, ..StreamConfig::default() };
            let (mut server, addr) = shared(config, sharing, no_fault());
            let first = served(&mut server, addr);
            let mut second = TcpStream::connect(addr).unwrap();
            second.write_all(b"?").unwrap();
            run_rounds(&mut server, 20);
            assert_eq!(server.connections(), 1, "invariant: the limit holds");
            for _ in 0..3 {
                let soon = server.kernel().now() + Duration::from_millis(2);
                let ran = server.run_once(Some(soon));
                assert_eq!(
                    ran,
                    Ok(Outcome::TimedOut),
                    "invariant: a removed listener wakes no epoll"
                );
            }
            drop(first);
            is_woken(&mut server, &mut second);
            drop(second);
            drop(served(&mut server, addr));
        }
    }
}

/// The kernel wakes the epoll at the head of its list; when that server can accept no more, the
/// others must still be notified of new connections.
#[test]
fn a_full_worker_does_not_absorb_wakeups() {
    for trigger in TRIGGERS {
        for sharing in [AcceptSharing::Exclusive, AcceptSharing::RoundRobin] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let addr = listener.local_addr().unwrap();
            let is_drained = AtomicBool::new(false);
            let serve = |connections_max| {
                let listener = listener.try_clone().unwrap();
                let config = StreamConfig {
                    trigger,
                    connections_max,
                    accepts_max: 1,
                    ..StreamConfig::default()
                };
                let mut server = StreamServer::<_>::new(Linux, config).unwrap();
                server.add_shared_listener(listener.into(), sharing).unwrap();
                let is_drained = &is_drained;
                move || {
                    while !is_drained.load(Ordering::Relaxed) {
                        run_rounds(&mut server, 1);
                    }
                    server.stats().accepted
                }
            };
            let (roomy, small) = (serve(100), serve(1));
            let accepted = thread::scope(|scope| {
                let workers = [scope.spawn(roomy), scope.spawn(small)];
                let clients: std::io::Result<Vec<_>> = (0..20).map(|_| answered(addr)).collect();
                is_drained.store(true, Ordering::Relaxed);
                let accepted = workers.map(|worker| worker.join().unwrap());
                clients.expect("invariant: every client is accepted");
                accepted
            });
            assert_eq!(accepted[0] + accepted[1], 20, "{trigger:?} {sharing:?}");
            assert!(accepted[1] <= 1, "invariant: the limit holds");
        }
    }
}

/// A client that has received its echo.
fn answered(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let mut client = TcpStream::connect(addr)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.write_all(b"?")?;
    client.read_exact(&mut [0; 1])?;
    Ok(client)
}

#[test]
fn a_shared_listener_retries_after_emfile() {
    for trigger in TRIGGERS {
        let config = StreamConfig { trigger, ..StreamConfig::default() };
        let faults = FaultPlan::once(1, Errno::EMFILE).for_syscall(Syscall::Accept4);
        let (mut server, addr) = shared(config, AcceptSharing::Exclusive, faults);
        drop(served(&mut server, addr));
        drop(served(&mut server, addr));
        assert!(server.kernel().kernel.hook.has_fired(), "a client hit the fault");
    }
}

/// A registration that cannot be restored means a closed listener, and no leaked descriptor.
#[test]
fn any_epoll_ctl_failure_on_a_shared_listener_leaks_nothing() {
    let mut fired = 0;
    for trigger in TRIGGERS {
        for sharing in [AcceptSharing::Exclusive, AcceptSharing::RoundRobin] {
            for at in 0.. {
                let faults = FaultPlan::once(at, Errno::ENOMEM).for_syscall(Syscall::EpollCtl);
                if !visits_under(trigger, sharing, faults) {
                    break;
                }
                fired += 1;
            }
        }
    }
    assert!(fired > 30, "only {fired} faults fired: the run makes too few calls");
}

/// Two clients, of which the second has to wait for the first. Returns whether a call failed.
fn visits_under(trigger: Trigger, sharing: AcceptSharing, faults: FaultPlan) -> bool {
    let config = StreamConfig {
        trigger,
        connections_max: 1,
        linger_timeout: Duration::ZERO,
        drain_timeout: Duration::ZERO,
        ..StreamConfig::default()
    };
    let mut kernel = CallCounter::new(FaultInjector::new(Linux, faults));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut server = StreamServer::<_>::new(&mut kernel, config).unwrap();
    if server.add_shared_listener(listener.into(), sharing).is_ok() {
        let first = TcpStream::connect(addr);
        let second = TcpStream::connect(addr);
        run_rounds(&mut server, 5);
        drop(first);
        run_rounds(&mut server, 5);
        drop(second);
        run_rounds(&mut server, 5);
    }
    drop(server);
    let counts = kernel.hook;
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    let opened = made(Syscall::Accept4) + made(Syscall::EpollCreate1) + 1;
    assert_eq!(opened, counts.calls(Syscall::Close), "leak under {faults:?}");
    kernel.kernel.hook.has_fired()
}

/// One of two shared listeners cannot be restored after a pause: the other accepts at once, and is
/// not reported in vain until then.
#[test]
fn the_shared_listener_that_remains_accepts_at_once_after_a_pause() {
    let mut closed = 0;
    for trigger in TRIGGERS {
        for at in 0..20 {
            let config = StreamConfig {
                trigger,
                connections_max: 1,
                linger_timeout: Duration::ZERO,
                ..StreamConfig::default()
            };
            let faults = FaultPlan::once(at, Errno::ENOMEM).for_syscall(Syscall::EpollCtl);
            let kernel = CallCounter::new(FaultInjector::new(Linux, faults));
            let mut server = StreamServer::<CountedFaults>::new(kernel, config).unwrap();
            let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
            let addrs = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
            let added = listeners.map(|listener| {
                listener.set_nonblocking(true).unwrap();
                server.add_shared_listener(listener.into(), AcceptSharing::Exclusive).is_ok()
            });
            let Ok(first) = TcpStream::connect(addrs[1]) else { continue };
            run_rounds(&mut server, 5);
            drop(first);
            run_rounds(&mut server, 5);
            if added != [true; 2] || server.listeners() != 1 {
                continue;
            }
            closed += 1;
            for addr in addrs {
                let Ok(mut client) = TcpStream::connect(addr) else { continue };
                client.write_all(b"?").unwrap();
                let waits = server.kernel().hook.calls(Syscall::EpollWait);
                is_woken(&mut server, &mut client);
                let waits = server.kernel().hook.calls(Syscall::EpollWait) - waits;
                assert!(waits < 50, "{waits} waits, {trigger:?}, failure {at}");
            }
        }
    }
    assert!(closed > 0, "no failure closed one of the two");
}

/// As the kernel has it: a new connection wakes one of the epolls, not all.
#[test]
fn a_shared_listener_is_registered_exclusively_with_the_trigger_of_the_server() {
    for (trigger, edge) in [(Trigger::Level, 0), (Trigger::Edge, EPOLLET)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let number = u32::try_from(listener.as_raw_fd()).unwrap();
        let config = StreamConfig { trigger, ..StreamConfig::default() };
        let mut server = StreamServer::<Linux>::new(Linux, config).unwrap();
        server.add_shared_listener(listener.into(), AcceptSharing::Exclusive).unwrap();
        let mut epolls = std::fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(|entry| {
            let text = std::fs::read_to_string(entry.ok()?.path()).ok()?;
            parse_fdinfo(&text).ok()
        });
        let wanted = EPOLLIN | EPOLLEXCLUSIVE | edge;
        let is_wanted = |it: &EpollEntry| it.fd == number && it.requested() == wanted;
        assert!(epolls.any(|list| list.iter().any(is_wanted)), "{trigger:?}");
    }
}

/// After each turn it is registered again; to the caller it is the same listener.
#[test]
fn a_lost_listener_is_reported_by_its_first_token_and_the_other_goes_on() {
    crate::deadline::arm();
    // Two listeners; then a connection, and the first listener out and in again, twice.
    let faults = FaultPlan::once(7, Errno::ENOMEM).for_syscall(Syscall::EpollCtl);
    let config = StreamConfig {
        trigger: Trigger::Level,
        accepts_max: 1,
        connections_max: 3,
        emit_events: true,
        ..StreamConfig::default()
    };
    let kernel = CallCounter::new(FaultInjector::new(Linux, faults));
    let mut server = StreamServer::new(kernel, config).unwrap();
    let [first, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [first_addr, other_addr] = [&first, &other].map(|listener| {
        listener.set_nonblocking(true).unwrap();
        listener.local_addr().unwrap()
    });
    let token = server.add_shared_listener(first.into(), AcceptSharing::RoundRobin).unwrap();
    server.add_listener(other.into()).unwrap();
    let clients = [first_addr, first_addr, other_addr].map(|addr| served(&mut server, addr));
    let failed = ServerEvent::ListenerFailed { token, errno: Errno::ENOMEM };
    assert!(core::iter::from_fn(|| server.next_event()).any(|event| event == failed));
    // It is full: the other listener pauses, and goes on.
    let mut waiting = TcpStream::connect(other_addr).unwrap();
    waiting.write_all(b"?").unwrap();
    run_rounds(&mut server, 5);
    assert_eq!((server.connections(), server.listeners()), (3, 1));
    drop(clients);
    is_woken(&mut server, &mut waiting);
}

const fn no_fault() -> FaultPlan {
    FaultPlan::once(u64::MAX, Errno::EIO)
}

/// A server whose only listener is shared; no other epoll is present.
fn shared(
    config: StreamConfig,
    sharing: AcceptSharing,
    faults: FaultPlan,
) -> (StreamServer<CountedFaults>, SocketAddr) {
    crate::deadline::arm();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut server =
        StreamServer::new(CallCounter::new(FaultInjector::new(Linux, faults)), config).unwrap();
    server.add_shared_listener(listener.into(), sharing).unwrap();
    (server, addr)
}

/// A client that has been accepted and answered.
fn served(server: &mut StreamServer<CountedFaults>, addr: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"?").unwrap();
    is_woken(server, &mut client);
    client
}

/// Iterations until the client has its reply.
fn is_woken(server: &mut StreamServer<CountedFaults>, client: &mut TcpStream) {
    client.set_nonblocking(true).unwrap();
    for _ in 0..2_000 {
        run_rounds(server, 1);
        match client.read(&mut [0; 8]) {
            Ok(1) => return,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => panic!("invariant: an echo and nothing else; got {other:?}"),
        }
    }
    panic!("invariant: an accepted client is answered");
}

fn run_rounds<K: Kernel>(server: &mut StreamServer<K>, count: u32) {
    for _ in 0..count {
        let soon = server.kernel().now() + Duration::from_millis(2);
        let ran = server.run_once(Some(soon));
        assert!(
            matches!(ran, Ok(Outcome::TimedOut | Outcome::Handled)),
            "invariant: it keeps serving; {ran:?}"
        );
    }
}
