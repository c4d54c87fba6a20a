//! What every model uses: an instrumented kernel, a log and statistics.
//!
//! Knows neither sockets nor clients: waiting for them is up to the model.

use epollite::Addr;
use epollite::server::stream::CloseReason;
use epollite::server::{datagram, stream};

use super::shared_stats::{CounterWriter, SharedCounters};
use crate::echo::client_log;
use crate::echo::stats::StatsSnapshot;
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;
use crate::instrument::trace::Trace;
use crate::output::log::Log;

/// Bytes read at once, and so the upper bound of one client's write buffer. Any datagram fits.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// State owned by one thread or one process.
pub(super) struct WorkerContext<K: InstrumentedKernel> {
    pub(super) kernel: K,
    pub(super) log: Log,
    pub(super) open: u32,
    pub(super) stats: stream::StreamStats,
    pub(super) datagrams: datagram::DatagramStats,
    pub(super) trace: Trace,
    origin: Option<TraceOrigin>,
    writer: Option<CounterWriter>,
}

impl<K: InstrumentedKernel> WorkerContext<K> {
    pub(super) fn new(kernel: K, log: Log, trace: Trace, origin: Option<TraceOrigin>) -> Self {
        Self {
            kernel,
            log,
            open: 0,
            stats: stream::StreamStats::default(),
            datagrams: datagram::DatagramStats::default(),
            trace,
            origin,
            writer: None,
        }
    }

    /// A context for another thread or process of the same server, with statistics at zero.
    pub(super) fn for_worker(&self, origin: TraceOrigin, counters: &SharedCounters) -> Self {
        let mut worker = Self::new(self.kernel.fresh(), self.log, self.trace.clone(), Some(origin));
        worker.attach_counters(counters);
        worker
    }

    /// From here on [`flush_stats`](Self::flush_stats) adds the statistics of this context to
    /// `counters`.
    pub(super) fn attach_counters(&mut self, counters: &SharedCounters) {
        self.writer = Some(counters.writer(0));
    }

    /// Prints the recorded calls, and adds what was counted since the last flush.
    pub(super) fn flush_stats(&mut self) {
        let snapshot = self.snapshot();
        if let Some(writer) = &mut self.writer {
            writer.flush(snapshot);
        }
    }

    /// Prints the recorded calls, if enabled.
    pub(super) fn drain_trace(&mut self) {
        let Self { kernel, trace, origin, .. } = self;
        kernel.drain_trace(|entry| trace.write_entry(*origin, entry));
    }

    /// The same for a kernel owned elsewhere.
    pub(super) fn drain_trace_of(&self, kernel: &mut K) {
        kernel.drain_trace(|entry| self.trace.write_entry(self.origin, entry));
    }

    /// Counts and logs an accepted client. Returns its name in the log; empty unless logging is
    /// verbose.
    pub(super) fn connection_opened(&mut self, peer: &Addr, number: u64) -> String {
        self.open += 1;
        self.stats.accepted += 1;
        let mut name = String::new();
        if self.log.is_verbose {
            name = client_log::client_name(peer, number);
            client_log::connected(&self.log, &name);
        }
        name
    }

    /// Counts and logs a closed client, from which `bytes` were received.
    pub(super) fn connection_closed(&mut self, name: &str, bytes: u64, why: CloseReason) {
        self.open -= 1;
        self.stats.record_close(why);
        if self.log.is_verbose {
            client_log::closed(&self.log, name, bytes, why);
        }
    }

    pub(super) fn snapshot(&mut self) -> StatsSnapshot {
        self.drain_trace();
        StatsSnapshot {
            open: self.open.into(),
            stream: self.stats,
            datagram: self.datagrams,
            calls: *self.kernel.counts(),
            ..StatsSnapshot::default()
        }
    }
}
