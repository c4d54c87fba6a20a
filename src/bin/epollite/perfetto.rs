//! A trace in the JSON of Chrome's tracing, which ui.perfetto.dev and chrome://tracing load: a
//! track for each thread or process, a slice for each system call.
//!
//! The file is valid at any moment, also when the program is killed: an event is written together
//! with the end of the array, and over the previous end. (A program that reads it beside the writer
//! may see parts of two moments.) Several processes may write the same file;
//! a lock in shared memory keeps their events apart.
//!
//! Reference: "Trace Event Format", JSON array of complete events (`"ph":"X"`)

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use epollite::instrument::SyscallRecord;

use crate::json::json_string;
use crate::models::{OPEN_NONBLOCKING, mmap_shared};
use crate::origin::TraceOrigin;
use crate::sink::Put;
use crate::trace_event::Track;

/// The end of the array, which is overwritten by the next event.
const END: &str = "\n]\n";

/// Attempts to get the lock, yielding between them. A write takes microseconds; a process that was
/// killed while it held the lock never gives it back.
const LOCK_ATTEMPTS: u32 = 10_000;

/// No more is written: the disk is full, or the file has reached its limit.
const ENDED: u64 = u64::MAX;

/// A trace file.
pub(crate) struct Perfetto {
    file: File,
    /// Shared with child processes: 1 while one of them writes.
    lock: &'static AtomicU64,
    /// Shared: where the next event is written, or [`ENDED`].
    position: &'static AtomicU64,
    /// Tracks that have a name already.
    named: Mutex<BTreeSet<Track>>,
}

impl Perfetto {
    /// Creates or truncates the file.
    ///
    /// # Errors
    /// That of open(2), mmap(2) or write(2); or it is not a regular file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true).custom_flags(OPEN_NONBLOCKING);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            let why = "not a regular file: the end of such a trace is rewritten";
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let shared = mmap_shared(2).map_err(io::Error::from)?;
        let pid = std::process::id();
        let first =
            format!("[\n{}", Track { process: pid, thread: pid.into() }.process_name("epollite"));
        file.write_all_at(format!("{first}{END}").as_bytes(), 0)?;
        shared[1].store(first.len() as u64, Ordering::Release);
        let named = Mutex::new(BTreeSet::new());
        Ok(Self { file, lock: &shared[0], position: &shared[1], named })
    }

    /// Writes one call. It is dropped after an error, and if another process keeps the lock.
    ///
    /// # Errors
    /// That of write(2), once: the file ends before this event.
    pub(crate) fn write(
        &self,
        origin: Option<TraceOrigin>,
        record: &SyscallRecord,
    ) -> io::Result<Put> {
        let track = track(origin);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if !named.contains(&track) {
            let name = origin.map_or_else(|| "main".to_owned(), |origin| origin.to_string());
            text += &format!(",\n{}", track.thread_name(&name));
        }
        text += &format!(",\n{}", call_event(track, record));
        let put = self.append(&text)?;
        if put == Put::Written {
            named.insert(track);
        }
        Ok(put)
    }

    /// Writes events over the end of the array, and the end behind them.
    fn append(&self, events: &str) -> io::Result<Put> {
        let is_free = |_| {
            let taken = self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_err() {
                std::thread::yield_now();
            }
            taken.is_ok()
        };
        if !(0..LOCK_ATTEMPTS).any(is_free) {
            return Ok(Put::Dropped);
        }
        let at = self.position.load(Ordering::Acquire);
        let result = if at == ENDED { Ok(Put::Dropped) } else { self.append_at(events, at) };
        self.lock.store(0, Ordering::Release);
        result
    }

    fn append_at(&self, events: &str, at: u64) -> io::Result<Put> {
        match self.file.write_all_at(format!("{events}{END}").as_bytes(), at) {
            Ok(()) => {
                self.position.store(at + events.len() as u64, Ordering::Release);
                Ok(Put::Written)
            }
            Err(error) => {
                self.position.store(ENDED, Ordering::Release);
                // As it was before: these bytes had their place on the disk already.
                let _ = self.file.set_len(at + END.len() as u64);
                let _ = self.file.write_all_at(END.as_bytes(), at);
                Err(error)
            }
        }
    }
}

/// The process and the track of an origin. Tracks are numbered from the process ID on, as Linux
/// numbers threads: the first thread has that of its process.
fn track(origin: Option<TraceOrigin>) -> Track {
    /// Above every thread's number.
    const SIGNAL_THREAD: u64 = 1 << 32;
    let pid = std::process::id();
    let offset = match origin {
        None | Some(TraceOrigin::Process(_)) => 0,
        Some(TraceOrigin::Thread(number)) => number,
        Some(TraceOrigin::SignalThread) => SIGNAL_THREAD,
    };
    Track { process: pid, thread: u64::from(pid) + offset }
}

/// A slice as long as the call; times are those of the monotonic clock.
fn call_event(track: Track, record: &SyscallRecord) -> String {
    let text = record.to_string();
    let rest = text.strip_prefix(record.name).unwrap_or(&text);
    let (arguments, result) = rest.rsplit_once(") = ").unwrap_or((rest, ""));
    let arguments = arguments.strip_prefix('(').unwrap_or(arguments);
    let arguments = [("arguments", json_string(arguments)), ("result", json_string(result))];
    let start = u128::from(record.start.as_nanos());
    track.slice(record.name, start, record.duration.as_nanos(), &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use epollite::Errno;
    use epollite::Instant;
    use epollite::instrument::{Argument, Bytes};
    use epollite::kernel::Syscall;

    #[test]
    fn a_call_is_an_event_with_its_arguments_and_result() {
        let record = SyscallRecord {
            name: "recvfrom",
            call: Some(Syscall::Recv),
            arguments: vec![Argument::Fd(7), Argument::Bytes(Bytes::new(b") = \"\n"))],
            result: Err(Errno::EAGAIN),
            start: Instant::from_nanos(1_002_003),
            duration: Duration::from_nanos(4_005),
        };
        let event = call_event(Track { process: 20, thread: 21 }, &record);
        let start = "{\"name\":\"recvfrom\",\"ph\":\"X\",\"pid\":20,\"tid\":21,\"ts\":1002.003,\
                     \"dur\":4.005,";
        assert!(event.starts_with(start), "{event}");
        let arguments = r#""args":{"arguments":"7, \") = \\\"\\n\"","result":"-1 EAGAIN"#;
        assert!(event.contains(arguments), "{event}");
    }
}
