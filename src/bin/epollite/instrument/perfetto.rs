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
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use epollite::instrument::SyscallRecord;

use crate::instrument::origin::TraceOrigin;
use crate::instrument::trace_event::Track;
use crate::models::{OPEN_NONBLOCKING, mmap_shared};
use crate::output::json::json_string;
use crate::output::sink::Put;

/// The end of the array, which is overwritten by the next event.
const END: &str = "\n]\n";

/// Attempts to get the lock, yielding between them. A write takes microseconds. A process that was
/// killed while it held the lock never gives it back: the next one that wants it takes it over.
const LOCK_ATTEMPTS: u32 = 10_000;
/// After so many the holder is looked at: more than any write takes if the holder runs.
const ATTEMPTS_BEFORE_LOOK: u32 = 100;

/// No process has the lock.
const FREE: u64 = 0;

/// No more is written: the disk is full, or the file has reached its limit.
const ENDED: u64 = u64::MAX;

/// A trace file.
pub(crate) struct Perfetto {
    file: File,
    /// Shared with child processes: the ID of the one that writes, or [`FREE`].
    lock: &'static AtomicU64,
    /// The process that had the lock all the time when it was wanted last: it is stopped. As long
    /// as it has it, an event is dropped at once.
    stuck: AtomicU64,
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
        let stuck = AtomicU64::new(FREE);
        Ok(Self { file, lock: &shared[0], stuck, position: &shared[1], named })
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
        let Some(is_taken_over) = self.lock() else { return Ok(Put::Dropped) };
        let at = self.position.load(Ordering::Acquire);
        let result = if at == ENDED {
            Ok(Put::Dropped)
        } else {
            // What the last holder wrote and did not finish may be longer than this event.
            let cut = if is_taken_over { self.file.set_len(at) } else { Ok(()) };
            if cut.is_err() {
                self.position.store(ENDED, Ordering::Release);
            }
            cut.and_then(|()| self.append_at(events, at))
        };
        self.lock.store(FREE, Ordering::Release);
        result
    }

    /// Takes the lock; returns whether it was a dead process's, or `None` if a living one keeps it.
    fn lock(&self) -> Option<bool> {
        let own = u64::from(std::process::id());
        for attempt in 1..=LOCK_ATTEMPTS {
            let taken = self.lock.compare_exchange(FREE, own, Ordering::Acquire, Ordering::Relaxed);
            let Err(holder) = taken else {
                self.stuck.store(FREE, Ordering::Relaxed);
                return Some(false);
            };
            if self.stuck.load(Ordering::Relaxed) == holder {
                // A stopped process may be killed, too.
                return self.take_over(holder, own);
            }
            if attempt % ATTEMPTS_BEFORE_LOOK == 0
                && let Some(taken) = self.take_over(holder, own)
            {
                return Some(taken);
            }
            std::thread::yield_now();
        }
        self.stuck.store(self.lock.load(Ordering::Relaxed), Ordering::Relaxed);
        None
    }

    /// Takes the lock from a process that has ended.
    fn take_over(&self, holder: u64, own: u64) -> Option<bool> {
        // One thread at a time is here: a lock with this number is of a dead process that had it.
        let is_dead = holder == own || has_ended(holder);
        let taken = is_dead
            && self
                .lock
                .compare_exchange(holder, own, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        taken.then_some(true)
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

/// Whether a process has ended, waited for or not.
///
/// Man page: proc_pid_stat(5)
fn has_ended(pid: u64) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")),
        // Without /proc, or a descriptor, it is not known.
        Err(error) => error.kind() == ErrorKind::NotFound && Path::new("/proc/self").exists(),
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
    use std::path::PathBuf;
    use std::process::Command;

    use epollite::Errno;
    use epollite::Instant;
    use epollite::instrument::{Argument, Bytes};
    use epollite::kernel::Syscall;

    /// A trace below /tmp, without a name when the test ends.
    fn trace(name: &str) -> (Perfetto, PathBuf) {
        let path = std::env::temp_dir().join(format!("epollite-{}-{name}", std::process::id()));
        (Perfetto::create(&path).unwrap(), path)
    }

    fn record() -> SyscallRecord {
        SyscallRecord {
            name: "close",
            call: Some(Syscall::Close),
            arguments: vec![Argument::Fd(7)],
            result: Err(Errno::EBADF),
            start: Instant::from_nanos(1),
            duration: Duration::from_nanos(1),
        }
    }

    /// It was killed in the middle of a write, and left a part that is longer than the next event.
    #[test]
    fn a_lock_of_a_process_that_was_killed_is_taken_over() {
        for is_reaped in [true, false] {
            let (trace, path) = trace("killed");
            let mut child = Command::new("sleep").arg("60").spawn().unwrap();
            let pid = u64::from(child.id());
            trace.lock.store(pid, Ordering::Relaxed);
            let at = trace.position.load(Ordering::Relaxed);
            trace.file.write_all_at(&[b'x'; 4_096], at).unwrap();
            child.kill().unwrap();
            if is_reaped {
                child.wait().unwrap();
            }
            while !has_ended(pid) {
                std::thread::yield_now();
            }
            assert_eq!(trace.write(None, &record()).unwrap(), Put::Written);
            assert_eq!(trace.lock.load(Ordering::Relaxed), FREE, "invariant: it is given back");
            let text = fs::read_to_string(&path).unwrap();
            fs::remove_file(path).unwrap();
            assert!(text.contains("\"close\"") && text.ends_with(END), "{text}");
            assert!(!text.contains("xxx"), "invariant: what was not finished is cut off: {text}");
            child.wait().unwrap();
        }
    }

    /// The number of a process that was killed is used again, by this one.
    #[test]
    fn a_lock_with_the_number_of_this_process_is_of_a_dead_one() {
        let (trace, path) = trace("reused");
        fs::remove_file(path).unwrap();
        trace.lock.store(u64::from(std::process::id()), Ordering::Relaxed);
        assert_eq!(trace.write(None, &record()).unwrap(), Put::Written);
        assert_eq!(trace.lock.load(Ordering::Relaxed), FREE, "invariant: it is given back");
    }

    /// A stopped process has it: the first event waits for a bounded time, the others not at all.
    #[test]
    fn a_lock_of_a_process_that_lives_is_left_and_each_event_is_dropped() {
        let (trace, path) = trace("alive");
        fs::remove_file(path).unwrap();
        let parent = u64::from(std::os::unix::process::parent_id());
        trace.lock.store(parent, Ordering::Relaxed);
        for _ in 0..100 {
            assert_eq!(trace.write(None, &record()).unwrap(), Put::Dropped);
            assert_eq!(trace.stuck.load(Ordering::Relaxed), parent, "invariant: it is remembered");
        }
        assert_eq!(trace.lock.load(Ordering::Relaxed), parent);
        trace.lock.store(FREE, Ordering::Relaxed);
        assert_eq!(trace.write(None, &record()).unwrap(), Put::Written);
    }

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
