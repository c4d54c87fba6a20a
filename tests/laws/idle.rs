//! The invariants of the idle time, in the simulated kernel: a client that goes on reading is not
//! silent, one that reads nothing and one that says nothing are; and what arrives while the
//! server's process stands still has arrived in time.
//!
//! Knows the server's public face only.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::server::stream::{Config, Server};
use epollite::server::{Sharing, bind_stream};
use epollite::sim::{Config as SimConfig, Sim};
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

/// Parts of an idle time in which a steady reader reads once. The server looks four times.
const READS_PER_IDLE: u32 = 8;

/// The circumstances are the first eight bytes of `plan`; each further one is how much the reader
/// reads at a time.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn only_the_silent_are_idle(plan: &[u8]) {
    let [trigger, local, millis, buffer, room, events, crowd, said, reads @ ..] = plan else {
        return;
    };
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
    let config = Config {
        trigger: triggers[usize::from(trigger % 4)],
        idle: Some(Duration::from_millis(16 + u64::from(*millis) * 8)),
        buffer_bytes: 64 + usize::from(*buffer) * 8,
        events_max: NonZeroU32::MIN.saturating_add(u32::from(events % 16)),
        ..Config::default()
    };
    let bytes = 512 + usize::from(*room) * 16;
    let mut scenario = Scenario::new(config, bytes, local % 2 == 1);
    scenario.a_steady_reader_is_not_cut(reads);
    scenario.a_stuck_reader_is_cut();
    scenario.who_speaks_in_time_is_answered(1 + usize::from(crowd % 40), said % 2 == 1);
    scenario.end();
}

struct Scenario {
    sim: Sim,
    server: Server<Sim>,
    addr: Addr,
    idle: Duration,
    socket_bytes: usize,
    local: bool,
}

impl Scenario {
    fn new(config: Config, socket_bytes: usize, local: bool) -> Self {
        let sim = Sim::new(SimConfig {
            receive_buffer_bytes: socket_bytes,
            send_buffer_bytes: socket_bytes,
            ..SimConfig::default()
        });
        let mut server = Server::new(sim.process(), config).expect("a fresh kernel has room");
        let wanted = if local { "unix:@idle" } else { "127.0.0.1:7777" };
        let wanted: Addr = wanted.parse().expect("it is an address");
        let bound = bind_stream(server.kernel(), &wanted, Sharing::Alone);
        let (listener, addr) = bound.expect("the address is free");
        server.open(listener).expect("a fresh kernel has room");
        let idle = config.idle.expect("it was set just now");
        Self { sim, server, addr, idle, socket_bytes, local }
    }

    fn connect(&mut self) -> Fd {
        let family = self.addr.family().expect("it was bound to it");
        let socket = self.sim.socket(family, epollite::Kind::Stream).expect("room");
        let begun = self.sim.connect(&socket, &self.addr);
        assert!(matches!(begun, Ok(()) | Err(Errno::EINPROGRESS)), "{begun:?}");
        self.turn();
        socket
    }

    fn turn(&mut self) {
        let now = self.server.kernel().now();
        self.server.turn(Some(now)).expect("no errno ends the server");
    }

    /// Turns until nothing is done any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let before = self.server.stats();
            self.turn();
            if self.server.stats() == before {
                return;
            }
        }
        panic!("invariant: a server that is left alone comes to rest");
    }

    /// Sends until both directions are full. Returns how many bytes that were.
    fn fill(&mut self, client: &Fd) -> usize {
        let mut sent = 0;
        for _ in 0..10_000 {
            match self.sim.send(client, &[b'i'; 4_096]) {
                Ok(count) => sent += count,
                Err(errno) => {
                    assert!(errno.would_block(), "{errno:?}");
                    let before = self.server.stats();
                    self.turn();
                    if self.server.stats() == before {
                        return sent;
                    }
                }
            }
        }
        panic!("no buffer takes that much");
    }

    /// Reads now and then, and says nothing more: as much as it likes of TCP, of a Unix socket
    /// what it takes to free a piece of memory.
    fn a_steady_reader_is_not_cut(&mut self, reads: &[u8]) {
        let client = self.connect();
        let sent = self.fill(&client);
        let mut heard = 0;
        for at in 0.. {
            self.sim.advance(self.idle / READS_PER_IDLE);
            self.turn();
            let wanted =
                1 + 8 * reads.get(at % reads.len().max(1)).map_or(0, |&it| usize::from(it));
            let wanted = if self.local { wanted.max(self.socket_bytes) } else { wanted };
            match self.sim.recv(&client, &mut vec![0; wanted]) {
                Ok(0) => panic!("invariant: a steady reader is not cut, but was after {heard}"),
                Ok(count) => heard += count,
                Err(errno) => panic!("invariant: a steady reader is not cut, but met {errno:?}"),
            }
            if heard == sent {
                break;
            }
        }
        self.sim.close(client).expect("it is open");
        self.settle();
    }

    fn a_stuck_reader_is_cut(&mut self) {
        let client = self.connect();
        self.fill(&client);
        let before = self.server.connections();
        assert_eq!(before, 1);
        // One idle time until the first look, one more until it is plain; and a part.
        for _ in 0..=2 * READS_PER_IDLE + 2 {
            self.sim.advance(self.idle / READS_PER_IDLE + Duration::from_millis(1));
            self.turn();
        }
        // Whatever still is there is asked to leave, and lingers.
        self.sim.close(client).expect("it is open");
        self.settle();
        assert_eq!(self.server.connections(), 0, "invariant: who reads nothing is cut");
        assert!(self.server.stats().timed_out > 0, "invariant: who reads nothing is idle");
    }

    /// A crowd that all speak just before their time is over, and a server that looks too late.
    fn who_speaks_in_time_is_answered(&mut self, crowd: usize, is_late: bool) {
        let clients: Vec<Fd> = (0..crowd).map(|_| self.connect()).collect();
        self.settle();
        self.sim.advance(self.idle / 2);
        for client in &clients {
            assert_eq!(self.sim.send(client, b"i"), Ok(1), "it has said nothing yet");
        }
        if is_late {
            self.sim.advance(self.idle);
        }
        self.settle();
        for client in &clients {
            let heard = self.sim.recv(client, &mut [0; 8]);
            assert_eq!(heard, Ok(1), "invariant: what arrived in time is served before a deadline");
        }
        for client in clients {
            self.sim.close(client).expect("it is open");
        }
        self.settle();
    }

    fn end(mut self) {
        self.settle();
        assert_eq!(self.server.connections(), 0, "who left is forgotten");
    }
}
