//! Progress of a running load: a line on the terminal, and the interval log in a file.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

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

/// Writes one interval: start, length, latencies.
type Write1<'a> = dyn FnMut(Duration, Duration, &Histogram<u64>) + 'a;

/// The interval log, if requested.
pub(super) struct Log<'a>(Option<&'a mut Write1<'a>>);

impl Log<'_> {
    /// Starts the log in `file`, passes it to `run`, and returns whether all intervals could be
    /// encoded.
    pub(super) fn with<R>(
        file: Option<&LogFile>,
        run: impl FnOnce(Log<'_>) -> R,
    ) -> (R, Result<(), String>) {
        let Some(file) = file else {
            return (run(Log(None)), Ok(()));
        };
        let mut serializer = V2DeflateSerializer::new();
        let base = SystemTime::now();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment(VERSION).add_comment(concat!(
            "[Logged with epollite-bench ",
            env!("CARGO_PKG_VERSION"),
            "; latencies in nanoseconds, the column of maxima in milliseconds]"
        ));
        builder.with_base_time(base).with_start_time(base).with_max_value_divisor(MAX_DIVISOR);
        let text = RefCell::new(Vec::new());
        let mut writer = Shared(&text);
        let mut failed = None;
        let result = match builder.begin_log_with(&mut writer, &mut serializer) {
            Err(error) => {
                failed = Some(error.to_string());
                run(Log(None))
            }
            Ok(mut log) => {
                text.borrow_mut().extend_from_slice(LEGEND);
                file.take(text.take());
                let mut write = |_, length: Duration, latencies: &Histogram<u64>| {
                    let end = base.elapsed().unwrap_or_default();
                    let start = end.saturating_sub(length);
                    if let Err(error) = log.write_histogram(latencies, start, length, None) {
                        failed.get_or_insert_with(|| describe(&error));
                    }
                    file.take(text.take());
                };
                run(Log(Some(&mut write)))
            }
        };
        (result, failed.map_or(Ok(()), |why| Err(format!("--hlog: {why}"))))
    }
}

/// The error of an interval that could not be encoded.
fn describe<E: std::fmt::Debug>(error: &IntervalLogWriterError<E>) -> String {
    match error {
        IntervalLogWriterError::IoError(error) => error.to_string(),
        IntervalLogWriterError::SerializeError(error) => format!("{error:?}"),
    }
}

/// Buffer shared between the log's encoder and the file.
struct Shared<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log file, written by its own thread, so that a slow disk or an unread pipe does not pause
/// the measured load.
#[derive(Debug)]
pub(super) struct LogFile {
    text: Sender<Vec<u8>>,
    thread: JoinHandle<io::Result<()>>,
}

impl LogFile {
    /// Creates the file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let (text, lines) = channel::<Vec<u8>>();
        let thread = thread::Builder::new().spawn(move || {
            // Signals must be delivered to the load's thread, so this one blocks them all.
            let _ = SigSet::all().thread_block();
            lines.iter().try_for_each(|text| file.write_all(&text))
        })?;
        Ok(Self { text, thread })
    }

    /// Queues a piece of the log; write errors are returned by [`Self::finish`].
    fn take(&self, text: Vec<u8>) {
        let _ = self.text.send(text);
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// If a write failed.
    pub(super) fn finish(self) -> Result<(), String> {
        drop(self.text);
        let written = self.thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        written.map_err(|error| format!("--hlog: {error}"))
    }
}

/// Observes a load.
pub(super) struct Progress<'a> {
    line: ProgressBar,
    log: Log<'a>,
    last: (Duration, u64),
}

impl<'a> Progress<'a> {
    /// Shows a line on standard error, if that is a terminal.
    pub(super) fn new(is_terminal: bool, log: Log<'a>) -> Self {
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
    pub(super) fn finish(&self) {
        self.line.finish_and_clear();
    }
}

impl Observer for Progress<'_> {
    fn tick(&mut self, elapsed: Duration, meter: &Metrics) {
        let (then, before) = self.last;
        if self.line.is_hidden() || elapsed.saturating_sub(then) < LINE_EVERY {
            return;
        }
        let messages = meter.counts.messages;
        let rate = (messages - before) as f64 / (elapsed - then).as_secs_f64();
        self.last = (elapsed, messages);
        let latencies =
            if meter.interval().is_empty() { meter.latencies() } else { meter.interval() };
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

    fn interval(&mut self, start: Duration, length: Duration, latencies: &Histogram<u64>) {
        if let Some(write) = &mut self.log.0 {
            write(start, length, latencies);
        }
    }
}
