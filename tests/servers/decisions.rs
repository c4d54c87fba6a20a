//! What a server tells its kernel about its decisions, in order.

use core::time::Duration;

use epollite::instrument::{FaultInjector, FaultPlan, RecordSink, SyscallRecord, Tracer};
use epollite::kernel::{
    ConnectionDecision as C, Decision, ListenerDecision as L, Shutdown, SocketType, StopReason,
    Syscall,
};
use epollite::net::AddressFamily;
use epollite::server::stream::{Bulk, CloseReason, Outcome, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Instant, Kernel, Trigger};

/// Keeps decisions, and no calls.
#[derive(Default)]
struct Decisions(Vec<Decision>);

impl RecordSink for Decisions {
    fn record(&mut self, _: SyscallRecord) {}

    fn decision(&mut self, decision: Decision) {
        self.0.push(decision);
    }
}

type Kernels = Tracer<FaultInjector<Sim>, Decisions>;

struct Observed {
    server: StreamServer<Kernels>,
    clients: Sim,
    addr: Addr,
}

impl Observed {
    fn new(config: StreamConfig, faults: FaultPlan) -> Self {
        let clients = Sim::default();
        let kernel = FaultInjector::new(clients.new_process(), faults);
        let kernel = Tracer::with_sink(kernel, Decisions::default());
        let mut server = StreamServer::new(kernel, config).unwrap();
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { server, clients, addr }
    }

    fn connect(&mut self) -> Fd {
        let client = self.clients.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        let _ = self.clients.connect(&client, &self.addr);
        client
    }

    /// Serves until nothing happens, and takes what was decided.
    fn decisions(&mut self) -> Vec<Decision> {
        while self.server.run_once(Some(Instant::ZERO)) != Ok(Outcome::TimedOut) {}
        std::mem::take(&mut self.server.kernel().sink.0)
    }

    /// The same, of connections only.
    fn of_connections(&mut self) -> Vec<C> {
        let of_one = |decision: Decision| match decision {
            Decision::Connection { what, .. } => Some(what),
            _ => None,
        };
        self.decisions().into_iter().filter_map(of_one).collect()
    }
}

/// No call of the plan is ever reached.
fn no_faults() -> FaultPlan {
    FaultPlan::once(u64::MAX, Errno::EIO)
}

#[test]
fn an_echo_tells_why_reading_stops_in_each_mode() {
    for (trigger, expected) in [
        (Trigger::Level, StopReason::KernelRepeats),
        (Trigger::OneShot, StopReason::KernelRepeats),
        (Trigger::Edge, StopReason::ShortRead),
    ] {
        let config = StreamConfig { trigger, ..StreamConfig::default() };
        let mut observed = Observed::new(config, no_faults());
        let client = observed.connect();
        let accepted = observed.decisions();
        let is_accepted =
            |it: &Decision| matches!(it, Decision::Listener { what: L::Accepted { .. }, .. });
        assert_eq!(accepted.iter().filter(|it| is_accepted(it)).count(), 1, "{accepted:?}");
        observed.clients.send(&client, b"hello").unwrap();
        let decisions = observed.of_connections();
        let [C::Event { unsent_bytes: 0, .. }, C::ReadingStopped { why, bytes: 5 }] = decisions[..]
        else {
            panic!("an event, and the end of reading: {decisions:?}")
        };
        assert_eq!(why, expected, "{trigger:?}");
        observed.clients.shutdown(&client, Shutdown::Write).unwrap();
        let decisions = observed.of_connections();
        assert!(decisions.contains(&C::ReceivedEof { unsent_bytes: 0 }), "{decisions:?}");
        let closed = C::Closed { why: CloseReason::PeerClosed, unsent_bytes: 0 };
        assert_eq!(decisions.last(), Some(&closed), "{trigger:?}");
        observed.clients.close(client).unwrap();
    }
}

#[test]
fn a_peer_that_does_not_read_is_buffered_for_and_its_reset_discards_that() {
    let mut observed = Observed::new(StreamConfig::default(), no_faults());
    let client = observed.connect();
    let mut decisions = Vec::new();
    for _ in 0..100 {
        let _ = observed.clients.send(&client, &[7; 50_000]);
        decisions.extend(observed.of_connections());
    }
    let buffered = decisions.iter().find_map(|it| match it {
        C::Buffered { bytes } => Some(*bytes),
        _ => None,
    });
    assert!(buffered.is_some_and(|bytes| (1..50_000).contains(&bytes)), "{decisions:?}");
    let buffer_bytes = observed.server.stats().buffer_bytes;
    let mut read = 0;
    let mut decisions = Vec::new();
    while let Ok(count) = observed.clients.recv(&client, &mut [0; 5_000]) {
        read += count as u64;
        decisions.extend(observed.of_connections());
    }
    assert!(read > buffer_bytes && buffer_bytes > 0);
    let mut is_buffered = true;
    for decision in &decisions {
        match decision {
            C::Event { unsent_bytes, .. } => assert_eq!(*unsent_bytes > 0, is_buffered),
            C::Buffered { .. } => assert!(!core::mem::replace(&mut is_buffered, true)),
            C::Flushed => assert!(core::mem::replace(&mut is_buffered, false)),
            _ => {}
        }
    }
    assert!(!is_buffered && decisions.contains(&C::Flushed), "{decisions:?}");
    let is_known = |it: &C| matches!(it, C::Event { unsent_bytes, .. } if *unsent_bytes > 0);
    assert!(decisions.iter().any(is_known), "{decisions:?}");
    assert_eq!(observed.server.stats().buffer_bytes, 0);
    for _ in 0..100 {
        let _ = observed.clients.send(&client, &[7; 50_000]);
        observed.of_connections();
    }
    // With unread data, its close is a reset.
    observed.clients.close(client).unwrap();
    let decisions = observed.of_connections();
    let discarded = decisions.iter().position(|it| matches!(it, C::Discarded { .. }));
    let closed =
        decisions.iter().position(|it| matches!(it, C::Closed { why: CloseReason::Error(_), .. }));
    assert!(discarded.is_some() && discarded < closed, "{decisions:?}");
}

