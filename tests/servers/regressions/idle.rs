//! The stream server: which connections are idle, and data that arrives before a deadline.

use core::time::Duration;

use epollite::kernel::{SocketOption, Syscall};
use epollite::server::stream::{Bulk, CloseReason, ServerEvent, StreamConfig};
use epollite::{Errno, Kernel, Trigger};

use crate::regressions::shutdown::{Harness, SMALL};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

const IDLE: Duration = Duration::from_secs(1);

/// A wait returns 256 events, and the deadlines of all connections have passed when the server
/// runs.
#[test]
fn data_in_time_from_many_clients_is_answered_by_a_late_server() {
    for trigger in TRIGGERS {
        let config =
            StreamConfig { trigger, idle_timeout: Some(IDLE), connections_max: 600, ..SMALL };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let clients: Vec<_> = (0..512).map(|_| harness.connect()).collect();
        (0..200).for_each(|_| _ = harness.run_once());
        assert_eq!(harness.server.connections(), 512);
        harness.sim.advance(IDLE / 2);
        for client in &clients {
            assert_eq!(harness.send(client, 5), 5);
        }
        harness.sim.advance(2 * IDLE);
        (0..4).for_each(|_| _ = harness.run_once());
        for client in clients {
            assert_eq!(harness.sim.recv(&client, &mut [0; 8]), Ok(5), "{trigger:?}");
            harness.sim.close(client).unwrap();
        }
        assert_eq!(harness.server.stats().timed_out, 0, "{trigger:?}: all were in time");
        (0..9).for_each(|_| _ = harness.run_once());
        harness.shut_down();
    }
}

/// A connection that is closing for its inactivity when the drain begins keeps the deadline of its
/// linger timeout: a silent peer does not hold up the drain.
#[test]
fn a_drain_leaves_the_linger_timeout_of_an_idle_connection() {
    for trigger in TRIGGERS {
        let linger = Duration::from_millis(100);
        let config =
            StreamConfig { trigger, idle_timeout: Some(IDLE), linger_timeout: linger, ..SMALL };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let client = harness.connect();
        (0..9).for_each(|_| _ = harness.run_once());
        harness.sim.advance(IDLE * 2);
        (0..9).for_each(|_| _ = harness.run_once());
        assert_eq!(harness.sim.recv(&client, &mut [0; 8]), Ok(0), "{trigger:?}: it half-closes");
        harness.server.begin_shutdown();
        harness.sim.advance(linger * 2);
        (0..9).for_each(|_| _ = harness.run_once());
        assert_eq!(harness.server.connections(), 0, "invariant: linger ends, {trigger:?}");
        harness.sim.close(client).unwrap();
        harness.shut_down();
    }
}

/// The drain timeout, too, closes no connection before data that had arrived has been served.
#[test]
fn data_within_the_drain_timeout_is_answered_by_a_late_server() {
    for trigger in TRIGGERS {
        let drain = Duration::from_millis(500);
        let config = StreamConfig {
            trigger,
            drain_timeout: drain,
            connections_max: 600,
            buffer_bytes: 8,
            ..SMALL
        };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let clients: Vec<_> = (0..400).map(|_| harness.connect()).collect();
        (0..200).for_each(|_| _ = harness.run_once());
        // It is stopped while replies are unsent, and these are read in time.
        for client in &clients {
            harness.sim.setsockopt(client, SocketOption::ReceiveBufferBytes(1)).unwrap();
        }
        harness.server.begin_shutdown();
        for client in &clients {
            harness.sim.shutdown(client, epollite::kernel::Shutdown::Write).unwrap();
        }
        harness.sim.advance(drain * 2);
        let mut events = Vec::new();
        for _ in 0..9 {
            harness.run_once();
            while let Some(event) = harness.server.next_event() {
                events.push(event);
            }
        }
        let late = events.iter().filter(|event| {
            matches!(event, ServerEvent::Closed { why: CloseReason::DrainTimeout, .. })
        });
        assert_eq!(late.count(), 0, "{trigger:?}: all had ended in time");
        assert_eq!(harness.server.connections(), 0);
        clients.into_iter().for_each(|client| harness.sim.close(client).unwrap());
    }
}

/// Linux reports writability when a third of the buffer is free, which may take longer than the
/// idle timeout; the peer reads all the while.
#[test]
fn a_client_that_reads_slowly_and_steadily_is_not_idle() {
    for trigger in TRIGGERS {
        for (wanted, bulk) in [
            ("127.0.0.1:7777", Bulk::Copy),
            ("unix:@slow", Bulk::Copy),
            ("127.0.0.1:7777", Bulk::Splice),
        ] {
            let config = StreamConfig { trigger, idle_timeout: Some(IDLE), bulk, ..SMALL };
            let mut harness = Harness::at(wanted, config);
            let client = harness.connect();
            harness.run_once();
            let mut sent = 0;
            for _ in 0..2_000 {
                sent += harness.send(&client, 4_096);
                harness.run_once();
            }
            let mut received = 0;
            while received < sent {
                harness.sim.advance(IDLE / 5);
                harness.run_once();
                match harness.sim.recv(&client, &mut [0; 12_000]) {
                    Ok(count) if count > 0 => received += count,
                    other => panic!(
                        "{trigger:?} {bulk:?} {wanted}: {other:?} after {received} of {sent}"
                    ),
                }
            }
            assert_eq!(harness.server.stats().timed_out, 0);
            harness.sim.close(client).unwrap();
            (0..4).for_each(|_| _ = harness.run_once());
            harness.shut_down();
        }
    }
}

