//! Runs a scenario, choice by choice.

use std::time::Duration;

use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::SocketOption;
use epollite::kernel::{Resource, Rlimit};
use epollite::kernel::{Shutdown, SocketType};
use epollite::server::stream::{
    CloseReason, Outcome, ServerEvent, StreamConfig, StreamServer, StreamStats,
};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Entropy, Sim, SimConfig};
use epollite::{Addr, Errno, Fd, Instant, Kernel};

use super::config::{Choices, ScenarioConfig, ScenarioReport, Violation};

type KernelUnderTest = CallCounter<FaultInjector<Sim>>;

/// One client, and its view of its connection.
pub(super) struct Client {
    pub(super) socket: Fd,
    /// Identifies the client within the scenario, and determines the bytes it sends.
    pub(super) id: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Whether it has half-closed.
    pub(super) sent_fin: bool,
    /// Whether it reads.
    pub(super) is_reading: bool,
    /// Whether it has received end of stream.
    pub(super) got_eof: bool,
    /// The errno with which the connection failed, if it did.
    pub(super) error: Option<Errno>,
    /// The total bytes sent after each send and its time; starts with the connect.
    sends: Vec<(u64, Instant)>,
    /// Since when unread bytes may be pending for it, and the longest such time.
    unread_since: Option<Instant>,
    longest_unread: Duration,
}

/// The byte that client `id` sends at `offset`: it differs between clients and along one stream.
#[expect(clippy::cast_possible_truncation, reason = "only the low byte is used")]
const fn byte(id: u64, offset: u64) -> u8 {
    (id.wrapping_mul(151) ^ offset.wrapping_mul(31) ^ (offset >> 8).wrapping_mul(7)) as u8
}

/// Rounds without progress after which a client counts as stuck. One is enough in a deterministic
/// kernel; injected interruptions may cost a few.
pub(super) const IDLE_ROUNDS_MAX: u32 = 16;

/// A running scenario.
pub(super) struct Scenario<'a> {
    pub(super) config: &'a ScenarioConfig,
    pub(super) sim: Sim,
    pub(super) server: StreamServer<KernelUnderTest>,
    pub(super) addr: Addr,
    pub(super) clients: Vec<Client>,
    pub(super) clients_created: u64,
    pub(super) step: u64,
    /// The errno with which the server last closed a connection.
    pub(super) last_close_error: Option<Errno>,
}

/// Runs a scenario of at most `steps_max` steps, and then its final phase: clients finish sending,
/// read all remaining data and disconnect; then the invariants are checked.
///
/// # Errors
/// The first invariant that is violated.
///
/// # Panics
/// The simulated kernel found a descriptor leaked, closed twice or used after its close.
pub(crate) fn run(
    config: &ScenarioConfig,
    choices: &mut impl Choices,
    entropy: Entropy,
    steps_max: u64,
) -> Result<ScenarioReport, Violation> {
    let Some(mut scenario) = Scenario::new(config, entropy) else {
        // A fault hit the server before it had a listener: it must only have left nothing open.
        return Ok(ScenarioReport { steps: 0, stats: StreamStats::default(), calls: 0, faults: 1 });
    };
    let result = scenario.run(choices, steps_max);
    // After a violation the remaining clients are closed, so that they are not reported as leaks.
    while !scenario.clients.is_empty() {
        scenario.client_close(0, false);
    }
    result
}

impl<'a> Scenario<'a> {
    fn new(config: &'a ScenarioConfig, entropy: Entropy) -> Option<Self> {
        let sim_config = SimConfig {
            receive_buffer_bytes: config.socket_bytes,
            send_buffer_bytes: config.socket_bytes,
            descriptors_max: 100_000,
            entropy,
            probabilities: config.odds,
            ..SimConfig::default()
        };
        let sim = Sim::new(sim_config);
        let mut process = sim.new_process();
        let max = u64::from(config.descriptors_max);
        let limit = Rlimit { soft: max, hard: max };
        process.prlimit(Resource::Nofile, Some(limit)).ok()?;
        let never = FaultPlan::once(u64::MAX, Errno::EIO);
        let kernel = CallCounter::new(FaultInjector::new(process, config.faults.unwrap_or(never)));
        let server_config = StreamConfig {
            trigger: config.trigger,
            connections_max: config.connections_max,
            buffer_bytes: config.buffer_bytes,
            budget_bytes: config.budget_bytes,
            accepts_max: 4,
            events_max: config.events_max,
            idle_timeout: config.idle,
            emit_events: true,
            ..StreamConfig::default()
        };
        let mut server = StreamServer::new(kernel, server_config).ok()?;
        let requested = if config.local { "unix:@scenario" } else { "127.0.0.1:7777" };
        let requested: Addr = requested.parse().expect("the literal is a valid address");
        let (listener, addr) =
            bind_stream(server.kernel(), &requested, PortSharing::Exclusive).ok()?;
        server.add_listener(listener).ok()?;
        Some(Self {
            config,
            sim,
            server,
            addr,
            clients: Vec::new(),
            clients_created: 0,
            step: 0,
            last_close_error: None,
        })
    }

