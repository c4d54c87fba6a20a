//! Runs a scenario, choice by choice.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::{Resource, Rlimit};
use epollite::server::stream::{Bulk, CloseReason, Outcome, ServerEvent, StreamStats};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Entropy, Sim, SimConfig};
use epollite::{Addr, Errno, Kernel};

use super::client::Client;
use super::config::{Choices, ScenarioConfig, ScenarioReport, Violation};
use super::server::{KernelUnderTest, ServerUnderTest};

/// Rounds without progress after which a client counts as stuck. One is enough in a deterministic
/// kernel; injected interruptions may cost a few.
pub(super) const IDLE_ROUNDS_MAX: u32 = 16;

/// A running scenario.
pub(super) struct Scenario<'a, S> {
    pub(super) config: &'a ScenarioConfig,
    pub(super) sim: Sim,
    pub(super) server: S,
    pub(super) addr: Addr,
    pub(super) clients: Vec<Client>,
    pub(super) clients_created: u64,
    pub(super) step: u64,
    /// The errno with which the server last closed a connection.
    pub(super) last_close_error: Option<Errno>,
}

/// Runs a scenario of at most `steps_max` steps with the server made by `start`, and then its final
/// phase: clients read what is echoed, finish sending, read all remaining data and disconnect; then
/// the invariants are checked.
///
/// # Errors
/// The first invariant that is violated. A panic violates one too: the simulated kernel found a
/// descriptor leaked, closed twice or used after its close.
pub(crate) fn run<S: ServerUnderTest>(
    config: &ScenarioConfig,
    choices: &mut impl Choices,
    entropy: Entropy,
    steps_max: u64,
    start: impl FnOnce(KernelUnderTest, &ScenarioConfig) -> Result<S, Errno>,
) -> Result<ScenarioReport, Violation> {
    let run = AssertUnwindSafe(|| {
        let Some(mut scenario) = Scenario::new(config, entropy, start) else {
            // A fault hit the server before it had a listener: it must only have left nothing open.
            return Ok(ScenarioReport { faults: 1, ..ScenarioReport::default() });
        };
        let result = scenario.run(choices, steps_max);
        // After a violation the remaining clients are closed, so that they are not reported as
        // leaks.
        scenario.close_clients();
        result
    });
    catch_unwind(run).unwrap_or_else(|panic| {
        let invariant = format!("nothing panics, but: {}", panic_message(&*panic));
        Err(Violation { invariant, step: steps_max })
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

impl<'a, S: ServerUnderTest> Scenario<'a, S> {
    fn new(
        config: &'a ScenarioConfig,
        entropy: Entropy,
        start: impl FnOnce(KernelUnderTest, &ScenarioConfig) -> Result<S, Errno>,
    ) -> Option<Self> {
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
        let mut server = start(kernel, config).ok()?;
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
        if action == 0 {
            self.run_server_until_it_waits()?;
            return Ok(Some(()));
        }
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
        let client = &mut self.clients[index];
        match action {
            10..=19 => client.send(&mut self.sim, amount + 1),
            20..=26 if client.is_reading => _ = self.client_read(index, amount + 1)?,
            20..=26 => {}
            27 => client.half_close(&mut self.sim),
            28 => self.clients.swap_remove(index).close(&mut self.sim, true),
            29 => self.clients.swap_remove(index).close(&mut self.sim, false),
            30 => client.is_reading ^= true,
            // Pauses the server's process for as long as its idle timeout.
            _ if amount > 180 => self.sim.advance(self.config.idle.unwrap_or_default()),
            _ => self.sim.advance(Duration::from_millis(amount as u64)),
        }
        Ok(Some(()))
    }

    /// Runs the server until it has no events left. Time does not pass and no client acts, so that
    /// this must happen soon. (Unless a fault is persistent.)
    pub(super) fn run_server_until_it_waits(&mut self) -> Result<(), Violation> {
        let mut fruitless = 0;
        // A batch may hold one event only, and some are legitimately of no use.
        while fruitless <= IDLE_ROUNDS_MAX * (1 + self.server.connections()) {
            let before = progress(&self.server.stats());
            if self.run_server()? == Outcome::TimedOut || self.config.has_persistent_fault() {
                return Ok(());
            }
            fruitless = if progress(&self.server.stats()) == before { fruitless + 1 } else { 0 };
        }
        Err(self.violation(format!(
            "no busy loop, but {fruitless} waits in a row returned events without any progress"
        )))
    }

    /// Runs the server once, without waiting.
    pub(super) fn run_server(&mut self) -> Result<Outcome, Violation> {
        let now = self.server.kernel().now();
        let before = self.server.kernel().hook.total();
        let outcome = self.server.run_once(now).map_err(|errno| {
            self.violation(format!("no errno ends the server, but epoll_wait's {errno} did"))
        })?;
        while let Some(event) = self.server.next_event() {
            if let ServerEvent::Closed { why: CloseReason::Error(errno), .. } = event {
                self.last_close_error = Some(errno);
            }
        }
        for client in &mut self.clients {
            client.expect_reply(now);
        }
        let calls = self.server.kernel().hook.total() - before;
        let connections = u64::from(self.server.connections()) + self.config.clients_max as u64;
        // A persistently interrupted wait, a peek, a recv and a send for each byte of the budget
        // (or two splices), and twenty calls of overhead, some of them to create a pipe.
        let bound = 1_100 + connections * (3 * self.config.budget_bytes as u64 + 20);
        if calls > bound {
            return Err(self.violation(format!(
                "the calls of one run_once are bounded, but one made {calls}"
            )));
        }
        self.check_counters()?;
        Ok(outcome)
    }

    /// Every byte received is sent, buffered or dropped with its connection; each open connection
    /// buffers at most one buffer size, in memory or in a pipe. A closed one gets an event only if
    /// it was in the batch in which it was closed.
    fn check_counters(&mut self) -> Result<(), Violation> {
        let buffered = self.server.buffered_bytes();
        let connections = u64::from(self.server.connections());
        let pipe_buffers = if self.config.bulk == Bulk::Copy { 0 } else { 4 };
        let bound = connections * (1 + pipe_buffers) * self.config.buffer_bytes as u64;
        if buffered > bound {
            return Err(
                self.violation(format!("memory is bounded, but {buffered} bytes are buffered"))
            );
        }
        let StreamStats { events_stale, closed, buffer_bytes, .. } = self.server.stats();
        let total = self.config.buffer_total_bytes as u64;
        if self.server.counts_buffers()
            && (buffer_bytes > total
                || buffered > buffer_bytes
                || connections == 0 && buffer_bytes > 0)
        {
            return Err(self.violation(format!(
                "all buffers together are bounded, but of {connections} connections {buffered} \
                 bytes are buffered in {buffer_bytes}, and {total} are the bound"
            )));
        }
        if events_stale > closed {
            return Err(self.violation(format!(
                "closed connections get no events, but {events_stale} came for {closed} closed"
            )));
        }
        Ok(())
    }

    pub(super) fn connect_client(&mut self) {
        if let Some(client) = Client::connect(&mut self.sim, &self.addr, self.clients_created + 1) {
            self.clients_created += 1;
            self.clients.push(client);
        }
    }

    /// Returns whether anything was received.
    pub(super) fn client_read(&mut self, index: usize, bytes: usize) -> Result<bool, Violation> {
        let client = &mut self.clients[index];
        let was_connected = client.is_connected();
        let mut result = client.recv(&mut self.sim, bytes);
        // A failed call, and a connection aborted by the kernel, end one for other reasons.
        let is_aborted = self.server.stats().aborted > 0 && client.received == 0;
        if let Some(idle) = self.config.idle
            && was_connected
            && !is_aborted
            && self.config.faults.is_none()
        {
            let now = self.sim.now();
            result = result.and_then(|any| client.check_silence(idle, now).map(|()| any));
        }
        result.map_err(|invariant| self.violation(invariant))
    }

    pub(super) fn close_clients(&mut self) {
        for client in self.clients.drain(..) {
            client.close(&mut self.sim, false);
        }
    }
}

/// The counters of a server that grow with what it does for its clients.
pub(super) const fn progress(stats: &StreamStats) -> [u64; 4] {
    let StreamStats { accepted, closed, bytes_in, bytes_out, .. } = *stats;
    [accepted, closed, bytes_in, bytes_out]
}
