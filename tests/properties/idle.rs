//! Properties of the idle timeout on the simulated kernel: a client that keeps reading is not idle,
//! one that neither reads nor sends is, and not a nanosecond early; and data that arrives while the
//! server process is stopped has arrived in time. So it is with the other timeouts of a connection.
//!
//! Uses only the server's public API.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::server::stream::{LINGER_TIMEOUT, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

/// Fractions of an idle timeout after which a steady reader reads once. The server checks four
/// times.
const READS_PER_IDLE: u32 = 8;

/// The first eight bytes of `plan` are the configuration; each further one is how much the reader
/// reads at a time.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn only_silent_clients_are_idle(plan: &[u8]) {
    let [trigger, local, millis, buffer, room, events, client_count_byte, first_byte, reads @ ..] =
        plan
    else {
        return;
    };
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
    let config = StreamConfig {
        trigger: triggers[usize::from(trigger % 4)],
        idle_timeout: Some(Duration::from_millis(16 + u64::from(*millis) * 8)),
        buffer_bytes: 64 + usize::from(*buffer) * 8,
        events_max: NonZeroU32::MIN.saturating_add(u32::from(events % 16)),
        ..StreamConfig::default()
    };
    let bytes = 512 + usize::from(*room) * 16;
    let mut scenario = Scenario::new(config, bytes, local % 2 == 1);
    scenario.a_steady_reader_is_not_disconnected(reads);
    scenario.a_stuck_reader_is_disconnected();
    scenario
        .a_client_in_time_is_answered(1 + usize::from(client_count_byte % 40), first_byte % 2 == 1);
    // Anywhere between two milliseconds, which activity is counted in.
    let offset = 1 + u32::from(*first_byte) * 3_917 + u32::from(*events);
    scenario.a_silent_client_is_not_disconnected_early(Duration::from_nanos(offset.into()));
    scenario.a_drain_does_not_end_early(config.drain_timeout);
}

/// The least time.
const NANO: Duration = Duration::from_nanos(1);

struct Scenario {
    sim: Sim,
    server: StreamServer<Sim>,
    addr: Addr,
    idle: Duration,
    socket_bytes: usize,
    local: bool,
}

impl Scenario {
    fn new(config: StreamConfig, socket_bytes: usize, local: bool) -> Self {
        let sim = Sim::new(SimConfig {
            receive_buffer_bytes: socket_bytes,
            send_buffer_bytes: socket_bytes,
            ..SimConfig::default()
        });
        let mut server = StreamServer::new(sim.new_process(), config)
            .expect("a new simulation has free resources");
        let wanted = if local { "unix:@idle" } else { "127.0.0.1:7777" };
        let wanted: Addr = wanted.parse().expect("the address is valid");
        let bound = bind_stream(server.kernel(), &wanted, PortSharing::Exclusive);
        let (listener, addr) = bound.expect("the address is free");
        server.add_listener(listener).expect("a new simulation has free resources");
        let idle = config.idle_timeout.expect("it was set just now");
        Self { sim, server, addr, idle, socket_bytes, local }
    }

    fn connect(&mut self) -> Fd {
        let family = self.addr.family().expect("the address has a family");
        let socket = self.sim.socket(family, epollite::kernel::SocketType::Stream).expect("room");
        let begun = self.sim.connect(&socket, &self.addr);
        assert!(matches!(begun, Ok(()) | Err(Errno::EINPROGRESS)), "{begun:?}");
        self.run_once();
        socket
    }

    fn run_once(&mut self) {
        let now = self.server.kernel().now();
        self.server.run_once(Some(now)).expect("no errno stops the server");
    }

