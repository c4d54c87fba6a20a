//! The server under test, as a scenario sees it, and the stream server as one.

use epollite::instrument::{CallCounter, FaultInjector};
use epollite::server::stream::{Outcome, ServerEvent, StreamConfig, StreamServer, StreamStats};
use epollite::sim::Sim;
use epollite::{Errno, Fd, Instant};

use super::config::ScenarioConfig;

/// The kernel of the server: one process of the simulated kernel.
pub(crate) type KernelUnderTest = CallCounter<FaultInjector<Sim>>;

/// A server for stream sockets that echoes what it receives.
pub(crate) trait ServerUnderTest {
    /// Accepts connections of `listener` from now on.
    fn add_listener(&mut self, listener: Fd) -> Result<(), Errno>;

    /// Waits once, `deadline` at most, and handles the events. [`Outcome::TimedOut`]: there were
    /// none.
    fn run_once(&mut self, deadline: Instant) -> Result<Outcome, Errno>;

    /// Closes the listener; [`run_once`](Self::run_once) returns [`Outcome::Drained`] once all
    /// connections are closed.
    fn begin_shutdown(&mut self);

    fn kernel(&mut self) -> &mut KernelUnderTest;

    fn stats(&self) -> StreamStats;

    fn connections(&self) -> u32 {
        let StreamStats { accepted, closed, .. } = self.stats();
        u32::try_from(accepted - closed).expect("a scenario has few clients")
    }

    /// Bytes received and not yet sent, of all connections.
    fn buffered_bytes(&mut self) -> u64;

    /// Whether it counts what it buffers: [`StreamStats::buffer_bytes`].
    fn counts_buffers(&self) -> bool {
        false
    }

    /// The oldest event that was not taken, for diagnosis.
    fn next_event(&mut self) -> Option<ServerEvent> {
        None
    }
}

/// A [`StreamServer`] without listeners, configured for a scenario.
pub(crate) fn stream_server(
    kernel: KernelUnderTest,
    config: &ScenarioConfig,
) -> Result<StreamServer<KernelUnderTest>, Errno> {
    let config = StreamConfig {
        trigger: config.trigger,
        connections_max: config.connections_max,
        buffer_bytes: config.buffer_bytes,
        buffer_total_bytes: config.buffer_total_bytes,
        budget_bytes: config.budget_bytes,
        accepts_max: 4,
        events_max: config.events_max,
        idle_timeout: config.idle,
        bulk: config.bulk,
        pipes_max: config.pipes_max,
        emit_events: true,
        ..StreamConfig::default()
    };
    StreamServer::new(kernel, config)
}

impl ServerUnderTest for StreamServer<KernelUnderTest> {
    fn add_listener(&mut self, listener: Fd) -> Result<(), Errno> {
        Ok(Self::add_listener(self, listener).map(drop)?)
    }

    fn run_once(&mut self, deadline: Instant) -> Result<Outcome, Errno> {
        Self::run_once(self, Some(deadline))
    }

    fn begin_shutdown(&mut self) {
        Self::begin_shutdown(self);
    }

    fn kernel(&mut self) -> &mut KernelUnderTest {
        Self::kernel(self)
    }

    fn stats(&self) -> StreamStats {
        Self::stats(self)
    }

    fn connections(&self) -> u32 {
        Self::connections(self)
    }

    fn buffered_bytes(&mut self) -> u64 {
        Self::buffered_bytes(self)
    }

    fn counts_buffers(&self) -> bool {
        true
    }

    fn next_event(&mut self) -> Option<ServerEvent> {
        Self::next_event(self)
    }
}
