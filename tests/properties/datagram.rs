//! Properties of the datagram server on the simulated kernel: each sender gets its datagrams back
//! once, in order, or not at all; and an address that could cause a reply loop gets none.

use core::time::Duration;

use epollite::instrument::CallCounter;
use epollite::kernel::{SocketOption, SocketType};
use epollite::net::{AddressFamily, DatagramBatch};
use epollite::server::datagram::{DatagramConfig, DatagramServer, RefusedPorts};
use epollite::server::{PortSharing, bind_datagram};
use epollite::sim::{Entropy, Probabilities, Sim, SimConfig};
use epollite::{Addr, Fd, Kernel, Trigger};

/// Senders, by port: the last two are reflectors, which are not answered.
const PORTS: [u16; 5] = [40_000, 40_001, 40_002, 7, 53];
const REFUSED_FROM: usize = 3;

/// Datagrams longer than this are truncated by the server, unless it serves segments.
const DATAGRAM_BYTES_MAX: usize = 48;

/// What the server must be able to receive to serve segments.
const SEGMENTED_BYTES_MAX: usize = 65_535;

/// This client receives segments in one piece.
const GRO_CLIENT: usize = 1;

/// Runs `plan`, two bytes per step; its first byte is the trigger mode.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants(plan: &[u8]) {
    let Some((&first, plan)) = plan.split_first() else { return };
    let (chance, plan) = plan.split_at(plan.len() / 4);
    let trigger = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot]
        [usize::from(first % 4)];
    let odds = if first & 4 == 0 { Probabilities::default() } else { Probabilities::MODERATE };
    let bytes_max = if first & 8 == 0 { DATAGRAM_BYTES_MAX } else { SEGMENTED_BYTES_MAX };
    let mut harness = Harness::begin(trigger, Entropy::from_bytes(chance.into()), odds, bytes_max);
    for step in plan.chunks_exact(2) {
        let client = usize::from(step[0] >> 4) % PORTS.len();
        match step[0] % 16 {
            0..=6 => harness.send(client, usize::from(step[1]) % (DATAGRAM_BYTES_MAX + 16)),
            7 | 8 => harness.send_segments(client, step[1]),
            9..=11 => harness.recv(client),
            12 => harness.sim.advance(Duration::from_millis(step[1].into())),
            _ => harness.run_once(),
        }
    }
    harness.end();
}

struct Harness {
    sim: Sim,
    server: DatagramServer<CallCounter<Sim>>,
    datagram_bytes_max: usize,
    addr: Addr,
    sockets: Vec<Fd>,
    /// What each has sent and not received back, in order; the server may drop some.
    sent: Vec<Vec<Vec<u8>>>,
    number: u8,
}

impl Harness {
    fn begin(
        trigger: Trigger,
        chance: Entropy,
        odds: Probabilities,
        datagram_bytes_max: usize,
    ) -> Self {
        let config = SimConfig {
            datagram_queue_bytes: 4_096,
            entropy: chance,
            probabilities: odds,
            ..SimConfig::default()
        };
        let mut sim = Sim::new(config);
        let config = DatagramConfig {
            trigger,
            datagrams_max: 3,
            datagram_bytes_max,
            batches_max: 2,
            refused_ports: RefusedPorts::Reflectors,
            emit_events: false,
        };
        let kernel = CallCounter::new(sim.new_process());
        let mut server =
            DatagramServer::new(kernel, config).expect("a new simulation has free resources");
        let any = "127.0.0.1:7777".parse().expect("the address is valid");
        // The server's descriptors are made by its own process.
        let (socket, addr) =
            bind_datagram(server.kernel(), &any, PortSharing::Exclusive).expect("free");
        server.add_socket(socket).expect("a new simulation has free resources");
        let sockets = PORTS.iter().map(|&port| {
            let socket = sim.socket(AddressFamily::Inet, SocketType::Datagram).expect("room");
            sim.bind(&socket, &any.with_port(port)).expect("free");
            socket
        });
        let sockets: Vec<Fd> = sockets.collect();
        sim.setsockopt(&sockets[GRO_CLIENT], SocketOption::UdpGro(true)).expect("it is UDP");
        let sent = vec![Vec::new(); PORTS.len()];
        Self { sim, server, datagram_bytes_max, addr, sockets, sent, number: 0 }
    }

