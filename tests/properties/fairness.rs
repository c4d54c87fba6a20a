//! Properties of fairness on the simulated kernel: some clients send as much as fits, others
//! connect in large numbers, and one light client sends a byte now and then. The light client is
//! not delayed by the others.
//!
//! Uses only the server's public API. The scenarios of `tests/properties/server.rs` have no such
//! load.

use epollite::server::stream::{StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Entropy, Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

/// Clients that connected and sent nothing; the oldest disconnect.
const ARRIVED_MAX: usize = 60;

/// An iteration with many clients is slow to simulate; a few suffice to show a fault.
const STEPS_MAX: usize = 40;

/// Runs the load as `plan` directs. Its first seven bytes are the configuration, each further one
/// is an iteration.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn light_clients_are_not_starved(plan: &[u8]) {
    let [trigger, local, heavy_count, budget, buffer, room, accepts, plan @ ..] = plan else {
        return;
    };
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
    let config = StreamConfig {
        trigger: triggers[usize::from(trigger % 4)],
        budget_bytes: 1 + usize::from(*budget) * 8,
        buffer_bytes: 1 + usize::from(*buffer) * 8,
        accepts_max: 1 + u32::from(accepts % 8),
        ..StreamConfig::default()
    };
    let socket_bytes = 512 + usize::from(*room) * 64;
    let wanted = if local % 2 == 0 { "127.0.0.1:7777" } else { "unix:@many" };
    let mut harness =
        Harness::gather(config, socket_bytes, wanted, 1 + usize::from(heavy_count % 40));
    for &step in plan.iter().take(STEPS_MAX) {
        harness.saturate();
        for _ in 0..step % 8 {
            harness.arrive();
        }
        // The light client sometimes sends during the flood, sometimes after it.
        let sends = step & 0x80 != 0;
        if sends {
            harness.send_light();
        }
        harness.run_once();
        if sends {
            harness.is_answered();
        }
    }
    harness.close_all();
}

struct Harness {
    sim: Sim,
    server: StreamServer<Sim>,
    addr: Addr,
    config: StreamConfig,
    light: Fd,
    heavy: Vec<Fd>,
    arrived: Vec<Fd>,
}

impl Harness {
    /// All clients except later arrivals are connected and accepted.
    fn gather(config: StreamConfig, socket_bytes: usize, wanted: &str, heavy_count: usize) -> Self {
        let mut sim = Sim::new(SimConfig {
            receive_buffer_bytes: socket_bytes,
            send_buffer_bytes: socket_bytes,
            entropy: Entropy::none(),
            ..SimConfig::default()
        });
        let mut server = StreamServer::new(sim.new_process(), config)
            .expect("a new simulation has free resources");
        let wanted: Addr = wanted.parse().expect("the address is valid");
        let (listener, addr) = bind_stream(server.kernel(), &wanted, PortSharing::Exclusive)
            .expect("the address is free");
        server.add_listener(listener).expect("a new simulation has free resources");
        let light = connect(&mut sim, &addr);
        let heavy_count = (0..heavy_count).map(|_| connect(&mut sim, &addr)).collect();
        let mut harness =
            Self { sim, server, addr, config, light, heavy: heavy_count, arrived: Vec::new() };
        while harness.server.connections() as usize <= harness.heavy.len() {
            harness.run_once();
        }
        harness
    }

    /// Each firehose receives all there is and sends all that fits.
    fn saturate(&mut self) {
        let (payload, mut buf) = ([b'w'; 4096], [0; 4096]);
        for socket in &self.heavy {
            while matches!(self.sim.recv(socket, &mut buf), Ok(1..)) {}
            while matches!(self.sim.send(socket, &payload), Ok(1..)) {}
        }
    }

    /// One more silent client.
    fn arrive(&mut self) {
        self.arrived.push(connect(&mut self.sim, &self.addr));
        if self.arrived.len() > ARRIVED_MAX {
            let _ = self.sim.close(self.arrived.remove(0));
        }
    }

    fn send_light(&mut self) {
        assert_eq!(self.sim.send(&self.light, b"!"), Ok(1), "it has sent almost nothing");
    }

    /// One iteration, within its budgets.
    fn run_once(&mut self) {
        let (connections, before) = (self.server.connections(), self.server.stats());
        let now = self.server.kernel().now();
        self.server.run_once(Some(now)).expect("invariant: no errno stops the server");
        let after = self.server.stats();
        let read = after.bytes_in - before.bytes_in;
        // Connections accepted in this iteration are served in the next.
        let bound = u64::from(connections) * self.config.budget_bytes as u64;
        assert!(
            read <= bound,
            "invariant: a budget is kept, but {connections} connections had {read} bytes read in \
             an iteration, with {} each",
            self.config.budget_bytes
        );
        let accepted = after.accepted + after.aborted - before.accepted - before.aborted;
        assert!(
            accepted <= u64::from(self.config.accepts_max),
            "invariant: at most {} connections are accepted per iteration, but {accepted} were",
            self.config.accepts_max
        );
    }

    /// With fewer connections than events per wait, none is deferred to another iteration.
    fn is_answered(&mut self) {
        let mut buf = [0; 8];
        let received = self.sim.recv(&self.light, &mut buf);
        assert_eq!(
            received,
            Ok(1),
            "invariant: a heavy client does not starve others, but the light client among {} heavy \
             ones got no reply in the next iteration",
            self.heavy.len()
        );
        assert_eq!(buf[0], b'!', "invariant: output is a prefix of input");
    }

    fn close_all(mut self) {
        let all = self.heavy.drain(..).chain(self.arrived.drain(..));
        for socket in all.chain([self.light]) {
            let _ = self.sim.close(socket);
        }
    }
}

fn connect(sim: &mut Sim, addr: &Addr) -> Fd {
    let family = addr.family().expect("the address has a family");
    let socket = sim
        .socket(family, epollite::kernel::SocketType::Stream)
        .expect("the simulation has free resources");
    match sim.connect(&socket, addr) {
        // A full backlog is another property; a client that is not accepted sends nothing anyway.
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EAGAIN) => socket,
        Err(errno) => panic!("invariant: the listener stays open, but {errno}"),
    }
}