#[test]
fn a_reset_without_unsent_bytes_discards_nothing() {
    let mut observed = Observed::new(StreamConfig::default(), no_faults());
    let client = observed.connect();
    observed.clients.send(&client, b"hello").unwrap();
    observed.decisions();
    // With the echo unread, its close is a reset.
    observed.clients.close(client).unwrap();
    let decisions = observed.of_connections();
    let closed = |it: &C| matches!(it, C::Closed { why: CloseReason::Error(_), .. });
    assert!(decisions.iter().any(closed), "{decisions:?}");
    assert!(!decisions.iter().any(|it| matches!(it, C::Discarded { .. })), "{decisions:?}");
}

#[test]
fn a_stream_is_told_once_and_decisions_about_it_go_on() {
    let config = StreamConfig { bulk: Bulk::Auto, ..StreamConfig::default() };
    let mut observed = Observed::new(config, no_faults());
    let client = observed.connect();
    let mut decisions = Vec::new();
    for _ in 0..20 {
        observed.clients.send(&client, &[7; 100_000]).unwrap();
        decisions.extend(observed.of_connections());
        while observed.clients.recv(&client, &mut vec![0; 100_000]).is_ok() {
            decisions.extend(observed.of_connections());
        }
    }
    let streams = C::Streams { is_streaming: true };
    assert_eq!(decisions.iter().filter(|it| **it == streams).count(), 1, "{decisions:?}");
    let begin = decisions.iter().position(|it| *it == streams).unwrap();
    let stops = |it: &C| matches!(it, C::ReadingStopped { .. });
    assert!(decisions[begin..].iter().any(stops), "{decisions:?}");
    observed.clients.close(client).unwrap();
}

#[test]
fn a_spent_read_budget_requeues() {
    let config = StreamConfig { budget_bytes: 1000, ..StreamConfig::default() };
    let mut observed = Observed::new(config, no_faults());
    let client = observed.connect();
    observed.clients.send(&client, &[7; 3500]).unwrap();
    let decisions = observed.of_connections();
    let spent = C::ReadingStopped { why: StopReason::BudgetSpent, bytes: 1000 };
    let requeued = decisions.iter().filter(|it| matches!(it, C::Requeued { .. })).count();
    assert!(requeued >= 3 && decisions.contains(&spent), "{decisions:?}");
    observed.clients.close(client).unwrap();
}

#[test]
fn a_pause_of_accepting_names_its_error_and_its_end() {
    let faults = FaultPlan::once(0, Errno::EMFILE).for_syscall(Syscall::Accept4);
    let mut observed = Observed::new(StreamConfig::default(), faults);
    let client = observed.connect();
    let decisions = observed.decisions();
    let paused = Decision::AcceptPaused { errno: Some(Errno::EMFILE), connections: 0 };
    assert!(decisions.contains(&paused), "{decisions:?}");
    let later = observed.server.kernel().now() + Duration::from_secs(1);
    let _ = observed.server.run_once(Some(later));
    let decisions = observed.decisions();
    let resumed = decisions.iter().position(|it| *it == Decision::AcceptResumed);
    let accepted = decisions
        .iter()
        .position(|it| matches!(it, Decision::Listener { what: L::Accepted { .. }, .. }));
    assert!(resumed.is_some() && resumed < accepted, "{decisions:?}");
    observed.clients.close(client).unwrap();
}

#[test]
fn a_server_without_connections_does_not_time_out_at_its_shutdown() {
    let config = StreamConfig::default();
    let mut observed = Observed::new(config, no_faults());
    observed.server.begin_shutdown();
    observed.clients.advance(2 * config.drain_timeout);
    let decisions = observed.decisions();
    let timed_out = |it: &Decision| matches!(it, Decision::DrainTimedOut { .. });
    assert!(!decisions.iter().any(timed_out), "{decisions:?}");
    // Drained, it waits as long as its caller wants.
    let mut observed = Observed::new(config, no_faults());
    observed.server.begin_shutdown();
    let later = observed.clients.now() + 3 * config.drain_timeout;
    assert_eq!(observed.server.run_once(Some(later)), Ok(Outcome::Drained));
    assert_eq!(observed.server.run_once(Some(later)), Ok(Outcome::TimedOut));
    assert_eq!(observed.clients.now(), later);
}

#[test]
fn a_shutdown_tells_what_happens_to_the_backlog() {
    // No accept succeeds.
    let faults = FaultPlan::persistent(0, Errno::EMFILE).for_syscall(Syscall::Accept4);
    let mut observed = Observed::new(StreamConfig::default(), faults);
    let client = observed.connect();
    observed.server.begin_shutdown();
    let decisions = observed.decisions();
    assert!(decisions.contains(&Decision::DrainBegins { connections: 0 }), "{decisions:?}");
    let is_dropped = |it: &Decision| {
        let errno = Some(Errno::EMFILE);
        matches!(it, Decision::Listener { what: L::BacklogDropped { errno: e }, .. } if *e == errno)
    };
    assert_eq!(decisions.iter().filter(|it| is_dropped(it)).count(), 1, "{decisions:?}");
    observed.clients.close(client).unwrap();
}
