//! `--trace`: each recorded call as a line of strace(1), with its origin.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use epollite::instrument::SyscallRecord;

use crate::log;
use crate::sink::{Put, Sink};

/// The destination of `--trace`. Lines that would block are dropped, and counted by all threads and
/// processes together.
#[derive(Clone)]
pub(crate) enum Trace {
    Off,
    Stderr(&'static AtomicU64),
    File(Arc<Sink>, &'static AtomicU64),
}

/// The thread or process that made a call, where there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TraceOrigin {
    Thread(u64),
    Process(u32),
    SignalThread,
}

impl fmt::Display for TraceOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(number) => write!(f, "thread {number}"),
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::SignalThread => f.write_str("signal thread"),
        }
    }
}

impl Trace {
    /// Writes one line as strace -T prints it, with its origin where there are several.
    pub(crate) fn write_line(&self, origin: Option<TraceOrigin>, record: &SyscallRecord) {
        let mut line = origin.map_or_else(String::new, |origin| format!("[{origin}] "));
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{record:#}");
        let (put, dropped) = match self {
            Self::Off => return,
            Self::Stderr(dropped) => (log::err(&line), dropped),
            Self::File(sink, dropped) => {
                let put = sink.put(line.as_bytes(), Duration::ZERO);
                (put.map_err(|error| warn_truncated(dropped, &error)).ok(), dropped)
            }
        };
        if put == Some(Put::Dropped) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After a fork: discards partial lines, which the parent completes.
    pub(crate) fn forget(&self) {
        log::forget();
        if let Self::File(sink, _) = self {
            sink.forget();
        }
    }

    /// Reports the number of dropped lines, if any. Called at the end, by the last to exit.
    pub(crate) fn report_dropped(&self) {
        let (Self::Stderr(dropped) | Self::File(_, dropped)) = self else { return };
        let lines = dropped.load(Ordering::Relaxed) & !WARNED;
        if lines > 0 {
            warn_truncated(
                dropped,
                &format_args!("{lines} lines were dropped: writing them would have blocked"),
            );
        }
    }
}

/// Set in the count of dropped lines once the loss was reported: no count gets this high.
const WARNED: u64 = 1 << 63;

/// A full disk must not stop the server, but an incomplete trace is reported, once.
fn warn_truncated(dropped: &AtomicU64, why: &dyn fmt::Display) {
    if dropped.fetch_or(WARNED, Ordering::Relaxed) & WARNED == 0 {
        log::err_last(&format!("epollite: trace truncated: {why}\n"));
    }
}