    /// Runs until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let before = self.server.stats();
            self.run_once();
            if self.server.stats() == before {
                return;
            }
        }
        panic!("invariant: a server without input becomes idle");
    }

    /// Sends until both directions are full. Returns the number of bytes.
    fn fill(&mut self, client: &Fd) -> usize {
        let mut sent = 0;
        for _ in 0..10_000 {
            match self.sim.send(client, &[b'i'; 4_096]) {
                Ok(count) => sent += count,
                Err(errno) => {
                    assert!(errno.is_would_block(), "{errno:?}");
                    let before = self.server.stats();
                    self.run_once();
                    if self.server.stats() == before {
                        return sent;
                    }
                }
            }
        }
        panic!("no buffer takes that much");
    }

    /// Reads now and then, and sends nothing more: any amount over TCP, and from a Unix socket what
    /// it takes to free a piece of memory.
    fn a_steady_reader_is_not_disconnected(&mut self, reads: &[u8]) {
        let client = self.connect();
        let sent = self.fill(&client);
        let mut received = 0;
        for at in 0.. {
            self.sim.advance(self.idle / READS_PER_IDLE);
            self.run_once();
            let wanted =
                1 + 8 * reads.get(at % reads.len().max(1)).map_or(0, |&it| usize::from(it));
            let wanted = if self.local { wanted.max(self.socket_bytes) } else { wanted };
            match self.sim.recv(&client, &mut vec![0; wanted]) {
                Ok(0) => panic!(
                    "invariant: a steady reader is not disconnected, but was after {received}"
                ),
                Ok(count) => received += count,
                Err(errno) => {
                    panic!("invariant: a steady reader is not disconnected, but got {errno:?}")
                }
            }
            if received == sent {
                break;
            }
        }
        self.sim.close(client).expect("it is open");
        self.settle();
    }

    fn a_stuck_reader_is_disconnected(&mut self) {
        let client = self.connect();
        self.fill(&client);
        let before = self.server.connections();
        assert_eq!(before, 1);
        // One idle timeout until the first check, one more until it is certain; and a part.
        for _ in 0..=2 * READS_PER_IDLE + 2 {
            self.sim.advance(self.idle / READS_PER_IDLE + Duration::from_millis(1));
            self.run_once();
        }
        // A connection that remains is shut down, and lingers.
        self.sim.close(client).expect("it is open");
        self.settle();
        assert_eq!(
            self.server.connections(),
            0,
            "invariant: a client that reads nothing is disconnected"
        );
        assert!(
            self.server.stats().timed_out > 0,
            "invariant: a client that reads nothing is idle"
        );
    }

    /// Many clients that all send just before their timeout, and a server that checks too late.
    fn a_client_in_time_is_answered(&mut self, client_count_byte: usize, is_late: bool) {
        let clients: Vec<Fd> = (0..client_count_byte).map(|_| self.connect()).collect();
        self.settle();
        self.sim.advance(self.idle / 2);
        for client in &clients {
            assert_eq!(self.sim.send(client, b"i"), Ok(1), "it has sent nothing yet");
        }
        if is_late {
            self.sim.advance(self.idle);
        }
        self.settle();
        for client in &clients {
            let received = self.sim.recv(client, &mut [0; 8]);
            assert_eq!(
                received,
                Ok(1),
                "invariant: what arrived in time is served before a deadline"
            );
        }
        for client in clients {
            self.sim.close(client).expect("it is open");
        }
        self.settle();
    }

    fn a_silent_client_is_not_disconnected_early(&mut self, offset: Duration) {
        let client = self.connect();
        // The first check is in the last millisecond then.
        self.sim.advance(offset);
        assert_eq!(self.sim.send(&client, b"i"), Ok(1));
        self.settle();
        assert_eq!(self.sim.recv(&client, &mut [0; 8]), Ok(1));
        self.settle();
        let before = self.server.stats().timed_out;
        self.sim.advance(self.idle - NANO);
        self.settle();
        let received = self.sim.recv(&client, &mut [0; 8]);
        assert_eq!(received, Err(Errno::EAGAIN), "invariant: an idle timeout is never early");
        // The milliseconds of the last activity are rounded up, and those of the check down.
        self.sim.advance(Duration::from_millis(2));
        self.settle();
        assert_eq!(self.sim.recv(&client, &mut [0; 8]), Ok(0), "invariant: it ends in time");
        assert_eq!(self.server.stats().timed_out, before + 1);
        self.sim.advance(LINGER_TIMEOUT - NANO);
        self.settle();
        assert_eq!(self.server.connections(), 1, "invariant: lingering never ends early");
        self.sim.advance(NANO);
        self.settle();
        assert_eq!(self.server.connections(), 0, "invariant: lingering ends in time");
        self.sim.close(client).expect("it is open");
    }

    fn a_drain_does_not_end_early(mut self, drain: Duration) {
        self.settle();
        assert_eq!(self.server.connections(), 0, "closed connections are removed");
        let client = self.connect();
        self.fill(&client);
        self.server.begin_shutdown();
        self.sim.advance(drain - NANO);
        self.settle();
        assert_eq!(self.server.connections(), 1, "invariant: a drain timeout is never early");
        self.sim.advance(NANO);
        self.settle();
        assert_eq!(self.server.connections(), 0, "invariant: a drain ends in time");
        self.sim.close(client).expect("it is open");
    }
}
