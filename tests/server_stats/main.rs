//! What the stream server counts, reports and waits for, one iteration at a time on the model,
//! whose clock advances only on request.

use core::time::Duration;

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::{Shutdown, SocketOption, SocketType, Syscall};
use epollite::server::stream::{
    CloseReason, Outcome, ServerEvent, StreamConfig, StreamServer, StreamStats,
};
use epollite::server::{PortSharing, bind_stream, datagram};
use epollite::sim::Sim;
use epollite::sim::SimConfig;
use epollite::{Addr, Errno, Event, Fd, Instant, Interest, Kernel, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn stats_and_events_match_the_bytes_echoed() {
    for trigger in TRIGGERS {
        let mut harness =
            Harness::begin(StreamConfig { trigger, emit_events: true, ..StreamConfig::default() });
        let client = harness.connect();
        harness.send(&client, b"hello");
        harness.settle();
        harness.send(&client, b"again and again");
        harness.settle();
        harness.sim.shutdown(&client, Shutdown::Write).unwrap();
        harness.settle();
        let stats = harness.server.stats();
        let wanted = StreamStats {
            accepted: 1,
            closed: 1,
            bytes_in: 20,
            bytes_out: 20,
            echoes: 2,
            events_handled: stats.events_handled,
            events_spurious: stats.events_spurious,
            ..StreamStats::default()
        };
        assert_eq!(stats, wanted, "{trigger:?}");
        assert!(stats.events_handled >= 4, "the listener, two messages, EOF: {stats:?}");
        let events: Vec<ServerEvent> =
            core::iter::from_fn(|| harness.server.next_event()).collect();
        let [
            ServerEvent::Accepted { token, peer },
            received @ ..,
            ServerEvent::Closed { why: CloseReason::PeerClosed, .. },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        let bytes = received.iter().map(|event| match event {
            ServerEvent::Received { token: id, bytes } if id == token => *bytes,
            other => panic!("{other:?} among {events:?}"),
        });
        assert_eq!(bytes.collect::<Vec<_>>(), [5, 15], "invariant: a message is reported once");
        assert_eq!(*peer, harness.sim.getsockname(&client).unwrap());
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn no_events_without_emit_events() {
    let mut harness = Harness::begin(StreamConfig::default());
    let client = harness.connect();
    harness.send(&client, b"hello");
    harness.settle();
    harness.sim.close(client).unwrap();
    harness.settle();
    assert_eq!(harness.server.next_event(), None);
}

#[test]
fn only_a_broken_connection_is_counted_as_broken() {
    let mut harness = Harness::begin(StreamConfig::default());
    let clean = harness.connect();
    let aborting = harness.connect();
    harness.settle();
    harness.sim.setsockopt(&aborting, SocketOption::LingerSeconds(Some(0))).unwrap();
    harness.sim.close(clean).unwrap();
    harness.settle();
    assert_eq!((harness.server.stats().closed, harness.server.stats().reset), (1, 0));
    harness.sim.close(aborting).unwrap();
    harness.settle();
    assert_eq!((harness.server.stats().closed, harness.server.stats().reset), (2, 1));
    assert_eq!(harness.server.connections(), 0);
}

#[test]
fn an_event_is_useful_or_spurious_and_never_both() {
    let mut harness =
        Harness::begin(StreamConfig { trigger: Trigger::Edge, ..StreamConfig::default() });
    let client = harness.connect();
    harness.run_once();
    assert_eq!(counts(&harness), (1, 0), "a client was accepted");
    harness.run_once();
    assert_eq!(counts(&harness), (1, 1), "writable, with nothing to write");
    harness.send(&client, b"hello");
    harness.run_once();
    assert_eq!(counts(&harness), (2, 1), "a message counts as handled");
    harness.sim.close(client).unwrap();
}

#[test]
fn an_event_for_a_deregistered_user_source_is_stale() {
    let sim = Sim::default();
    let mut server =
        StreamServer::<_, u8>::new(sim.new_process(), StreamConfig::default()).unwrap();
    let eventfds = [1, 2].map(|name| {
        let fd = server.kernel().eventfd(1).unwrap();
        server.register(fd, Interest::READABLE, Trigger::Level, name).unwrap()
    });
    let Ok(Outcome::User(Event::Io { token, .. })) = server.run_once(None) else { panic!() };
    let other = if token == eventfds[0] { eventfds[1] } else { eventfds[0] };
    let (fd, _) = server.deregister(other).unwrap();
    server.kernel().close(fd).unwrap();
    assert_eq!(server.stats().events_stale, 0, "it has not been polled");
    let _ = server.run_once(Some(Instant::ZERO));
    assert_eq!(
        server.stats().events_stale,
        1,
        "invariant: a stale event is counted, and is not delivered"
    );
    let (useful, spurious) = (server.stats().events_handled, server.stats().events_spurious);
    assert_eq!((useful, spurious), (0, 0), "user events are not counted as the server's");
}

#[test]
fn idle_time_counts_from_the_last_message() {
    for trigger in TRIGGERS {
        let idle = Some(Duration::from_millis(1_000));
        let mut harness = Harness::begin(StreamConfig {
            trigger,
            idle_timeout: idle,
            emit_events: true,
            ..StreamConfig::default()
        });
        let client = harness.connect();
        harness.settle();
        harness.after(900);
        harness.send(&client, b"still here");
        harness.settle();
        // One second after it was accepted, and one second after its data but for a millisecond.
        harness.after(999);
        assert_eq!(
            harness.server.stats().timed_out,
            0,
            "invariant: it has sent data since ({trigger:?})"
        );
        let useful = harness.server.stats().events_handled;
        harness.after(1);
        let stats = harness.server.stats();
        assert_eq!(stats.timed_out, 1, "invariant: an idle client is closed ({trigger:?})");
        assert!(stats.events_handled > useful, "closing a connection counts as handled");
        assert_eq!(harness.recv(&client), b"still here");
        assert_eq!(harness.sim.recv(&client, &mut [0; 8]), Ok(0), "half-closed after the timeout");
        // Closed once, whatever else arrives.
        harness.after(500);
        assert_eq!(harness.server.stats().timed_out, 1);
        harness.sim.close(client).unwrap();
        harness.settle();
        assert!(
            harness.has_closed(CloseReason::IdleTimeout),
            "invariant: the close reason is reported"
        );
    }
}

#[test]
fn a_client_ignoring_shutdown_is_closed_after_linger() {
    for trigger in TRIGGERS {
        let idle = Some(Duration::from_millis(1_000));
        let linger = Duration::from_millis(300);
        let mut harness = Harness::begin(StreamConfig {
            trigger,
            idle_timeout: idle,
            linger_timeout: linger,
            emit_events: true,
            ..StreamConfig::default()
        });
        let client = harness.connect();
        harness.settle();
        harness.after(1_000);
        harness.after(299);
        assert_eq!(
            harness.server.connections(),
            1,
            "invariant: it has time to close ({trigger:?})"
        );
        harness.after(1);
        assert_eq!(
            harness.server.connections(),
            0,
            "invariant: and no more than that ({trigger:?})"
        );
        assert!(harness.has_closed(CloseReason::IdleTimeout));
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn a_spurious_event_does_not_reset_the_idle_timer() {
    let idle = Some(Duration::from_millis(1_000));
    let config = StreamConfig {
        trigger: Trigger::Edge,
        idle_timeout: idle,
        budget_bytes: 4,
        ..StreamConfig::default()
    };
    let mut harness = Harness::begin(config);
    let client = harness.connect();
    harness.run_once();
    harness.run_once();
    harness.send(&client, b"word");
    harness.run_once();
    // The budget was used up with the last byte: whether there is more is seen later.
    harness.sim.advance(Duration::from_millis(800));
    let spurious = harness.server.stats().events_spurious;
    harness.settle();
    assert_eq!(harness.server.stats().events_spurious, spurious + 1, "there was no more data");
    harness.after(200);
    assert_eq!(harness.server.stats().timed_out, 1, "invariant: an idle client times out");
    harness.sim.close(client).unwrap();
}

#[test]
fn a_stuck_client_delays_the_exit_for_the_drain_timeout_and_no_longer() {
    for trigger in TRIGGERS {
        let drain = Duration::from_millis(700);
        let small =
            SimConfig { receive_buffer_bytes: 512, send_buffer_bytes: 512, ..SimConfig::default() };
        let config = StreamConfig {
            trigger,
            drain_timeout: drain,
            emit_events: true,
            ..StreamConfig::default()
        };
        let mut harness = Harness::at("127.0.0.1:7777", config, small);
        let client = harness.connect();
        for _ in 0..20 {
            let _ = harness.sim.send(&client, &[b'x'; 512]);
            harness.run_once();
        }
        harness.server.begin_shutdown();
        harness.after(699);
        assert_eq!(
            harness.server.connections(),
            1,
            "invariant: there is time to flush ({trigger:?})"
        );
        // Without a deadline passed in, the server's own ends the wait.
        let mut run_once = harness.server.run_once(None);
        while run_once == Ok(Outcome::Handled) {
            run_once = harness.server.run_once(None);
        }
        assert!(
            matches!(run_once, Ok(Outcome::Drained | Outcome::TimedOut)),
            "{run_once:?} ({trigger:?})"
        );
        assert_eq!(
            harness.server.connections(),
            0,
            "invariant: and no more than that ({trigger:?})"
        );
        assert!(harness.has_closed(CloseReason::DrainTimeout));
        harness.sim.close(client).unwrap();
    }
}

#[test]
fn a_wait_that_is_always_interrupted_returns_without_error() {
    let faults = FaultPlan::persistent(0, Errno::EINTR).for_syscall(Syscall::EpollWait);
    let kernel = FaultInjector::new(Sim::default(), faults);
    let mut server = StreamServer::<_>::new(kernel, StreamConfig::default()).unwrap();
    assert_eq!(server.run_once(Some(Instant::ZERO)), Ok(Outcome::Handled));
    let kernel = FaultInjector::new(Sim::default(), faults);
    let mut server =
        datagram::DatagramServer::new(kernel, datagram::DatagramConfig::default()).unwrap();
    assert_eq!(server.run_once(Some(Instant::ZERO)), Ok(true));
}

#[test]
fn stats_of_two_servers_add_up() {
    let stats = StreamStats {
        accepted: 1,
        closed: 2,
        reset: 3,
        timed_out: 4,
        aborted: 5,
        accept_pauses: 6,
        bytes_in: 7,
        bytes_out: 8,
        echoes: 9,
        events_handled: 10,
        events_spurious: 11,
        events_stale: 12,
        refused_not_allowed: 13,
        refused_connections: 14,
        refused_rate: 15,
        buffer_waits: 16,
        buffer_bytes: 17,
    };
    let mut sum = stats;
    sum.add(&stats);
    sum.add(&stats);
    assert_eq!(thrice(&format!("{stats:?}")), format!("{sum:?}"));
    let stats = datagram::DatagramStats {
        received: 1,
        echoed: 2,
        truncated: 3,
        refused: 4,
        dropped: 5,
        errors: 6,
        bytes_in: 7,
        bytes_out: 8,
        events_handled: 9,
        events_spurious: 10,
        not_allowed: 11,
        over_rate: 12,
    };
    let mut sum = stats;
    sum.add(&stats);
    sum.add(&stats);
    assert_eq!(thrice(&format!("{stats:?}")), format!("{sum:?}"));
}

/// The same text with every number multiplied by three.
fn thrice(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_digit());
    let word = |word: &str| {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        match digits.parse::<u64>() {
            Ok(number) => format!("{}{}", 3 * number, &word[digits.len()..]),
            Err(_) => word.to_owned(),
        }
    };
    words.map(word).collect()
}

struct Harness {
    sim: Sim,
    server: StreamServer<Sim>,
    addr: Addr,
}

impl Harness {
    fn begin(config: StreamConfig) -> Self {
        Self::at("127.0.0.1:7777", config, SimConfig::default())
    }

    fn at(wanted: &str, config: StreamConfig, sim_config: SimConfig) -> Self {
        let sim = Sim::new(sim_config);
        let mut server = StreamServer::new(sim.new_process(), config).unwrap();
        let wanted: Addr = wanted.parse().unwrap();
        let (listener, addr) =
            bind_stream(server.kernel(), &wanted, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, server, addr }
    }

    fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        socket
    }

    fn send(&mut self, client: &Fd, words: &[u8]) {
        assert_eq!(self.sim.send(client, words), Ok(words.len()));
    }

    fn recv(&mut self, client: &Fd) -> Vec<u8> {
        let mut buf = [0; 64];
        let count = self.sim.recv(client, &mut buf).unwrap();
        buf[..count].to_vec()
    }

    fn run_once(&mut self) -> Outcome {
        self.server.run_once(Some(Instant::ZERO)).expect("invariant: no errno stops the server")
    }

    fn settle(&mut self) {
        while self.run_once() == Outcome::Handled {}
    }

    /// Advances the clock, and lets the server notice.
    fn after(&mut self, millis: u64) {
        self.sim.advance(Duration::from_millis(millis));
        self.settle();
    }

    fn has_closed(&mut self, why: CloseReason) -> bool {
        core::iter::from_fn(|| self.server.next_event())
            .any(|event| matches!(event, ServerEvent::Closed { why: reason, .. } if reason == why))
    }
}

fn counts(harness: &Harness) -> (u64, u64) {
    (harness.server.stats().events_handled, harness.server.stats().events_spurious)
}
