//! What a connection remembers of a time without room in the buffers: the short path of whole
//! echoes is not taken while it has anything left from then.

use core::time::Duration;

use epollite::kernel::{SocketType, Syscall};
use epollite::server::stream::{Outcome, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Kernel, Trigger};

use crate::regressions::fault_script::{FaultScript, ScriptedKernel};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
const ADDRS: [&str; 2] = ["127.0.0.1:7777", "unix:@scarce"];
const BUFFER_BYTES: usize = 64;
const IDLE: Duration = Duration::from_secs(1);

/// A server on the model, whose sockets hold a few hundred bytes.
struct Harness {
    sim: Sim,
    script: FaultScript,
    server: StreamServer<ScriptedKernel>,
    addr: Addr,
    total: u64,
}

struct Client {
    socket: Fd,
    sent: usize,
    received: usize,
}

impl Harness {
    fn begin(addr: &str, config: StreamConfig) -> Self {
        let small =
            SimConfig { receive_buffer_bytes: 300, send_buffer_bytes: 300, ..SimConfig::default() };
        let (sim, script) = (Sim::new(small), FaultScript::default());
        let config = StreamConfig { buffer_bytes: BUFFER_BYTES, ..config };
        let mut server = StreamServer::new(script.wrap(sim.new_process()), config).unwrap();
        let addr = addr.parse().unwrap();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { sim, script, server, addr, total: config.buffer_total_bytes as u64 }
    }

    fn connect(&mut self) -> Client {
        let socket = self.sim.socket(self.addr.family().unwrap(), SocketType::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)));
        self.run();
        Client { socket, sent: 0, received: 0 }
    }

    /// Runs the server until it has nothing to do, or for some turns, where calls are interrupted.
    fn run(&mut self) {
        for _ in 0..50 {
            let now = self.server.kernel().now();
            let outcome = self.server.run_once(Some(now)).unwrap();
            let held = self.server.stats().buffer_bytes;
            assert!(held <= self.total, "invariant: {held} bytes of at most {}", self.total);
            if outcome == Outcome::TimedOut {
                return;
            }
        }
    }

    fn send(&mut self, client: &mut Client, count: usize) {
        let bytes: Vec<u8> = (client.sent..client.sent + count).map(byte).collect();
        assert_eq!(self.sim.send(&client.socket, &bytes), Ok(count), "there is room");
        client.sent += count;
    }

    /// Receives what there is; the server does not run.
    fn receive(&mut self, client: &mut Client) {
        let mut buf = [0; 90];
        while let Ok(count @ 1..) = self.sim.recv(&client.socket, &mut buf) {
            for &received in &buf[..count] {
                assert_eq!(received, byte(client.received), "invariant: the same bytes, once");
                client.received += 1;
            }
        }
    }

    fn drain(&mut self, client: &mut Client) {
        while client.received < client.sent {
            let before = client.received;
            self.receive(client);
            self.run();
            assert!(client.received > before, "invariant: what is held goes on");
        }
    }

    /// Sends until something is buffered for this client, so that there is no room for others.
    fn stall(&mut self, client: &mut Client) {
        while self.server.stats().buffer_bytes == 0 {
            self.send(client, 50);
            self.run();
        }
    }
}

/// Byte `at` of what each client sends.
fn byte(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}

fn cases() -> impl Iterator<Item = (Trigger, &'static str)> {
    TRIGGERS.into_iter().flat_map(|trigger| ADDRS.map(|addr| (trigger, addr)))
}

/// The room may be used up by the first events of a batch.
#[test]
fn connections_of_one_batch_keep_no_more_than_there_is_room_for() {
    for (trigger, addr) in cases() {
        let buffer_total_bytes = 2 * BUFFER_BYTES;
        let config = StreamConfig { trigger, buffer_total_bytes, ..StreamConfig::default() };
        let mut harness = Harness::begin(addr, config);
        let mut clients: Vec<Client> = (0..6).map(|_| harness.connect()).collect();
        while harness.server.stats().buffer_waits == 0 {
            clients.iter_mut().for_each(|client| harness.send(client, 50));
            harness.run();
        }
        assert!(harness.server.stats().buffer_bytes > 0, "{trigger:?}, {addr}");
        clients.iter_mut().for_each(|client| harness.drain(client));
        clients.into_iter().for_each(|client| harness.sim.close(client.socket).unwrap());
        harness.run();
    }
}

/// What was sent and is still in the receive queue is not sent again, also when there is room
/// again.
#[test]
fn what_an_interruption_left_in_the_queue_is_sent_once_when_there_is_room_again() {
    for (trigger, addr) in cases() {
        let buffer_total_bytes = BUFFER_BYTES;
        let config = StreamConfig { trigger, buffer_total_bytes, ..StreamConfig::default() };
        let mut harness = Harness::begin(addr, config);
        let (mut stalled, mut other) = (harness.connect(), harness.connect());
        harness.stall(&mut stalled);
        harness.script.refuse(Syscall::Recv, Errno::EINTR, u64::MAX);
        harness.send(&mut other, 10);
        harness.run();
        harness.receive(&mut other);
        assert_eq!(other.received, 10, "it was sent, and not removed ({trigger:?}, {addr})");
        harness.receive(&mut stalled);
        harness.script.refuse(Syscall::Recv, Errno::EINTR, 0);
        // The stalled one is flushed first: then there is room.
        harness.run();
        assert_eq!(harness.server.stats().buffer_bytes, 0, "{trigger:?}, {addr}");
        harness.send(&mut other, 10);
        harness.run();
        harness.receive(&mut other);
        assert_eq!(other.received, 20, "invariant: each byte once ({trigger:?}, {addr})");
        harness.drain(&mut stalled);
        for client in [stalled, other] {
            harness.sim.close(client.socket).unwrap();
        }
        harness.run();
    }
}

/// It waits for room to send no longer, and for input again: when nothing comes it is shut down in
/// order, and not closed at once.
#[test]
fn a_connection_that_was_held_is_idle_as_any_other_when_it_has_been_served() {
    for (trigger, addr) in cases() {
        let config = StreamConfig {
            trigger,
            buffer_total_bytes: BUFFER_BYTES,
            idle_timeout: Some(IDLE),
            ..StreamConfig::default()
        };
        let mut harness = Harness::begin(addr, config);
        let (mut stalled, mut other) = (harness.connect(), harness.connect());
        harness.stall(&mut stalled);
        while harness.server.stats().buffer_waits == 0 {
            harness.send(&mut other, 50);
            harness.run();
        }
        harness.drain(&mut stalled);
        harness.sim.close(stalled.socket).unwrap();
        harness.drain(&mut other);
        assert_eq!(harness.server.connections(), 1, "{trigger:?}, {addr}");
        harness.sim.advance(IDLE + Duration::from_millis(2));
        harness.run();
        let ended = (harness.server.connections(), harness.server.stats().timed_out);
        assert_eq!(ended, (1, 1), "invariant: it lingers ({trigger:?}, {addr})");
        assert_eq!(harness.sim.recv(&other.socket, &mut [0; 8]), Ok(0), "and is shut down");
        harness.sim.close(other.socket).unwrap();
        harness.run();
        assert_eq!(harness.server.connections(), 0);
    }
}
