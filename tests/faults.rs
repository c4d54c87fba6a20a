//! Every call fails: call 0, call 1, … of each kind, with each errno its man page allows, once
//! and for ever, until a run that no fault reached.
//!
//! In the simulated world the laws of the day are checked under each fault; on the real kernel
//! it is counted that whatever was opened was closed.

#[path = "../src/bin/epollite/day/mod.rs"]
mod day;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use day::weather::{Dice, Weather};
use epollite::server::stream::{Config, Server, Turn};
use epollite::sim::{Chance, Odds};
use epollite::{Call, Counted, Counts, Errno, Faults, Faulty, Kernel, Linux, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// Decisions of the day that every fault meets: connects, talk, ends, resets, turns.
const STEPS: u64 = 120;

#[test]
fn any_one_call_may_fail_in_the_simulated_world_and_every_law_holds() {
    let mut struck = 0;
    for trigger in TRIGGERS {
        for local in [false, true] {
            for call in Call::ALL {
                for &errno in Faults::of(call) {
                    struck += sweep(trigger, local, |at| Faults::once(at, errno).only(call));
                    struck += sweep(trigger, local, |at| Faults::for_ever(at, errno).only(call));
                }
            }
        }
    }
    println!("{struck} faults");
    assert!(struck > 10_000, "only {struck} faults struck: the day has become a quiet one");
}

/// One day for each call that there is to fail; returns how many there were.
fn sweep(trigger: Trigger, local: bool, faults: impl Fn(u64) -> Faults) -> u64 {
    let mut struck = 0;
    for at in 0.. {
        let weather = Weather {
            trigger,
            local,
            clients_max: 6,
            connections_max: 5,
            descriptors_max: 12,
            buffer_bytes: 64,
            budget_bytes: 100,
            odds: Odds::default(),
            faults: Some(faults(at)),
            ..Weather::draw(&mut Even(1), None, false)
        };
        match day::live(&weather, &mut Even(1), Chance::none(), STEPS) {
            Ok(report) if report.faults == 0 => break,
            Ok(_) => struck += 1,
            Err(broken) => panic!("{broken}\nweather: {weather:?}"),
        }
    }
    struck
}

/// The same decisions every time.
struct Even(u64);

impl Dice for Even {
    fn pick(&mut self, end: usize) -> Option<usize> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).ok().map(|drawn| drawn % end)
    }
}

#[test]
fn any_one_call_may_fail_on_the_real_kernel_and_nothing_leaks() {
    let mut struck = 0;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for call in Call::ALL {
            for &errno in Faults::of(call) {
                for at in 0.. {
                    let faults = Faults::once(at, errno).only(call);
                    if !one_client(trigger, faults) {
                        break;
                    }
                    struck += 1;
                }
            }
        }
    }
    println!("{struck} faults");
    assert!(struck > 100, "only {struck} faults struck: the run has become a short one");
}

/// One client's visit to a server of which a call fails. Returns whether it did.
fn one_client(trigger: Trigger, faults: Faults) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut kernel = Counted::over(Faulty::over(Linux, faults));
    // The listener and the client's end of a connection are opened outside.
    let mut adopted = 0;
    let config = Config { trigger, linger: Duration::ZERO, ..Config::default() };
    if let Ok(mut server) = Server::<_>::new(&mut kernel, config) {
        adopted = 1;
        if server.open(listener.into()).is_ok() {
            visit(&mut server, addr);
        }
    }
    let counts = kernel.tap;
    assert_eq!(opened(&counts) + adopted, counts.calls(Call::Close), "leak under {faults:?}");
    kernel.kernel.tap.has_struck()
}

fn visit(server: &mut Server<&mut Counted<Faulty<Linux>>>, addr: std::net::SocketAddr) {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_nonblocking(true).unwrap();
    // Everything fits: neither blocks.
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    let mut buf = [0; 16];
    for _ in 0..1_000 {
        let soon = server.kernel().now() + Duration::from_millis(1);
        if server.turn(Some(soon)).is_err() {
            return;
        }
        match client.read(&mut buf) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&buf[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    assert!(b"hello".starts_with(&heard[..]), "output is a prefix of input: {heard:?}");
    server.stop();
    for _ in 0..1_000 {
        let soon = server.kernel().now() + Duration::from_millis(1);
        if matches!(server.turn(Some(soon)), Ok(Turn::Over) | Err(_)) {
            return;
        }
    }
    panic!("law: the server leaves");
}

/// Descriptors that were made.
fn opened(counts: &Counts) -> u64 {
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    [Call::Accept4, Call::EpollCreate1, Call::Eventfd].into_iter().map(made).sum()
}

#[test]
fn a_fault_that_never_comes_is_noticed() {
    let mut kernel = Faulty::over(Linux, Faults::once(9, Errno::EIO));
    kernel.epoll_create1().map(|epoll| kernel.close(epoll)).unwrap().unwrap();
    assert!(!kernel.tap.has_struck());
    assert_eq!(kernel.tap.made(), 2);
}
