//! Accepting: which events count, how many connections one takes, and the queue at the end.

use epollite::kernel::Syscall;
use epollite::server::stream::{Outcome, StreamConfig};
use epollite::{Errno, Kernel, Trigger};

use super::StreamHarness;

/// An event of a listener is handled when a connection came of it.
#[test]
fn an_event_of_a_listener_without_a_connection_is_spurious() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        for (errno, connections_max, handled) in [
            (Some(Errno::EAGAIN), 2, 0),
            (Some(Errno::EMFILE), 2, 0),
            (None, 2, 1),
            // There is no room for the second.
            (None, 1, 1),
        ] {
            let config = StreamConfig { trigger, connections_max, ..StreamConfig::default() };
            let mut harness = StreamHarness::begin("127.0.0.1:7777", config);
            let clients = [harness.connect(), harness.connect()];
            if let Some(errno) = errno {
                harness.fail_next(Syscall::Accept4, errno, 1);
            }
            harness.run_once();
            let stats = harness.server.stats();
            let counted = (stats.events_handled, stats.events_spurious);
            assert_eq!(counted, (handled, 1 - handled), "{errno:?} {trigger:?}");
            for client in clients {
                harness.sim.close(client).unwrap();
            }
        }
    }
}

/// A level-triggered listener is asked for one connection at a time, while they come singly.
#[test]
fn a_long_queue_is_accepted_in_growing_batches() {
    let config = StreamConfig { trigger: Trigger::Level, ..StreamConfig::default() };
    let mut harness = StreamHarness::begin("127.0.0.1:7777", config);
    let mut clients = vec![harness.connect()];
    harness.run_once();
    clients.extend((0..100).map(|_| harness.connect()));
    let mut waits = 0;
    while harness.server.stats().accepted < 101 {
        assert_eq!(harness.run_once(), Outcome::Handled);
        waits += 1;
    }
    // Eight batches of each size: 8 + 16 + 32, and 44 more.
    assert_eq!(waits, 8 + 8 + 8 + 6);
    for client in clients {
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn a_shutdown_accepts_the_queue_past_aborted_connections() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        for (aborted, accepted) in [(0, 5), (1, 5), (64, 5), (65, 0)] {
            let config = StreamConfig { trigger, ..StreamConfig::default() };
            let mut harness = StreamHarness::begin("127.0.0.1:7777", config);
            let clients = [(); 5].map(|()| harness.connect());
            harness.fail_next(Syscall::Accept4, Errno::ECONNABORTED, aborted);
            harness.server.begin_shutdown();
            assert_eq!(harness.server.stats().accepted, accepted, "{aborted} {trigger:?}");
            for client in clients {
                harness.sim.close(client).unwrap();
            }
            harness.run_until_idle();
        }
    }
}
