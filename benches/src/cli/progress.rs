//! Progress of a running load: a line on the terminal, and the interval log in a file.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::SigSet;

use crate::load::{Metrics, Observer};
use crate::units;

/// Update interval of the line.
const LINE_EVERY: Duration = Duration::from_millis(250);

/// The first line of an HdrHistogram log, after its `#`.
const VERSION: &str = "[Histogram log format version 1.3]";

/// The column headers of the reference implementation, which the library omits.
const LEGEND: &[u8] = b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
    \"Interval_Compressed_Histogram\"\n";

/// The column of maxima is in milliseconds, as in the reference implementation; the histograms are
/// in nanoseconds.
const MAX_DIVISOR: f64 = 1e6;

/// Start, length and latencies of one interval.
type Interval = (Duration, Duration, Histogram<u64>);

/// The interval log, encoded and written by its own thread, so that a slow disk or an unread pipe
/// does not pause the measured load.
#[derive(Debug)]
pub(super) struct IntervalLog {
    base: SystemTime,
    intervals: Sender<Interval>,
    thread: JoinHandle<Result<()>>,
}

impl IntervalLog {
    /// Creates the file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).context("--hlog")?;
        let (base, (intervals, queue)) = (SystemTime::now(), channel());
        let thread = thread::Builder::new().spawn(move || {
            // Signals must be delivered to the load's thread, so this one blocks them all.
            let _ = SigSet::all().thread_block();
            write_intervals(&file, base, &queue).context("--hlog")
        });
        let thread = thread.context("--hlog")?;
        Ok(Self { base, intervals, thread })
    }

    /// Queues an interval that ends now; write errors are returned by [`Self::finish`].
    fn add(&self, length: Duration, latencies: &Histogram<u64>) {
        let start = self.base.elapsed().unwrap_or_default().saturating_sub(length);
        let _ = self.intervals.send((start, length, latencies.clone()));
    }

    /// Waits until everything is written.
    fn finish(self) -> Result<()> {
        drop(self.intervals);
        self.thread.join().unwrap_or_else(|_| Err(anyhow!("--hlog: its thread panicked")))
    }
}

fn write_intervals(file: &File, base: SystemTime, queue: &Receiver<Interval>) -> Result<()> {
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment(VERSION).add_comment(concat!(
        "[Logged with epollite-bench ",
        env!("CARGO_PKG_VERSION"),
        "; latencies in nanoseconds, the column of maxima in milliseconds]"
    ));
    builder.with_base_time(base).with_start_time(base).with_max_value_divisor(MAX_DIVISOR);
    let (mut serializer, mut lines) = (V2DeflateSerializer::new(), LineWriter::new(file));
    let mut log = builder.begin_log_with(&mut lines, &mut serializer)?;
    (&*file).write_all(LEGEND)?;
    for (start, length, latencies) in queue {
        log.write_histogram(&latencies, start, length, None).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error.into(),
            IntervalLogWriterError::SerializeError(error) => anyhow!("{error:?}"),
        })?;
    }
    Ok(())
}

pub(super) struct Progress {
    line: ProgressBar,
    log: Option<IntervalLog>,
    last: (Duration, u64),
}

impl Progress {
    /// Shows a line on standard error, if that is a terminal.
    pub(super) fn new(is_terminal: bool, log: Option<IntervalLog>) -> Self {
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            line.set_style(style);
        }
        line.set_message("warming up");
        Self { line, log, last: (Duration::ZERO, 0) }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.line.finish_and_clear();
    }

    /// Waits until the log is written.
    pub(super) fn finish_log(self) -> Result<()> {
        self.log.map_or(Ok(()), IntervalLog::finish)
    }
}

impl Observer for Progress {
    fn tick(&mut self, elapsed: Duration, meter: &Metrics) {
        let (then, before) = self.last;
        if self.line.is_hidden() || elapsed.saturating_sub(then) < LINE_EVERY {
            return;
        }
        let messages = meter.counts.messages;
        let rate = (messages - before) as f64 / (elapsed - then).as_secs_f64();
        self.last = (elapsed, messages);
        let latencies = if meter.interval.is_empty() { &meter.latencies } else { &meter.interval };
        let at = |percent| units::time(latencies.value_at_percentile(percent) as f64);
        let (p50, p99, counts) = (at(50.0), at(99.0), &meter.counts);
        let lost = if counts.lost > 0 { format!("   lost {}", counts.lost) } else { String::new() };
        self.line.set_message(format!(
            "{:5.1} s   {rate:.0}/s   p50 {p50}   p99 {p99}   errors {}{lost}",
            elapsed.as_secs_f64(),
            counts.errors(),
        ));
        self.line.tick();
    }

    fn interval(&mut self, length: Duration, latencies: &Histogram<u64>) {
        if let Some(log) = &self.log {
            log.add(length, latencies);
        }
    }
}
