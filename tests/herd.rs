//! Listeners that are shared with other epolls: watched again after each pause, turn and fault.
//!
//! Who of several is woken is the kernel's affair, and seen in `tests/models/children.rs`.

#[path = "support/deadline.rs"]
mod deadline;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use epollite::server::stream::{Config, Herd, Server, Turn};
use epollite::{Call, Counted, Errno, Faults, Faulty, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

type Watched = Counted<Faulty<Linux>>;

#[test]
fn who_rotates_makes_two_calls_more_for_each_client() {
    for trigger in TRIGGERS {
        let calls = |herd| {
            let config = Config { trigger, accepts_max: 1, ..Config::default() };
            let (mut server, addr) = shared(config, herd, no_fault());
            let before = server.kernel().tap.calls(Call::EpollCtl);
            let clients: Vec<_> = (0..5).map(|_| served(&mut server, addr)).collect();
            let made = server.kernel().tap.calls(Call::EpollCtl) - before;
            drop(clients);
            made
        };
        let (one, all) = (calls(Herd::Exclusive), calls(Herd::Rotating));
        assert_eq!(all - one, 10, "law: a DEL and an ADD for each of five, {trigger:?}");
    }
}

#[test]
fn a_shared_door_opens_again_after_a_pause() {
    for trigger in TRIGGERS {
        for herd in [Herd::Exclusive, Herd::Rotating] {
            let config = Config { trigger, connections_max: 1, ..Config::default() };
            let (mut server, addr) = shared(config, herd, no_fault());
            let first = served(&mut server, addr);
            let mut second = TcpStream::connect(addr).unwrap();
            second.write_all(b"?").unwrap();
            turns(&mut server, 20);
            assert_eq!(server.connections(), 1, "law: the limit holds");
            for _ in 0..3 {
                let soon = server.kernel().now() + Duration::from_millis(2);
                let turned = server.turn(Some(soon));
                assert_eq!(turned, Ok(Turn::Idle), "law: a door that is shut wakes nobody");
            }
            drop(first);
            hears(&mut server, &mut second);
            drop(second);
            drop(served(&mut server, addr));
        }
    }
}

/// Who began to watch last is woken first; when it can take no more, the others must hear of those
/// who come all the same.
#[test]
fn who_is_full_does_not_keep_the_others_from_hearing() {
    for trigger in TRIGGERS {
        for herd in [Herd::Exclusive, Herd::Rotating] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let addr = listener.local_addr().unwrap();
            let is_over = AtomicBool::new(false);
            let serve = |connections_max| {
                let listener = listener.try_clone().unwrap();
                let config =
                    Config { trigger, connections_max, accepts_max: 1, ..Config::default() };
                let mut server = Server::<_>::new(Linux, config).unwrap();
                server.open_shared(listener.into(), herd).unwrap();
                let is_over = &is_over;
                move || {
                    while !is_over.load(Ordering::Relaxed) {
                        turns(&mut server, 1);
                    }
                    server.stats().accepted
                }
            };
            let (roomy, small) = (serve(100), serve(1));
            let accepted = thread::scope(|scope| {
                let workers = [scope.spawn(roomy), scope.spawn(small)];
                let clients: std::io::Result<Vec<_>> = (0..20).map(|_| answered(addr)).collect();
                is_over.store(true, Ordering::Relaxed);
                let accepted = workers.map(|worker| worker.join().unwrap());
                clients.expect("law: who comes is let in");
                accepted
            });
            assert_eq!(accepted[0] + accepted[1], 20, "{trigger:?} {herd:?}");
            assert!(accepted[1] <= 1, "law: the limit holds");
        }
    }
}

/// A client that has been answered.
fn answered(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let mut client = TcpStream::connect(addr)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.write_all(b"?")?;
    client.read_exact(&mut [0; 1])?;
    Ok(client)
}

#[test]
fn out_of_descriptors_a_shared_door_is_asked_again() {
    for trigger in TRIGGERS {
        let config = Config { trigger, ..Config::default() };
        let faults = Faults::once(1, Errno::EMFILE).only(Call::Accept4);
        let (mut server, addr) = shared(config, Herd::Exclusive, faults);
        drop(served(&mut server, addr));
        drop(served(&mut server, addr));
        assert!(server.kernel().kernel.tap.has_struck(), "a client met the fault");
    }
}

/// A watch that cannot be had again is a door that is closed, and no descriptor lost.
#[test]
fn any_watch_of_a_shared_door_may_fail_and_nothing_leaks() {
    let mut struck = 0;
    for trigger in TRIGGERS {
        for herd in [Herd::Exclusive, Herd::Rotating] {
            for at in 0.. {
                let faults = Faults::once(at, Errno::ENOMEM).only(Call::EpollCtl);
                if !visits_under(trigger, herd, faults) {
                    break;
                }
                struck += 1;
            }
        }
    }
    assert!(struck > 30, "only {struck} faults struck: the visit has become a short one");
}

/// Two clients, of whom the second has to wait for the first. Returns whether a call failed.
fn visits_under(trigger: Trigger, herd: Herd, faults: Faults) -> bool {
    let config = Config {
        trigger,
        connections_max: 1,
        linger: Duration::ZERO,
        drain: Duration::ZERO,
        ..Config::default()
    };
    let mut kernel = Counted::over(Faulty::over(Linux, faults));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut server = Server::<_>::new(&mut kernel, config).unwrap();
    if server.open_shared(listener.into(), herd).is_ok() {
        let first = TcpStream::connect(addr);
        let second = TcpStream::connect(addr);
        turns(&mut server, 5);
        drop(first);
        turns(&mut server, 5);
        drop(second);
        turns(&mut server, 5);
    }
    drop(server);
    let counts = kernel.tap;
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    let opened = made(Call::Accept4) + made(Call::EpollCreate1) + 1;
    assert_eq!(opened, counts.calls(Call::Close), "leak under {faults:?}");
    kernel.kernel.tap.has_struck()
}

const fn no_fault() -> Faults {
    Faults::once(u64::MAX, Errno::EIO)
}

/// A server whose only door is shared, with nobody else as it happens.
fn shared(config: Config, herd: Herd, faults: Faults) -> (Server<Watched>, SocketAddr) {
    deadline::arm();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut server = Server::new(Counted::over(Faulty::over(Linux, faults)), config).unwrap();
    server.open_shared(listener.into(), herd).unwrap();
    (server, addr)
}

/// A client that has been let in, and answered.
fn served(server: &mut Server<Watched>, addr: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"?").unwrap();
    hears(server, &mut client);
    client
}

/// Turns until the client has its answer.
fn hears(server: &mut Server<Watched>, client: &mut TcpStream) {
    client.set_nonblocking(true).unwrap();
    for _ in 0..2_000 {
        turns(server, 1);
        match client.read(&mut [0; 8]) {
            Ok(1) => return,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => panic!("law: an echo and nothing else; got {other:?}"),
        }
    }
    panic!("law: who is let in is answered");
}

fn turns<K: Kernel>(server: &mut Server<K>, count: u32) {
    for _ in 0..count {
        let soon = server.kernel().now() + Duration::from_millis(2);
        let turned = server.turn(Some(soon));
        assert!(matches!(turned, Ok(Turn::Idle | Turn::Served)), "law: it goes on; {turned:?}");
    }
}