/// Half-closed by us, with megabytes in flight: they are read slowly, and no reset destroys them.
#[test]
fn a_client_that_still_reads_holds_up_the_linger() {
    for trigger in TRIGGERS {
        let linger = Duration::from_millis(300);
        let config =
            StreamConfig { trigger, idle_timeout: Some(IDLE), linger_timeout: linger, ..SMALL };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let client = harness.connect();
        harness.run_once();
        let mut sent = 0;
        while sent < 400_000 {
            sent += harness.send(&client, 4_096);
            harness.run_once();
        }
        // Everything is in flight; then the idle timeout half-closes it, and it continues to read.
        let mut received = 0;
        for _ in 0..3_000 {
            harness.sim.advance(linger / 2);
            harness.run_once();
            match harness.sim.recv(&client, &mut [0; 12_000]) {
                Ok(0) => break,
                Ok(count) => received += count,
                Err(Errno::EAGAIN) => {}
                Err(errno) => panic!("{trigger:?}: {errno} after {received} of {sent}"),
            }
        }
        assert_eq!(received, sent, "{trigger:?}: a clean EOF after all bytes");
        harness.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = harness.run_once());
        harness.shut_down();
    }
}

/// Edge mode reports data and free space separately; the server tries to send when it is writable.
#[test]
fn data_that_arrives_while_bytes_are_unsent_costs_no_send_in_vain() {
    let mut harness =
        Harness::at("127.0.0.1:7777", StreamConfig { trigger: Trigger::Edge, ..SMALL });
    let client = harness.connect();
    harness.run_once();
    while harness.send(&client, 4_096) > 0 {
        harness.run_once();
    }
    harness.run_once();
    let sends = harness.faults.count(Syscall::Send);
    // Its send side is full too: a byte arrives as soon as one is read, although the server sends
    // nothing more.
    for _ in 0..20 {
        harness.faults.refuse(Syscall::Accept4, Errno::EAGAIN, 0);
        let _ = harness.send(&client, 1);
        harness.run_once();
    }
    assert_eq!(
        harness.faults.count(Syscall::Send),
        sends,
        "invariant: no writability was reported"
    );
    let mut received = 0;
    for _ in 0..1_000 {
        received += harness.sim.recv(&client, &mut [0; 65_536]).unwrap_or(0);
        harness.run_once();
    }
    assert!(received > 100_000, "the rest is sent when there is room: {received}");
    harness.sim.close(client).unwrap();
    (0..4).for_each(|_| _ = harness.run_once());
    harness.shut_down();
}

/// RFC 862: whatever is received is sent back.
#[test]
fn urgent_bytes_are_echoed_in_place() {
    for trigger in TRIGGERS {
        let mut harness = Harness::at("127.0.0.1:7777", StreamConfig { trigger, ..SMALL });
        let client = harness.connect();
        harness.run_once();
        harness.sim.send(&client, b"ab").unwrap();
        harness.sim.send_urgent(&client, b'C').unwrap();
        harness.sim.send(&client, b"d").unwrap();
        (0..6).for_each(|_| _ = harness.run_once());
        let mut buf = [0; 8];
        let received = harness.sim.recv(&client, &mut buf).unwrap();
        assert_eq!(&buf[..received], b"abCd", "{trigger:?}");
        harness.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = harness.run_once());
        harness.shut_down();
    }
}

/// A Unix stream whose next byte is out of band is readable, and a read returns nothing: once.
#[test]
fn urgent_bytes_of_a_unix_client_cause_no_busy_loop() {
    for trigger in TRIGGERS {
        let mut harness = Harness::at("unix:@urgent", StreamConfig { trigger, ..SMALL });
        let client = harness.connect();
        (0..2).for_each(|_| _ = harness.run_once());
        for _ in 0..3 {
            harness.sim.send_urgent(&client, b'!').unwrap();
            let calls = harness.faults.count(Syscall::Recv);
            let end = harness.sim.now() + Duration::from_secs(1);
            for _ in 0..20 {
                harness.server.run_once(Some(end)).unwrap();
            }
            assert!(
                harness.faults.count(Syscall::Recv) <= calls + 2,
                "invariant: no busy loop, {trigger:?}"
            );
        }
        harness.sim.send(&client, b"and on").unwrap();
        (0..4).for_each(|_| _ = harness.run_once());
        assert_eq!(harness.sim.recv(&client, &mut [0; 16]), Ok(6), "{trigger:?}");
        harness.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = harness.run_once());
        harness.shut_down();
    }
}
