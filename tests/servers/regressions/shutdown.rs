//! The stream server: shutdown, paused accepting, and its events.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::kernel::{Shutdown, SocketType, Syscall};
use epollite::server::stream::{Bulk, Outcome, ServerEvent, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

use crate::regressions::fault_script::{FaultScript, ScriptedKernel};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// More iterations than any of these tests needs.
const ROUNDS_MAX: u32 = 10_000;

#[test]
fn shutdown_echoes_all_arrived_data_at_any_budget() {
    for trigger in TRIGGERS {
        for wanted in ["127.0.0.1:7777", "unix:@leaving"] {
            for is_accepted in [true, false] {
                let config = StreamConfig { trigger, buffer_bytes: 16, budget_bytes: 10, ..SMALL };
                let mut harness = Harness::at(wanted, config);
                let client = harness.connect();
                if is_accepted {
                    harness.run_once();
                }
                let sent = harness.send(&client, 5_000);
                harness.sim.shutdown(&client, Shutdown::Write).unwrap();
                harness.server.begin_shutdown();
                let received = harness.read_to_eof(&client);
                assert_eq!(
                    received, sent,
                    "invariant: data that has arrived is echoed ({trigger:?}, {wanted})"
                );
                harness.sim.close(client).unwrap();
                harness.shut_down();
            }
        }
    }
}

#[test]
fn shutdown_flushes_and_closes_open_clients_at_any_budget() {
    for trigger in TRIGGERS {
        // Once the available data is used up in the middle of an iteration, once at its very end.
        for budget_bytes in [7, 10] {
            let config = StreamConfig { trigger, buffer_bytes: 16, budget_bytes, ..SMALL };
            let mut harness = Harness::at("127.0.0.1:7777", config);
            let client = harness.connect();
            let sent = harness.send(&client, 5_000);
            harness.server.begin_shutdown();
            let received = harness.read_to_eof(&client);
            assert_eq!(received, sent, "invariant: what has arrived is answered, in {trigger:?}");
            harness.sim.close(client).unwrap();
            harness.shut_down();
        }
    }
}

#[test]
fn the_idle_timeout_does_not_shorten_the_drain() {
    for trigger in TRIGGERS {
        let (idle, drain) = (Some(Duration::from_secs(1)), Duration::from_secs(3_600));
        let mut harness = Harness::at(
            "127.0.0.1:7777",
            StreamConfig {
                trigger,
                idle_timeout: idle,
                drain_timeout: drain,
                budget_bytes: 5_000,
                ..SMALL
            },
        );
        let client = harness.connect();
        let mut sent = 0;
        for _ in 0..1_000 {
            sent += harness.send(&client, 4_096);
            harness.run_once();
        }
        assert!(harness.server.buffered_bytes() > 0, "it has unsent data");
        harness.server.begin_shutdown();
        // Far longer than the idle timeout, far shorter than the drain timeout.
        for _ in 0..10 {
            harness.sim.advance(Duration::from_secs(1));
            assert_ne!(
                harness.run_once(),
                Outcome::Drained,
                "invariant: a connection with unsent data is waited for"
            );
        }
        let received = harness.read_to_eof(&client);
        assert!(received > 0 && received <= sent, "invariant: output is a prefix of input");
        assert_eq!(
            harness.server.stats().bytes_out,
            received as u64,
            "invariant: pending data is flushed"
        );
        assert_eq!(
            harness.server.stats().bytes_in,
            received as u64,
            "invariant: pending data is flushed"
        );
        harness.sim.close(client).unwrap();
        harness.shut_down();
    }
}

#[test]
fn unread_pause_events_are_bounded() {
    let config = StreamConfig { connections_max: 1, emit_events: false, ..SMALL };
    let mut harness = Harness::at("127.0.0.1:7777", config);
    let mut waiting = harness.connect();
    for _ in 0..100 {
        // The open connection closes, the next is accepted, and one more waits in the backlog.
        let next = harness.connect();
        harness.run_once();
        harness.sim.close(core::mem::replace(&mut waiting, next)).unwrap();
        harness.run_once();
    }
    harness.sim.close(waiting).unwrap();
    assert!(harness.server.stats().accept_pauses >= 100, "it paused again and again");
    assert_eq!(harness.server.next_event(), Some(ServerEvent::AcceptPaused { errno: None }));
    assert_eq!(harness.server.next_event(), None, "invariant: memory is bounded");
    harness.shut_down();
}

#[test]
fn unread_events_are_bounded() {
    const SENT: usize = 70_000;
    let mut harness = Harness::at("127.0.0.1:7777", StreamConfig { emit_events: true, ..SMALL });
    let client = harness.connect();
    harness.run_once();
    for _ in 0..SENT {
        harness.send(&client, 1);
        harness.run_once();
        assert_eq!(harness.sim.recv(&client, &mut [0; 4]), Ok(1));
    }
    let notes = core::iter::from_fn(|| harness.server.next_event()).count();
    assert_eq!(notes, 1 << 16, "invariant: memory is bounded, and the kept events are reported");
    harness.sim.close(client).unwrap();
    harness.shut_down();
}

#[test]
fn a_listener_recovers_from_one_failed_epoll_ctl() {
    // An edge-triggered listener is never re-armed.
    for trigger in [Trigger::Level, Trigger::OneShot] {
        let config = StreamConfig { trigger, connections_max: 1, ..SMALL };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let first = harness.connect();
        let second = harness.connect();
        harness.run_once();
        harness.send(&second, 5);
        // The next epoll_ctl is for the listener, when the first client has disconnected.
        harness.faults.refuse(Syscall::EpollCtl, Errno::ENOMEM, 1);
        harness.sim.close(first).unwrap();
        for _ in 0..20 {
            harness.run_once();
            harness.sim.advance(Duration::from_millis(100));
        }
        assert_eq!(
            harness.sim.recv(&second, &mut [0; 16]),
            Ok(5),
            "invariant: a listener recovers from a failed epoll_ctl"
        );
        harness.sim.close(second).unwrap();
        harness.shut_down();
    }
}

/// The interest of a full server's listener is removed; until that has succeeded, each wait returns
/// at once.
#[test]
fn a_pause_survives_failed_epoll_ctls() {
    const FAILURES: u64 = 3;
    for trigger in [Trigger::Level, Trigger::OneShot] {
        // One connection at a time: the pause begins when the second client waits.
        let config = StreamConfig { trigger, connections_max: 1, accepts_max: 1, ..SMALL };
        let mut harness = Harness::at("127.0.0.1:7777", config);
        let first = harness.connect();
        harness.run_once();
        let second = harness.connect();
        harness.faults.refuse(Syscall::EpollCtl, Errno::ENOMEM, FAILURES);
        let mut rounds = 0;
        while harness.run_once() != Outcome::TimedOut {
            rounds += 1;
            assert!(rounds <= FAILURES + 1, "invariant: no busy loop in {trigger:?} mode");
        }
        assert!(harness.faults.is_exhausted());
        harness.sim.close(first).unwrap();
        (0..3).for_each(|_| _ = harness.run_once());
        assert_eq!(harness.server.stats().accepted, 2, "the waiting client is accepted");
        harness.sim.close(second).unwrap();
        harness.shut_down();
    }
}

#[test]
fn eintr_on_accept_rejects_no_client() {
    let mut harness = Harness::at("127.0.0.1:7777", SMALL);
    let client = harness.connect();
    harness.faults.refuse(Syscall::EpollCtl, Errno::EINTR, 3);
    harness.run_once();
    assert!(harness.faults.is_exhausted());
    harness.send(&client, 5);
    harness.run_once();
    assert_eq!(harness.sim.recv(&client, &mut [0; 16]), Ok(5), "invariant: EINTR loses no data");
    harness.sim.close(client).unwrap();
    harness.shut_down();
}

/// A server with limits that are never reached.
pub(crate) const SMALL: StreamConfig = StreamConfig {
    trigger: Trigger::Level,
    connections_max: 10,
    buffer_bytes: 4_096,
    buffer_total_bytes: 64 << 20,
    budget_bytes: 4_096,
    events_max: NonZeroU32::new(256).unwrap(),
    accepts_max: 4,
    idle_timeout: None,
    drain_timeout: Duration::from_secs(5),
    linger_timeout: Duration::from_secs(1),
    bulk: Bulk::Copy,
    pipes_max: 0,
    emit_events: false,
};

/// A server, its clients, and the fault script.
pub(crate) struct Harness {
    pub(crate) sim: Sim,
    pub(crate) faults: FaultScript,
    pub(crate) server: StreamServer<ScriptedKernel>,
    pub(crate) addr: Addr,
    /// `Outcome::Drained` is returned once only.
    is_drained: bool,
}

impl Harness {
    pub(crate) fn at(wanted: &str, config: StreamConfig) -> Self {
        Self::on(Sim::default(), wanted, config)
    }

    pub(crate) fn on(sim: Sim, wanted: &str, config: StreamConfig) -> Self {
        let faults = FaultScript::default();
        let mut server = StreamServer::new(faults.wrap(sim.new_process()), config).unwrap();
        let wanted = wanted.parse().unwrap();
        let (listener, addr) =
            bind_stream(server.kernel(), &wanted, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, faults, server, addr, is_drained: false }
    }

    pub(crate) fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)));
        socket
    }

    /// Sends as many of `bytes` as there is room for; returns how many.
    pub(crate) fn send(&mut self, client: &Fd, bytes: usize) -> usize {
        self.sim.send(client, &vec![7; bytes]).unwrap_or(0)
    }

    /// One non-blocking iteration.
    pub(crate) fn run_once(&mut self) -> Outcome {
        let now = self.server.kernel().now();
        let run_once = self.server.run_once(Some(now)).unwrap();
        self.is_drained |= run_once == Outcome::Drained;
        run_once
    }

    /// Reads everything until a clean EOF.
    fn read_to_eof(&mut self, client: &Fd) -> usize {
        let mut received = 0;
        for _ in 0..ROUNDS_MAX {
            self.run_once();
            match self.sim.recv(client, &mut [0; 4_096]) {
                Ok(0) => return received,
                Ok(count) => received += count,
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN, "invariant: no client is disconnected")
                }
            }
        }
        let config = &self.server;
        panic!(
            "invariant: no client waits forever, but one with {received} bytes does: {config:?}"
        );
    }

    /// Shuts the server down; it must finish in time.
    pub(crate) fn shut_down(mut self) {
        self.server.begin_shutdown();
        for _ in 0..ROUNDS_MAX {
            if self.is_drained {
                return;
            }
            self.run_once();
            self.sim.advance(Duration::from_millis(100));
        }
        panic!("invariant: the server drains within its drain timeout");
    }
}
