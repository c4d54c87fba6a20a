//! Observation of system calls: how often each was made, and, if requested, a record of each call.
//!
//! Two kernel types, selected at the start: without `--trace` and `--syscall-summary` the program
//! runs code that contains no tracing.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use epollite::instrument::Tracer;
use epollite::instrument::{Argument, ReturnValue, SyscallRecord};
use epollite::kernel::{Hooked, Syscall};
use epollite::{Errno, Kernel, Linux};

use crate::call::{Call, CallCount, CallTable};
use crate::log;
use crate::sink::{Put, Sink};

/// A kernel that counts calls, and may record them.
pub(crate) trait InstrumentedKernel: Kernel + Send + 'static {
    /// A new instance with all counts at zero.
    fn new_instance() -> Self;

    /// How often each call was made.
    fn counts(&self) -> CallTable;

    /// Passes each recorded call to `see`.
    fn drain_trace(&mut self, see: impl FnMut(SyscallRecord));

    /// Makes a call that is not part of `Kernel`. It is counted like any other, and if calls are
    /// recorded, with the arguments returned by `show`.
    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno>;
}

/// The kernel that counts its calls.
pub(crate) type CountingKernel = Hooked<Linux, CallTable>;

impl InstrumentedKernel for CountingKernel {
    fn new_instance() -> Self {
        Self::default()
    }

    fn counts(&self) -> CallTable {
        self.hook
    }

    fn drain_trace(&mut self, _: impl FnMut(SyscallRecord)) {}

    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        _: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno> {
        let result = make();
        self.hook.count(call, result.as_ref().err().copied());
        result
    }
}

impl InstrumentedKernel for Tracer<CountingKernel> {
    fn new_instance() -> Self {
        Self::default()
    }

    fn counts(&self) -> CallTable {
        self.kernel.hook
    }

    fn drain_trace(&mut self, mut see: impl FnMut(SyscallRecord)) {
        self.drain().for_each(&mut see);
    }

    fn record_syscall<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, ReturnValue),
    ) -> Result<R, Errno> {
        let start = self.now();
        let result =
            self.kernel.record_syscall(call, make, |_| (Vec::new(), ReturnValue::Number(0)));
        let duration = self.now() - start;
        let (arguments, returned) = show(&result);
        let outcome = result.as_ref().map(|_| returned).map_err(|errno| *errno);
        let name = call.syscall_name();
        let call = if let Call::Kernel(call) = call { Some(call) } else { None };
        self.push(SyscallRecord { name, call, arguments, result: outcome, start, duration });
        result
    }
}

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
                let put = sink.put_now(line.as_bytes());
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

/// The sums of `--syscall-summary`, one row per kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyscallSummary([SummaryRow; Call::COUNT]);

#[derive(Clone, Copy, Default, Debug)]
struct SummaryRow {
    count: CallCount,
    bytes: u64,
    time: Duration,
}

impl Default for SyscallSummary {
    fn default() -> Self {
        Self([SummaryRow::default(); Call::COUNT])
    }
}

impl SummaryRow {
    fn add(&mut self, other: &Self) {
        self.count.add(&other.count);
        self.bytes += other.bytes;
        self.time += other.time;
    }
}

impl SyscallSummary {
    pub(crate) fn record(&mut self, record: &SyscallRecord) {
        let row = &mut self.0[Call::from_record(record).index()];
        row.count.calls += 1;
        row.time += record.duration;
        match record.result {
            Ok(ReturnValue::Number(number)) if record.call.is_some_and(moves_bytes) => {
                row.bytes += number as u64
            }
            Ok(_) => {}
            Err(Errno::EAGAIN) => row.count.eagain += 1,
            Err(_) => row.count.errors += 1,
        }
    }

    /// Visits all counters in a fixed order.
    pub(crate) fn for_each_counter(&mut self, mut visit: impl FnMut(&mut u64)) {
        for SummaryRow { count, bytes, time } in &mut self.0 {
            let CallCount { calls, eagain, errors } = count;
            [calls, eagain, errors, bytes].into_iter().for_each(&mut visit);
            let mut nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            visit(&mut nanos);
            *time = Duration::from_nanos(nanos);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (row, other) in self.0.iter_mut().zip(&other.0) {
            row.add(other);
        }
    }

    /// A table as `strace -c` prints it, with extra columns for `EAGAIN` and bytes; sorted by time,
    /// descending.
    #[expect(clippy::cast_precision_loss, reason = "few digits are printed")]
    pub(crate) fn format_table(&self, echoes: u64) -> String {
        let mut rows: Vec<(Call, SummaryRow)> = Call::all().zip(self.0).collect();
        rows.retain(|(_, row)| row.count.calls > 0);
        rows.sort_by_key(|(_, row)| core::cmp::Reverse(row.time));
        let mut sum = SummaryRow::default();
        rows.iter().for_each(|(_, row)| sum.add(row));
        let rule =
            "------ ---------- ---------- --------- ------- ------- ---------- ------------\n";
        let mut text = format!(
            "% time    seconds usecs/call     calls  EAGAIN  errors bytes/call syscall\n{rule}"
        );
        let line = |row: &SummaryRow, name: &str| {
            let seconds = row.time.as_secs_f64();
            let share = 100.0 * seconds / sum.time.as_secs_f64().max(1e-9);
            let usecs = seconds * 1e6 / row.count.calls.max(1) as f64;
            let bytes = row.bytes as f64 / row.count.calls.max(1) as f64;
            format!(
                "{share:6.2} {seconds:10.6} {usecs:10.1} {:9} {:7} {:7} {bytes:10.1} {name}\n",
                row.count.calls, row.count.eagain, row.count.errors
            )
        };
        for (call, row) in &rows {
            text += &line(row, call.syscall_name());
        }
        text += rule;
        text += &line(&sum, "total");
        let calls_per_echo = if echoes == 0 { 0.0 } else { sum.count.calls as f64 / echoes as f64 };
        let _ = write!(text, "{echoes} echoes, {calls_per_echo:.2} calls each");
        text
    }
}

/// Whether the call returns a number of bytes.
const fn moves_bytes(call: Syscall) -> bool {
    matches!(
        call,
        Syscall::Recv
            | Syscall::Send
            | Syscall::Recvfrom
            | Syscall::Sendto
            | Syscall::Read
            | Syscall::Write
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_calls_fits_on_a_terminal() {
        let mut syscall_summary = SyscallSummary::default();
        for call in Call::all() {
            let name = call.syscall_name();
            let call = if let Call::Kernel(call) = call { Some(call) } else { None };
            let result = Ok(ReturnValue::Number(1 << 20));
            let start = epollite::Instant::ZERO;
            let duration = Duration::from_secs(99);
            syscall_summary.record(&SyscallRecord {
                name,
                call,
                arguments: Vec::new(),
                result,
                start,
                duration,
            });
        }
        for line in syscall_summary.format_table(1_000_000).lines() {
            assert!(line.len() <= 80, "{} columns: {line}", line.len());
        }
    }
}