    fn next_datagram(&mut self, len: usize) -> Vec<u8> {
        self.number = self.number.wrapping_add(1);
        (0..len).map(|at| self.number ^ at.to_le_bytes()[0]).collect()
    }

    fn send(&mut self, client: usize, len: usize) {
        let datagram = self.next_datagram(len);
        if self.sim.sendto(&self.sockets[client], &datagram, &self.addr).is_ok() {
            self.sent[client].push(datagram);
        }
    }

    /// Sends one message of up to 16 segments: `odds` gives their length and that of the last one.
    fn send_segments(&mut self, client: usize, odds: u8) {
        let (len, count) = (1 + usize::from(odds % 16), 2 + usize::from(odds >> 4));
        let mut datagrams: Vec<Vec<u8>> = (1..count).map(|_| self.next_datagram(len)).collect();
        datagrams.push(self.next_datagram(1 + usize::from(odds) % len));
        let mut batch = DatagramBatch::new(1, 16 * 17);
        assert!(batch.push(&datagrams.concat(), &self.addr.encode()), "it has room");
        batch.set_len(1)[0].segment_bytes = len.try_into().expect("it is short");
        if self.sim.sendmmsg(&self.sockets[client], &batch, 0).is_ok() {
            self.sent[client].extend(datagrams);
        }
    }

    fn recv(&mut self, client: usize) {
        let mut batch = DatagramBatch::new(4, SEGMENTED_BYTES_MAX);
        batch.enable_control_messages();
        while self.sim.recvmmsg(&self.sockets[client], &mut batch).is_ok() {
            for message in batch.iter() {
                let from = message.addr.decode();
                assert_eq!(
                    from,
                    Ok(self.addr),
                    "invariant: the reply comes from the address it was sent to"
                );
                let is_joined = message.segment_count() > 1;
                assert!(!is_joined || client == GRO_CLIENT, "only this one receives segments");
                message.segments().for_each(|datagram| {
                    Self::check_reply(client, datagram, self.datagram_bytes_max, &mut self.sent);
                });
            }
        }
    }

    fn check_reply(client: usize, datagram: &[u8], bytes_max: usize, sent: &mut [Vec<Vec<u8>>]) {
        assert!(client < REFUSED_FROM, "invariant: port {} is not answered", PORTS[client]);
        assert!(datagram.len() <= bytes_max, "invariant: a truncated datagram is not echoed");
        let at = sent[client].iter().position(|sent| sent == datagram);
        let at = at
            .unwrap_or_else(|| panic!("invariant: {datagram:?} was never sent, or is a duplicate"));
        // Earlier ones are lost: replies arrive in order.
        sent[client].drain(..=at);
    }

    fn run_once(&mut self) {
        let before = self.server.kernel().hook.total();
        let now = self.server.kernel().now();
        self.server.run_once(Some(now)).expect("invariant: no errno stops the server");
        let calls = self.server.kernel().hook.total() - before;
        // A wait, twice two batches, an epoll_ctl, and the cost of EINTR.
        assert!(
            calls < 200,
            "invariant: the work of one iteration is bounded, but one made {calls} calls"
        );
    }

    fn end(mut self) {
        for _ in 0..200 {
            self.run_once();
            for client in 0..PORTS.len() {
                self.recv(client);
            }
            self.sim.advance(Duration::from_millis(50));
        }
        let stats = self.server.stats();
        let answered = stats.echoed + stats.truncated + stats.refused + stats.dropped;
        assert_eq!(
            stats.received, answered,
            "invariant: received datagrams are echoed or counted as lost: {stats:?}"
        );
        for socket in self.sockets.drain(..) {
            let _ = self.sim.close(socket);
        }
    }
}
