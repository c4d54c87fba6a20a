//! Every call fails: call 0, call 1, … of each kind, with each errno its man page allows, once and
//! persistently, until a run that no fault reached.
//!
//! On the simulated kernel the invariants of a scenario are checked under each fault; on the real
//! kernel opened and closed descriptors are counted.

#[path = "../../src/bin/epollite/scenario/mod.rs"]
mod scenario;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use epollite::instrument::{CallCounter, CallCounts, FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::server::stream::{Outcome, StreamConfig, StreamServer};
use epollite::sim::{Entropy, Probabilities};
use epollite::{Errno, Kernel, Linux, Trigger};
use scenario::config::{Choices, ScenarioConfig};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// Decisions of the scenario that is run with every fault: connects, data, EOFs, resets,
/// iterations.
const STEPS: u64 = 120;

#[test]
fn any_one_call_may_fail_on_the_simulated_kernel_and_every_invariant_holds() {
    let mut fired = 0;
    for trigger in TRIGGERS {
        for local in [false, true] {
            for call in Syscall::ALL {
                for &errno in call.errnos() {
                    fired +=
                        sweep(trigger, local, |at| FaultPlan::once(at, errno).for_syscall(call));
                    fired += sweep(trigger, local, |at| {
                        FaultPlan::persistent(at, errno).for_syscall(call)
                    });
                }
            }
        }
    }
    println!("{fired} faults");
    assert!(fired > 10_000, "only {fired} faults fired: the scenario exercises too few calls");
}

/// One scenario for each call that can fail; returns how many there were.
fn sweep(trigger: Trigger, local: bool, faults: impl Fn(u64) -> FaultPlan) -> u64 {
    let mut fired = 0;
    for at in 0.. {
        let scenario_config = ScenarioConfig {
            trigger,
            local,
            clients_max: 6,
            connections_max: 5,
            descriptors_max: 12,
            buffer_bytes: 64,
            budget_bytes: 100,
            odds: Probabilities::default(),
            faults: Some(faults(at)),
            ..ScenarioConfig::generate(&mut NoChoices(1), None, false)
        };
        match scenario::run(&scenario_config, &mut NoChoices(1), Entropy::none(), STEPS) {
            Ok(report) if report.faults == 0 => break,
            Ok(_) => fired += 1,
            Err(broken) => panic!("{broken}\nconfig: {scenario_config:?}"),
        }
    }
    fired
}

/// The same decisions every time.
struct NoChoices(u64);

impl Choices for NoChoices {
    fn choose(&mut self, end: usize) -> Option<usize> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).ok().map(|drawn| drawn % end)
    }
}

#[test]
fn any_one_call_may_fail_on_the_real_kernel_and_nothing_leaks() {
    let mut fired = 0;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for call in Syscall::ALL {
            for &errno in call.errnos() {
                for at in 0.. {
                    let faults = FaultPlan::once(at, errno).for_syscall(call);
                    if !one_client(trigger, faults) {
                        break;
                    }
                    fired += 1;
                }
            }
        }
    }
    println!("{fired} faults");
    assert!(fired > 100, "only {fired} faults fired: the run makes too few calls");
}

/// One client of a server in which a call fails. Returns whether it did.
fn one_client(trigger: Trigger, faults: FaultPlan) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut kernel = CallCounter::new(FaultInjector::new(Linux, faults));
    // The listener and the client's end of a connection are opened outside.
    let mut adopted = 0;
    let config =
        StreamConfig { trigger, linger_timeout: Duration::ZERO, ..StreamConfig::default() };
    if let Ok(mut server) = StreamServer::<_>::new(&mut kernel, config) {
        adopted = 1;
        if server.add_listener(listener.into()).is_ok() {
            visit(&mut server, addr);
        }
    }
    let counts = kernel.hook;
    assert_eq!(opened(&counts) + adopted, counts.calls(Syscall::Close), "leak under {faults:?}");
    kernel.kernel.hook.has_fired()
}

fn visit(
    server: &mut StreamServer<&mut CallCounter<FaultInjector<Linux>>>,
    addr: std::net::SocketAddr,
) {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_nonblocking(true).unwrap();
    // Everything fits: neither blocks.
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    let mut buf = [0; 16];
    for _ in 0..1_000 {
        let soon = server.kernel().now() + Duration::from_millis(1);
        if server.run_once(Some(soon)).is_err() {
            return;
        }
        match client.read(&mut buf) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    assert!(b"hello".starts_with(&received[..]), "output is a prefix of input: {received:?}");
    server.begin_shutdown();
    for _ in 0..1_000 {
        let soon = server.kernel().now() + Duration::from_millis(1);
        if matches!(server.run_once(Some(soon)), Ok(Outcome::Drained) | Err(_)) {
            return;
        }
    }
    panic!("invariant: the server drains");
}

/// The number of descriptors created.
fn opened(counts: &CallCounts) -> u64 {
    let made = |call| counts.calls(call) - counts.errors(call) - counts.would_block(call);
    [Syscall::Accept4, Syscall::EpollCreate1, Syscall::Eventfd].into_iter().map(made).sum()
}

#[test]
fn a_fault_that_never_fires_is_detected() {
    let mut kernel = FaultInjector::new(Linux, FaultPlan::once(9, Errno::EIO));
    kernel.epoll_create1().map(|epoll| kernel.close(epoll)).unwrap().unwrap();
    assert!(!kernel.hook.has_fired());
    assert_eq!(kernel.hook.calls(), 2);
}
