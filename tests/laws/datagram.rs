//! The laws of the datagram server, in a simulated world: whoever sends gets back what he sent,
//! once, in order, or nothing; and nobody who would answer the answer gets any.

use core::time::Duration;

use epollite::server::datagram::{Config, Server};
use epollite::server::{Sharing, bind_datagram};
use epollite::sim::{Chance, Config as World, Odds, Sim};
use epollite::{Addr, Counted, Family, Fd, Kernel, Kind, Trigger};

/// Senders, by port: the last two are reflectors, which are not answered.
const PORTS: [u16; 5] = [40_000, 40_001, 40_002, 7, 53];
const REFUSED_FROM: usize = 3;

/// Datagrams longer than this are truncated by the server.
const DATAGRAM_BYTES_MAX: usize = 48;

/// Lives an hour as `plan` says, two bytes a step; its first byte is the trigger.
///
/// # Panics
/// When a law is broken, with its name.
pub fn keeps_its_promises(plan: &[u8]) {
    let Some((&first, plan)) = plan.split_first() else { return };
    let (chance, plan) = plan.split_at(plan.len() / 4);
    let trigger = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot]
        [usize::from(first % 4)];
    let odds = if first & 4 == 0 { Odds::default() } else { Odds::SOME };
    let mut hour = Hour::begin(trigger, Chance::from_bytes(chance.into()), odds);
    for step in plan.chunks_exact(2) {
        let who = usize::from(step[0] >> 4) % PORTS.len();
        match step[0] % 16 {
            0..=8 => hour.send(who, usize::from(step[1]) % (DATAGRAM_BYTES_MAX + 16)),
            9..=11 => hour.hear(who),
            12 => hour.sim.advance(Duration::from_millis(step[1].into())),
            _ => hour.turn(),
        }
    }
    hour.end();
}

struct Hour {
    sim: Sim,
    server: Server<Counted<Sim>>,
    addr: Addr,
    sockets: Vec<Fd>,
    /// What each has sent and has not got back, in order; the server may have lost some.
    sent: Vec<Vec<Vec<u8>>>,
    number: u8,
}

impl Hour {
    fn begin(trigger: Trigger, chance: Chance, odds: Odds) -> Self {
        let world = World { datagram_queue_bytes: 4_096, chance, odds, ..World::default() };
        let mut sim = Sim::new(world);
        let config = Config {
            trigger,
            datagrams_max: 3,
            datagram_bytes_max: DATAGRAM_BYTES_MAX,
            batches_max: 2,
            tell: false,
        };
        let kernel = Counted::over(sim.process());
        let mut server = Server::new(kernel, config).expect("a fresh world has room");
        let any = "127.0.0.1:7777".parse().expect("it is an address");
        // The server's descriptors are made by its own process.
        let (socket, addr) = bind_datagram(server.kernel(), &any, Sharing::Alone).expect("free");
        server.open(socket).expect("a fresh world has room");
        let sockets = PORTS.iter().map(|&port| {
            let socket = sim.socket(Family::Inet, Kind::Datagram).expect("room");
            sim.bind(&socket, &any.with_port(port)).expect("free");
            socket
        });
        let sockets = sockets.collect();
        Self { sim, server, addr, sockets, sent: vec![Vec::new(); PORTS.len()], number: 0 }
    }

    fn send(&mut self, who: usize, len: usize) {
        self.number = self.number.wrapping_add(1);
        let letter: Vec<u8> = (0..len).map(|at| self.number ^ at.to_le_bytes()[0]).collect();
        if self.sim.sendto(&self.sockets[who], &letter, &self.addr).is_ok() {
            self.sent[who].push(letter);
        }
    }

    fn hear(&mut self, who: usize) {
        let mut buf = [0; 2 * DATAGRAM_BYTES_MAX];
        while let Ok((len, from)) = self.sim.recvfrom(&self.sockets[who], &mut buf) {
            let letter = &buf[..len];
            assert!(who < REFUSED_FROM, "law: port {} is not answered", PORTS[who]);
            assert_eq!(from, self.addr, "law: the answer comes from where it was sent to");
            assert!(len <= DATAGRAM_BYTES_MAX, "law: half an echo is none");
            let at = self.sent[who].iter().position(|sent| sent == letter);
            let at = at.unwrap_or_else(|| panic!("law: {letter:?} was never sent, or comes twice"));
            // Those before it are lost: what comes, comes in order.
            self.sent[who].drain(..=at);
        }
    }

    fn turn(&mut self) {
        let before = self.server.kernel().tap.total();
        let now = self.server.kernel().now();
        self.server.turn(Some(now)).expect("law: no errno ends the server");
        let calls = self.server.kernel().tap.total() - before;
        // A wait, twice two batches, an epoll_ctl, and what interruptions cost.
        assert!(calls < 200, "law: a turn is bounded, but one made {calls} calls");
    }

    fn end(mut self) {
        for _ in 0..200 {
            self.turn();
            for who in 0..PORTS.len() {
                self.hear(who);
            }
            self.sim.advance(Duration::from_millis(50));
        }
        let stats = self.server.stats();
        let answered = stats.echoed + stats.truncated + stats.refused + stats.dropped;
        assert_eq!(stats.received, answered, "law: every datagram meets its fate: {stats:?}");
        for socket in self.sockets.drain(..) {
            let _ = self.sim.close(socket);
        }
    }
}
