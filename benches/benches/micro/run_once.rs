//! One turn of the reactor on the simulated kernel: bytes arrive, the events come, the bytes are
//! read. Most of the time is the simulation's, so the figures mean something side by side only.

use criterion::Criterion;
use epollite::sim::Config;
use epollite::{Event, Fd, Interest, Kernel, Reactor, Sim, SocketType, Trigger};

/// Connections that are there and silent.
const IDLE: usize = 10_000;

/// Connections, of which the first are busy, and their other ends.
struct Fixture {
    reactor: Reactor<(), Sim>,
    far: Vec<Fd>,
}

/// All of them.
pub(super) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    for (trigger, name) in [(Trigger::Level, "level"), (Trigger::Edge, "edge")] {
        for busy in [1, 64] {
            for idle in [0, IDLE] {
                let what = format!("{name}, {busy} ready beside {idle} silent");
                let mut fixture = Fixture::new(busy + idle, trigger);
                group.bench_function(what, |bencher| bencher.iter(|| fixture.turn(busy)));
                fixture.end();
            }
        }
    }
    group.finish();
}

impl Fixture {
    fn new(connections: usize, trigger: Trigger) -> Self {
        let config = Config { descriptors_max: 30_000, files_max: 60_000, ..Config::default() };
        let mut reactor = Reactor::with_kernel(Sim::new(config)).expect("an epoll");
        let mut far = Vec::new();
        for _ in 0..connections {
            let (near, other) = reactor.kernel().socketpair(SocketType::Stream).expect("a pair");
            reactor.register_or_close(near, Interest::READABLE, trigger, ()).expect("registered");
            far.push(other);
        }
        Self { reactor, far }
    }

    fn turn(&mut self, busy: usize) {
        for far in &self.far[..busy] {
            self.reactor.kernel().send(far, b"sixteen bytes...").expect("there is room");
        }
        let mut buf = [0; 64];
        for _ in 0..busy {
            let event = self.reactor.next(None).expect("no fault is planned");
            let Some(Event::Io { token, .. }) = event else { panic!("no event: {event:?}") };
            let mut source = self.reactor.get_mut(token).expect("it lives");
            source.io.recv(&mut buf).expect("there is something");
        }
    }

    /// Closed by hand: the simulated kernel minds what is left open.
    fn end(mut self) {
        for far in self.far.drain(..) {
            self.reactor.kernel().close(far).expect("it was open");
        }
    }
}
