//! The laws of fairness, in a simulated world: some clients pour as much in as there is room for,
//! others arrive in crowds, and one says a byte now and then. He does not wait for them.
//!
//! Knows the server's public face only. The days of `tests/laws/server.rs` have no such crowd.

use epollite::server::stream::{Config, Server};
use epollite::server::{Sharing, bind_stream};
use epollite::sim::{Chance, Config as World, Sim};
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

/// Who have come and said nothing; the oldest leave.
const CROWD_MAX: usize = 60;

/// A turn among many is slow to simulate; what can go wrong does so in a few.
const STEPS_MAX: usize = 40;

/// Pours, arrives and speaks as `plan` says. Its first seven bytes are the circumstances, then
/// each is a turn.
///
/// # Panics
/// When a law is broken, with its name.
pub fn one_does_not_wait_for_many(plan: &[u8]) {
    let [trigger, local, firehoses, budget, buffer, room, accepts, plan @ ..] = plan else {
        return;
    };
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
    let config = Config {
        trigger: triggers[usize::from(trigger % 4)],
        budget_bytes: 1 + usize::from(*budget) * 8,
        buffer_bytes: 1 + usize::from(*buffer) * 8,
        accepts_max: 1 + u32::from(accepts % 8),
        ..Config::default()
    };
    let socket_bytes = 512 + usize::from(*room) * 64;
    let wanted = if local % 2 == 0 { "127.0.0.1:7777" } else { "unix:@crowd" };
    let mut crowd = Crowd::gather(config, socket_bytes, wanted, 1 + usize::from(firehoses % 40));
    for &step in plan.iter().take(STEPS_MAX) {
        crowd.pour();
        for _ in 0..step % 8 {
            crowd.arrive();
        }
        // Sometimes he speaks into the middle of the flood, sometimes he lets it pass.
        let speaks = step & 0x80 != 0;
        if speaks {
            crowd.speak();
        }
        crowd.turn();
        if speaks {
            crowd.is_answered();
        }
    }
    crowd.go();
}

struct Crowd {
    sim: Sim,
    server: Server<Sim>,
    addr: Addr,
    config: Config,
    modest: Fd,
    firehoses: Vec<Fd>,
    arrived: Vec<Fd>,
}

impl Crowd {
    /// Everybody but those who arrive later is connected and has been accepted.
    fn gather(config: Config, socket_bytes: usize, wanted: &str, firehoses: usize) -> Self {
        let mut sim = Sim::new(World {
            receive_buffer_bytes: socket_bytes,
            send_buffer_bytes: socket_bytes,
            chance: Chance::none(),
            ..World::default()
        });
        let mut server = Server::new(sim.process(), config).expect("a fresh world has room");
        let wanted: Addr = wanted.parse().expect("it is an address");
        let (door, addr) =
            bind_stream(server.kernel(), &wanted, Sharing::Alone).expect("nobody else is here");
        server.open(door).expect("a fresh world has room");
        let modest = connect(&mut sim, &addr);
        let firehoses = (0..firehoses).map(|_| connect(&mut sim, &addr)).collect();
        let mut crowd = Self { sim, server, addr, config, modest, firehoses, arrived: Vec::new() };
        while crowd.server.connections() as usize <= crowd.firehoses.len() {
            crowd.turn();
        }
        crowd
    }

    /// Each firehose hears all there is and says all it can.
    fn pour(&mut self) {
        let (water, mut buf) = ([b'w'; 4096], [0; 4096]);
        for firehose in &self.firehoses {
            while matches!(self.sim.recv(firehose, &mut buf), Ok(1..)) {}
            while matches!(self.sim.send(firehose, &water), Ok(1..)) {}
        }
    }

    /// One more of those who say nothing.
    fn arrive(&mut self) {
        self.arrived.push(connect(&mut self.sim, &self.addr));
        if self.arrived.len() > CROWD_MAX {
            let _ = self.sim.close(self.arrived.remove(0));
        }
    }

    fn speak(&mut self) {
        assert_eq!(self.sim.send(&self.modest, b"!"), Ok(1), "he has said next to nothing");
    }

    /// One turn, within its budgets.
    fn turn(&mut self) {
        let (connections, before) = (self.server.connections(), self.server.stats());
        let now = self.server.kernel().now();
        self.server.turn(Some(now)).expect("law: no errno ends the server");
        let after = self.server.stats();
        let read = after.bytes_in - before.bytes_in;
        // Who came in this turn is served in the next.
        let bound = u64::from(connections) * self.config.budget_bytes as u64;
        assert!(
            read <= bound,
            "law: a budget is kept, but {connections} connections had {read} bytes read in a \
             turn, with {} each",
            self.config.budget_bytes
        );
        let entered = after.accepted + after.aborted - before.accepted - before.aborted;
        assert!(
            entered <= u64::from(self.config.accepts_max),
            "law: arrivals are let in {} a turn at most, but {entered} were",
            self.config.accepts_max
        );
    }

    /// With fewer connections than a wait brings events, nobody is put off to another turn.
    fn is_answered(&mut self) {
        let mut buf = [0; 8];
        let heard = self.sim.recv(&self.modest, &mut buf);
        assert_eq!(
            heard,
            Ok(1),
            "law: a firehose does not starve others, but he who said one byte among {} firehoses \
             had no answer in the turn after",
            self.firehoses.len()
        );
        assert_eq!(buf[0], b'!', "law: output is a prefix of input");
    }

    fn go(mut self) {
        let all = self.firehoses.drain(..).chain(self.arrived.drain(..));
        for socket in all.chain([self.modest]) {
            let _ = self.sim.close(socket);
        }
    }
}

fn connect(sim: &mut Sim, addr: &Addr) -> Fd {
    let family = addr.family().expect("it was bound to it");
    let socket = sim.socket(family, epollite::Kind::Stream).expect("the world has room");
    match sim.connect(&socket, addr) {
        // A full queue is another law's affair; he who is not let in says nothing anyway.
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EAGAIN) => socket,
        Err(errno) => panic!("law: the door stays open, but {errno}"),
    }
}
