//! Every call fails on the real kernel: call 0, call 1, … of each kind, with each errno its man
//! page allows, until a run that no fault reached; opened and closed descriptors are counted.
//!
//! `tests/properties` does the same on the simulated kernel, where every invariant is checked.

mod api;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use epollite::instrument::{CallCounter, CallCounts, FaultInjector, FaultPlan};
use epollite::kernel::Syscall;
use epollite::server::stream::{Bulk, Outcome, StreamConfig, StreamServer};
use epollite::{Errno, Kernel, Linux, Trigger};

#[test]
fn any_one_call_may_fail_on_the_real_kernel_and_nothing_leaks() {
    let mut fired = 0;
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for call in Syscall::ALL {
            for &errno in call.errnos() {
                for at in 0.. {
                    let faults = FaultPlan::once(at, errno).for_syscall(call);
                    let modes = [Bulk::Copy, Bulk::Splice];
                    let hits = modes.map(|bulk| one_client(trigger, bulk, faults));
                    if hits == [false, false] {
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
fn one_client(trigger: Trigger, bulk: Bulk, faults: FaultPlan) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut kernel = CallCounter::new(FaultInjector::new(Linux, faults));
    // The listener and the client's end of a connection are opened outside.
    let mut adopted = 0;
    let linger_timeout = Duration::ZERO;
    let config = StreamConfig { trigger, bulk, linger_timeout, ..StreamConfig::default() };
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
    let single: u64 =
        [Syscall::Accept4, Syscall::EpollCreate1, Syscall::Eventfd].into_iter().map(made).sum();
    single + 2 * made(Syscall::Pipe2)
}

#[test]
fn a_fault_that_never_fires_is_detected() {
    let mut kernel = FaultInjector::new(Linux, FaultPlan::once(9, Errno::EIO));
    kernel.epoll_create1().map(|epoll| kernel.close(epoll)).unwrap().unwrap();
    assert!(!kernel.hook.has_fired());
    assert_eq!(kernel.hook.calls(), 2);
}