    fn run(
        &mut self,
        choices: &mut impl Choices,
        steps_max: u64,
    ) -> Result<ScenarioReport, Violation> {
        while self.step < steps_max && self.step(choices)?.is_some() {
            self.step += 1;
        }
        self.drain_and_check()
    }

    pub(super) fn violation(&self, invariant: impl Into<String>) -> Violation {
        Violation { invariant: invariant.into(), step: self.step }
    }

    /// Runs one step; `None` when the choices are exhausted.
    fn step(&mut self, choices: &mut impl Choices) -> Result<Option<()>, Violation> {
        let Some(action) = choices.choose(32) else { return Ok(None) };
        if action < 10 {
            self.run_server()?;
            return Ok(Some(()));
        }
        if action < 14 && self.clients.len() < self.config.clients_max {
            self.connect_client();
            return Ok(Some(()));
        }
        if self.clients.is_empty() {
            return Ok(Some(()));
        }
        let (Some(index), Some(amount)) = (choices.choose(self.clients.len()), choices.choose(200))
        else {
            return Ok(None);
        };
        match action {
            10..=19 => self.client_send(index, amount + 1),
            20..=26 => self.client_recv(index, amount + 1)?,
            27 => self.client_half_close(index),
            28 => self.client_close(index, true),
            29 => self.client_close(index, false),
            30 => self.clients[index].is_reading ^= true,
            // Pauses the server's process for as long as its idle timeout.
            _ if amount > 180 => self.sim.advance(self.config.idle.unwrap_or_default()),
            _ => self.sim.advance(Duration::from_millis(amount as u64)),
        }
        Ok(Some(()))
    }

