//! One loop iteration of the reactor on the simulated kernel: bytes arrive, events are returned,
//! the bytes are read. Most of the time is the simulation's, so the figures are meaningful only
//! relative to each other.

use criterion::Criterion;
use epollite::kernel::SocketType;
use epollite::sim::Sim;
use epollite::sim::SimConfig;
use epollite::{Event, Fd, Interest, Kernel, Reactor, Trigger};

/// Number of idle connections.
const IDLE: usize = 10_000;

/// Connections, the first of which are busy, and their peers.
struct Fixture {
    reactor: Reactor<(), Sim>,
    peers: Vec<Fd>,
}

pub(super) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run once");
    for (trigger, name) in [(Trigger::Level, "level"), (Trigger::Edge, "edge")] {
        for busy in [1, 64] {
            for idle in [0, IDLE] {
                let what = format!("{name}, {busy} ready beside {idle} idle");
                let mut fixture = Fixture::new(busy + idle, trigger);
                group.bench_function(what, |bencher| bencher.iter(|| fixture.run_once(busy)));
                fixture.end();
            }
        }
    }
    group.finish();
}

impl Fixture {
    fn new(connections: usize, trigger: Trigger) -> Self {
        let config =
            SimConfig { descriptors_max: 30_000, files_max: 60_000, ..SimConfig::default() };
        let mut reactor = Reactor::with_kernel(Sim::new(config)).expect("an epoll");
        let mut peers = Vec::new();
        for _ in 0..connections {
            let (near, other) = reactor.kernel().socketpair(SocketType::Stream).expect("a pair");
            reactor.register_or_close(near, Interest::READABLE, trigger, ()).expect("registered");
            peers.push(other);
        }
        Self { reactor, peers }
    }

    fn run_once(&mut self, busy: usize) {
        for peer in &self.peers[..busy] {
            self.reactor.kernel().send(peer, b"sixteen bytes...").expect("there is room");
        }
        let mut buf = [0; 64];
        for _ in 0..busy {
            let event = self.reactor.next(None).expect("no fault is planned");
            let Some(Event::Io { token, .. }) = event else { panic!("no event: {event:?}") };
            let (_, mut io) = self.reactor.get_mut(token).expect("it lives");
            io.recv(&mut buf).expect("there is something");
        }
    }

    /// Closes the peers explicitly: the simulated kernel checks for open descriptors.
    fn end(mut self) {
        for peer in self.peers.drain(..) {
            self.reactor.kernel().close(peer).expect("it was open");
        }
    }
}
