//! The stream server: listeners that are ready but cannot accept, and listeners added late.

use core::time::Duration;

use epollite::instrument::CallCounter;
use epollite::kernel::{CallError, Shutdown, Syscall};
use epollite::server::stream::{AcceptSharing, Outcome, ServerEvent, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::{Errno, Fd, Kernel, Linux, Trigger};

use crate::regressions::shutdown::{Harness, SMALL};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

fn listener(kernel: &mut impl Kernel, wanted: &str) -> (Fd, epollite::Addr) {
    bind_stream(kernel, &wanted.parse().unwrap(), PortSharing::Exclusive)
        .expect("the address is free")
}

/// The holder of a duplicate shuts it down: it hangs up forever, and accepts nothing.
#[test]
fn a_listener_that_was_shut_down_is_closed_and_reported() {
    for trigger in TRIGGERS {
        for sharing in [None, Some(AcceptSharing::Exclusive), Some(AcceptSharing::RoundRobin)] {
            let config = StreamConfig { trigger, ..StreamConfig::default() };
            let mut server = StreamServer::<_>::new(CallCounter::new(Linux), config).unwrap();
            let (dead, _) = listener(server.kernel(), "127.0.0.1:0");
            let duplicate = Linux.dup(&dead).unwrap();
            let dead = match sharing {
                None => server.add_listener(dead),
                Some(sharing) => server.add_shared_listener(dead, sharing),
            };
            let (open, addr) = listener(server.kernel(), "127.0.0.1:0");
            server.add_listener(open).unwrap();
            let (spare, _) = listener(server.kernel(), "127.0.0.1:0");
            server.add_listener(spare).unwrap();
            assert_eq!(server.listeners(), 3);
            Linux.shutdown(&duplicate, Shutdown::Read).unwrap();
            let end = Linux.now() + Duration::from_millis(60);
            while Linux.now() < end {
                server.run_once(Some(end)).unwrap();
            }
            let waits = [Syscall::EpollWait, Syscall::EpollPwait2];
            let waits: u64 = waits.map(|call| server.kernel().hook.calls(call)).iter().sum();
            assert!(
                waits < 20,
                "invariant: no busy loop, but {trigger:?} {sharing:?} waited {waits} times"
            );
            let reported =
                ServerEvent::ListenerFailed { token: dead.unwrap(), errno: Errno::EINVAL };
            assert_eq!(server.next_event(), Some(reported), "{trigger:?} {sharing:?}");
            assert_eq!(server.listeners(), 2, "{trigger:?} {sharing:?}");
            // The other one keeps working.
            let addr = std::net::SocketAddr::try_from(addr).unwrap();
            let client = std::net::TcpStream::connect(addr).unwrap();
            let end = Linux.now() + Duration::from_secs(10);
            while server.connections() == 0 && Linux.now() < end {
                server.run_once(Some(end)).unwrap();
            }
            assert_eq!(server.connections(), 1, "{trigger:?} {sharing:?}");
            drop(client);
            Linux.close(duplicate).unwrap();
        }
    }
}

/// Events that are reported whatever `emit_events` is: one that is not drained hides no other.
#[test]
fn a_pause_is_reported_behind_a_failed_listener() {
    let config = StreamConfig { connections_max: 1, ..StreamConfig::default() };
    let mut server = StreamServer::<_>::new(Linux, config).unwrap();
    let (dead, _) = listener(server.kernel(), "127.0.0.1:0");
    let duplicate = Linux.dup(&dead).unwrap();
    let dead = server.add_listener(dead).unwrap();
    let (open, addr) = listener(server.kernel(), "127.0.0.1:0");
    server.add_listener(open).unwrap();
    Linux.shutdown(&duplicate, Shutdown::Both).unwrap();
    let end = Linux.now() + Duration::from_secs(10);
    while server.listeners() == 2 && Linux.now() < end {
        server.run_once(Some(end)).unwrap();
    }
    let addr = std::net::SocketAddr::try_from(addr).unwrap();
    let clients = [(); 2].map(|()| std::net::TcpStream::connect(addr).unwrap());
    while server.stats().accept_pauses == 0 && Linux.now() < end {
        server.run_once(Some(end)).unwrap();
    }
    let failed = ServerEvent::ListenerFailed { token: dead, errno: Errno::EINVAL };
    assert_eq!(server.next_event(), Some(failed));
    let paused = ServerEvent::AcceptPaused { errno: None };
    assert_eq!(server.next_event(), Some(paused), "invariant: a pause is always reported");
    assert_eq!(server.next_event(), None, "and once");
    drop(clients);
    Linux.close(duplicate).unwrap();
}

/// A full server: a waiting client makes the new listener ready, but cannot be accepted.
#[test]
fn a_listener_that_is_opened_while_accepting_is_paused_waits_too() {
    for trigger in TRIGGERS {
        for sharing in [None, Some(AcceptSharing::Exclusive), Some(AcceptSharing::RoundRobin)] {
            let config = StreamConfig { trigger, connections_max: 1, ..SMALL };
            let mut harness = Harness::at("127.0.0.1:7777", config);
            let first = harness.connect();
            let waiting = harness.connect();
            (0..3).for_each(|_| _ = harness.run_once());
            assert_eq!(harness.server.connections(), 1, "it is full");
            let (second, addr) = listener(harness.server.kernel(), "127.0.0.1:8888");
            match sharing {
                None => harness.server.add_listener(second).unwrap(),
                Some(sharing) => harness.server.add_shared_listener(second, sharing).unwrap(),
            };
            harness.addr = addr;
            let late = harness.connect();
            if sharing.is_some() || matches!(trigger, Trigger::Level | Trigger::OneShot) {
                let outcome = harness.run_once();
                assert_eq!(outcome, Outcome::TimedOut, "it is not asked: {trigger:?} {sharing:?}");
            }
            let waits = |harness: &Harness| {
                harness.faults.count(Syscall::EpollWait)
                    + harness.faults.count(Syscall::EpollPwait2)
            };
            let before = waits(&harness);
            let end = harness.sim.now() + Duration::from_secs(10);
            while harness.sim.now() < end && waits(&harness) < before + 1_000 {
                harness.server.run_once(Some(end)).unwrap();
            }
            let made = waits(&harness) - before;
            assert!(
                made <= 10 * 10,
                "invariant: no busy loop, but {trigger:?} {sharing:?}: {made} waits"
            );
            // One slot becomes free, and then another: both waiting clients are accepted.
            for client in [first, waiting, late] {
                harness.sim.close(client).unwrap();
                (0..4).for_each(|_| _ = harness.run_once());
                harness.sim.advance(Duration::from_millis(300));
                (0..4).for_each(|_| _ = harness.run_once());
            }
            assert_eq!(harness.server.stats().accepted, 3, "{trigger:?} {sharing:?}");
            harness.shut_down();
        }
    }
}

#[test]
fn a_listener_that_is_opened_while_the_server_drains_is_closed() {
    let mut harness = Harness::at("127.0.0.1:7777", SMALL);
    let client = harness.connect();
    harness.run_once();
    harness.server.begin_shutdown();
    let (late, _) = listener(harness.server.kernel(), "127.0.0.1:8888");
    let expected = CallError { call: Syscall::EpollCtl, errno: Errno::ESHUTDOWN };
    assert_eq!(harness.server.add_listener(late), Err(expected));
    // The address is free again: the listener was closed.
    let (second, _) = listener(harness.server.kernel(), "127.0.0.1:8888");
    harness.server.kernel().close(second).unwrap();
    harness.sim.close(client).unwrap();
    harness.shut_down();
}

/// The errno reported for paused accepting is the kernel's.
#[test]
fn a_pause_reports_the_errno_of_accept() {
    for errno in [Errno::EPERM, Errno::ECONNABORTED, Errno::ENETDOWN, Errno::EMFILE] {
        let mut harness = Harness::at("127.0.0.1:7777", SMALL);
        let client = harness.connect();
        harness.faults.refuse(Syscall::Accept4, errno, 1_000);
        (0..3).for_each(|_| _ = harness.run_once());
        assert_eq!(
            harness.server.next_event(),
            Some(ServerEvent::AcceptPaused { errno: Some(errno) })
        );
        harness.faults.refuse(Syscall::Accept4, errno, 0);
        harness.sim.close(client).unwrap();
        harness.shut_down();
    }
}