    /// Runs the server once, without waiting.
    pub(super) fn run_server(&mut self) -> Result<Outcome, Violation> {
        let now = self.server.kernel().now();
        let before = self.server.kernel().hook.total();
        let outcome = self.server.run_once(Some(now)).map_err(|errno| {
            self.violation(format!("no errno ends the server, but epoll_wait's {errno} did"))
        })?;
        while let Some(event) = self.server.next_event() {
            if let ServerEvent::Closed { why: CloseReason::Error(errno), .. } = event {
                self.last_close_error = Some(errno);
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.received < client.sent) {
            client.unread_since.get_or_insert(now);
        }
        let calls = self.server.kernel().hook.total() - before;
        let connections = u64::from(self.server.connections()) + self.config.clients_max as u64;
        // A persistently interrupted wait, a recv and a send for each byte of the budget, and a
        // dozen calls of overhead.
        let bound = 1_100 + connections * (2 * self.config.budget_bytes as u64 + 12);
        if calls > bound {
            return Err(self.violation(format!(
                "the calls of one run_once are bounded, but one made {calls}"
            )));
        }
        self.check_memory()?;
        Ok(outcome)
    }

    /// Every byte received is sent, buffered or dropped with its connection; each open connection
    /// buffers at most one buffer size.
    fn check_memory(&mut self) -> Result<(), Violation> {
        let buffered = self.server.buffered_bytes();
        let bound = u64::from(self.server.connections()) * self.config.buffer_bytes as u64;
        if buffered > bound {
            return Err(
                self.violation(format!("memory is bounded, but {buffered} bytes are buffered"))
            );
        }
        Ok(())
    }

    pub(super) fn connect_client(&mut self) {
        let family = self.addr.family().expect("the listener is bound to an IP or Unix address");
        let Ok(socket) = self.sim.socket(family, SocketType::Stream) else { return };
        match self.sim.connect(&socket, &self.addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            // There is no listener, or its backlog is full: try again later.
            Err(_) => {
                let _ = self.sim.close(socket);
                return;
            }
        }
        self.clients_created += 1;
        let now = self.sim.now();
        self.clients.push(Client {
            socket,
            id: self.clients_created,
            sent: 0,
            received: 0,
            sent_fin: false,
            is_reading: true,
            got_eof: false,
            error: None,
            sends: vec![(0, now)],
            unread_since: None,
            longest_unread: Duration::ZERO,
        });
    }

    pub(super) fn client_send(&mut self, index: usize, bytes: usize) {
        let client = &mut self.clients[index];
        if client.sent_fin || client.error.is_some() {
            return;
        }
        let now = self.sim.now();
        let payload: Vec<u8> =
            (client.sent..).take(bytes).map(|offset| byte(client.id, offset)).collect();
        match self.sim.send(&client.socket, &payload) {
            Ok(count) => {
                client.sent += count as u64;
                client.sends.push((client.sent, now));
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOTCONN) => {}
            Err(errno) => client.error = Some(errno),
        }
    }

    fn client_recv(&mut self, index: usize, bytes: usize) -> Result<(), Violation> {
        if self.clients[index].is_reading {
            self.client_read(index, bytes)?;
        }
        Ok(())
    }

    /// Returns whether anything was received.
    pub(super) fn client_read(&mut self, index: usize, bytes: usize) -> Result<bool, Violation> {
        let client = &mut self.clients[index];
        if client.got_eof || client.error.is_some() {
            return Ok(false);
        }
        let mut buf = vec![0; bytes];
        let count = match self.sim.recv(&client.socket, &mut buf) {
            Ok(0) => {
                client.got_eof = true;
                let now = self.sim.now();
                self.check_silence(&self.clients[index], now)?;
                return Ok(true);
            }
            Ok(count) => count,
            Err(Errno::EAGAIN) => {
                client.unread_since = None;
                return Ok(false);
            }
            Err(Errno::EINTR) => return Ok(false),
            // Not connected yet; a client that has half-closed was connected.
            Err(Errno::ENOTCONN) if !client.sent_fin => return Ok(false),
            Err(errno) => {
                client.error = Some(errno);
                return Ok(true);
            }
        };
        let (id, sent, received) = (client.id, client.sent, client.received);
        for (&got, offset) in buf[..count].iter().zip(received..) {
            if got != byte(id, offset) || offset >= sent {
                return Err(self.violation(format!(
                    "output is a prefix of input, but client {id} sent {sent} bytes and received \
                     {got:#04x} at {offset}"
                )));
            }
        }
        let now = self.sim.now();
        let client = &mut self.clients[index];
        client.received += count as u64;
        if let Some(since) = client.unread_since {
            client.longest_unread = client.longest_unread.max(now - since);
        }
        client.unread_since = client.unread_since.map(|_| now);
        Ok(true)
    }

    /// Checks a connection that the server ended: unless the client was idle, everything it had
    /// sent was echoed. (Not covered: bytes sent after the server has begun to close, and bytes
    /// that the client leaves unread for as long as the server takes to detect a stuck send queue.)
    fn check_silence(&self, client: &Client, now: Instant) -> Result<(), Violation> {
        let Some(idle) = self.config.idle else { return Ok(()) };
        // A failed call, and a connection aborted by the kernel, end one for other reasons.
        let aborted = self.server.stats().aborted > 0 && client.received == 0;
        if self.config.faults.is_some() || aborted {
            return Ok(());
        }
        let lost = client.sends.iter().position(|&(sent, _)| sent > client.received);
        let Some(at) = lost.filter(|_| client.got_eof && client.error.is_none()) else {
            return Ok(());
        };
        let silence = client.sends[at].1 - client.sends[at - 1].1;
        let unread_for = client.unread_since.map_or(Duration::ZERO, |since| now - since);
        let is_reading = client.longest_unread.max(unread_for) < idle / 4;
        if is_reading && silence < idle {
            return Err(self.violation(format!(
                "what arrives before a deadline is served before it, but client {} sent {} bytes \
                 after {silence:?} of silence, received {} of {} back and got EOF (idle timeout \
                 {idle:?})",
                client.id,
                client.sends[at].0 - client.sends[at - 1].0,
                client.received,
                client.sent
            )));
        }
        Ok(())
    }

    pub(super) fn client_half_close(&mut self, index: usize) {
        let client = &mut self.clients[index];
        // A shutdown of a socket that is still connecting would abort the connection.
        let is_connected = self.sim.getpeername(&client.socket).is_ok();
        if is_connected && self.sim.shutdown(&client.socket, Shutdown::Write).is_ok() {
            client.sent_fin = true;
        }
    }

    pub(super) fn client_close(&mut self, index: usize, with_reset: bool) {
        let client = self.clients.swap_remove(index);
        if with_reset {
            let _ = self.sim.setsockopt(&client.socket, SocketOption::LingerSeconds(Some(0)));
        }
        let _ = self.sim.close(client.socket);
    }
}
