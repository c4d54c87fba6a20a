//! What every model uses: an instrumented kernel, a log and statistics.
//!
//! Knows neither sockets nor clients: waiting for them is up to the model.

use epollite::server::{datagram, stream};

use super::shared_stats::{CounterWriter, SharedCounters};
use crate::args::EchoOptions;
use crate::instrument::InstrumentedKernel;
use crate::log::Log;
use crate::stats::StatsSnapshot;
use crate::syscall_summary::SyscallSummary;
use crate::trace::{Trace, TraceOrigin};

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
    summary: Option<SyscallSummary>,
    writer: Option<CounterWriter>,
}

impl<K: InstrumentedKernel> WorkerContext<K> {
    pub(super) fn new(options: &EchoOptions, trace: Trace, origin: Option<TraceOrigin>) -> Self {
        Self {
            kernel: K::new_instance(),
            log: options.log,
            open: 0,
            stats: stream::StreamStats::default(),
            datagrams: datagram::DatagramStats::default(),
            trace,
            origin,
            summary: options.count_syscalls.then(SyscallSummary::default),
            writer: None,
        }
    }

    /// A context for another thread or process of the same server, with statistics at zero.
    pub(super) fn for_worker(&self, origin: TraceOrigin, counters: &SharedCounters) -> Self {
        Self {
            kernel: K::new_instance(),
            log: self.log,
            open: 0,
            stats: stream::StreamStats::default(),
            datagrams: datagram::DatagramStats::default(),
            trace: self.trace.clone(),
            origin: Some(origin),
            summary: self.summary.map(|_| SyscallSummary::default()),
            writer: Some(counters.writer(0)),
        }
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

    /// Prints the recorded calls and adds them to the summary, if enabled.
    pub(super) fn drain_trace(&mut self) {
        let Self { kernel, trace, origin, summary, .. } = self;
        write_trace(kernel, trace, *origin, summary);
    }

    /// The same for a kernel owned elsewhere.
    pub(super) fn drain_trace_of(&mut self, kernel: &mut K) {
        let Self { trace, origin, summary, .. } = self;
        write_trace(kernel, trace, *origin, summary);
    }

    pub(super) fn snapshot(&mut self) -> StatsSnapshot {
        self.drain_trace();
        StatsSnapshot {
            open: self.open.into(),
            stream: self.stats,
            datagram: self.datagrams,
            calls: self.kernel.counts(),
            syscall_summary: self.summary,
        }
    }
}

fn write_trace<K: InstrumentedKernel>(
    kernel: &mut K,
    trace: &Trace,
    origin: Option<TraceOrigin>,
    summary: &mut Option<SyscallSummary>,
) {
    kernel.drain_trace(|record| {
        trace.write_line(origin, &record);
        if let Some(summary) = summary {
            summary.record(&record);
        }
    });
}
