//! `--trace`: each recorded call as a line of strace(1) with its origin, or as an event of a trace
//! for ui.perfetto.dev.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use epollite::instrument::{RecordSink, SyscallRecord};

use crate::args::TraceTarget;
use crate::exit::{CliError, failed};
use crate::instrument::entry::Entry;
use crate::instrument::explain;
use crate::instrument::origin::TraceOrigin;
use crate::instrument::perfetto::Perfetto;
use crate::models;
use crate::output::columns::one_line;
use crate::output::log;
use crate::output::sink::{Put, Sink};

/// The destination of `--trace`. Lines that would block are dropped, and counted by all threads and
/// processes together.
#[derive(Clone)]
pub(crate) enum Trace {
    Off,
    Stderr(&'static AtomicU64),
    File(Arc<Sink>, &'static AtomicU64),
    Perfetto(Arc<Perfetto>, &'static AtomicU64),
}

/// Writes each record as soon as its call has returned.
pub(crate) struct TraceWriter(pub(crate) Trace);

impl RecordSink for TraceWriter {
    fn record(&mut self, record: SyscallRecord) {
        self.0.write(None, &record);
    }
}

impl Trace {
    /// Opens the destination. Done before anything else: with an invalid path no name is resolved
    /// and no port is bound.
    pub(crate) fn open(flag: &str, target: Option<&TraceTarget>) -> Result<Self, CliError> {
        let Some(target) = target else { return Ok(Self::Off) };
        let dropped = &models::mmap_shared(1).map_err(failed("mmap"))?[0];
        let (path, opened) = match target {
            TraceTarget::Stderr => return Ok(Self::Stderr(dropped)),
            TraceTarget::File(path) => {
                let opened = Sink::create(path);
                (path, opened.map(|sink| Self::File(Arc::new(sink), dropped)))
            }
            TraceTarget::Perfetto(path) => {
                let opened = Perfetto::create(path);
                (path, opened.map(|file| Self::Perfetto(Arc::new(file), dropped)))
            }
        };
        let path = one_line(&path.to_string_lossy());
        opened.map_err(|error| CliError::run(format!("{flag}: {path}: {error}")))
    }

    /// Writes one line as strace -T prints it, with its origin where there are several.
    pub(crate) fn write(&self, origin: Option<TraceOrigin>, record: &SyscallRecord) {
        let (put, dropped) = match self {
            Self::Off => return,
            Self::Stderr(dropped) => (Ok(log::err(&line(origin, record))), dropped),
            Self::File(sink, dropped) => {
                (sink.put(line(origin, record).as_bytes(), Duration::ZERO).map(Some), dropped)
            }
            Self::Perfetto(file, dropped) => (file.write(origin, record).map(Some), dropped),
        };
        let put = put.unwrap_or_else(|error| {
            warn_truncated(dropped, &error);
            None
        });
        if put == Some(Put::Dropped) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what is a call.
    pub(crate) fn write_entry(&self, origin: Option<TraceOrigin>, entry: &Entry) {
        if let Entry::Call(record) = entry {
            self.write(origin, record);
        }
    }

    /// Writes what is a decision, as a sentence.
    pub(crate) fn write_sentence(&self, origin: Option<TraceOrigin>, entry: &Entry) {
        if let Entry::Decision(decision) = entry
            && !matches!(self, Self::Off)
        {
            let origin = origin.map_or_else(String::new, |origin| format!("[{origin}] "));
            let line = format!("{origin}{}\n", explain::sentence(decision));
            self.write_text(&line, Duration::ZERO);
        }
    }

    /// Writes a text, waiting for room for at most `timeout`. A perfetto file takes none.
    pub(crate) fn write_text(&self, text: &str, timeout: Duration) {
        let (put, dropped) = match self {
            Self::Off | Self::Perfetto(..) => return,
            Self::Stderr(dropped) => (Ok(log::err_within(text, timeout)), dropped),
            Self::File(sink, dropped) => (sink.put(text.as_bytes(), timeout).map(Some), dropped),
        };
        match put {
            Ok(Some(Put::Dropped)) => _ = dropped.fetch_add(1, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) => warn_truncated(dropped, &error),
        }
    }

    /// After a fork: discards partial lines, which the parent completes.
    pub(crate) fn forget(&self) {
        log::forget();
        if let Self::File(sink, _) = self {
            sink.forget();
        }
        // A perfetto file has no partial events.
    }

    /// Whether it is a file that can be opened again: one for perfetto is a single document.
    pub(crate) fn can_reopen(&self) -> bool {
        matches!(self, Self::File(sink, _) if sink.can_reopen())
    }

    /// Opens the file again, which may have been moved away.
    ///
    /// # Errors
    /// The error of open(2).
    pub(crate) fn reopen(&self) -> std::io::Result<()> {
        if let Self::File(sink, _) = self { sink.reopen() } else { Ok(()) }
    }

    /// Reports the number of dropped lines, if any. Called at the end, by the last to exit.
    pub(crate) fn report_dropped(&self) {
        let (Self::Stderr(dropped) | Self::File(_, dropped) | Self::Perfetto(_, dropped)) = self
        else {
            return;
        };
        let lines = dropped.load(Ordering::Relaxed) & !WARNED;
        if lines > 0 {
            warn_truncated(
                dropped,
                &format_args!("{lines} lines were dropped: writing them would have blocked"),
            );
        }
    }
}

/// The line of a record.
fn line(origin: Option<TraceOrigin>, record: &SyscallRecord) -> String {
    let mut line = origin.map_or_else(String::new, |origin| format!("[{origin}] "));
    // Writing to a String cannot fail.
    let _ = writeln!(line, "{record:#}");
    line
}

/// Set in the count of dropped lines once the loss was reported: no count gets this high.
const WARNED: u64 = 1 << 63;

/// A full disk must not stop the server, but an incomplete trace is reported, once.
fn warn_truncated(dropped: &AtomicU64, why: &dyn fmt::Display) {
    if dropped.fetch_or(WARNED, Ordering::Relaxed) & WARNED == 0 {
        log::err_last(&format!("epollite: trace truncated: {why}\n"));
    }
}
