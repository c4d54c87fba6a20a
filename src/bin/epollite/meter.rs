//! What the program can look into while it serves: how often each call was made, and, when
//! somebody wants to see them, the calls themselves.
//!
//! Two kernels, chosen when the program starts: who asks for no trace runs code that has
//! never heard of one.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use epollite::kernel::Tap;
use epollite::traced::{Argument, Record, Returned};
use epollite::{Call, Counted, Counts, Errno, Kernel, Linux, Traced};

use crate::log;
use crate::sink::{Put, Sink};

/// A kernel that counts, and may write down.
pub(crate) trait Meter: Kernel + Send + 'static {
    /// A fresh one.
    fn fresh() -> Self;

    /// How often each call was made.
    fn counts(&self) -> Counts;

    /// Hands every call that was written down to `see`.
    fn look(&mut self, see: impl FnMut(Record));

    /// Makes a call that no `Kernel` has. It is counted like any other, and where calls are
    /// written down, with the arguments that `show` says.
    fn beside<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, Returned),
    ) -> Result<R, Errno>;
}

impl Meter for Counted<Linux> {
    fn fresh() -> Self {
        Self::over(Linux)
    }

    fn counts(&self) -> Counts {
        self.tap
    }

    fn look(&mut self, _: impl FnMut(Record)) {}

    fn beside<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        _: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, Returned),
    ) -> Result<R, Errno> {
        let result = make();
        self.tap.leave(call, result.as_ref().err().copied());
        result
    }
}

impl Meter for Traced<Counted<Linux>> {
    fn fresh() -> Self {
        Self::over(Counted::over(Linux))
    }

    fn counts(&self) -> Counts {
        self.kernel.tap
    }

    fn look(&mut self, mut see: impl FnMut(Record)) {
        self.take().for_each(&mut see);
    }

    fn beside<R>(
        &mut self,
        call: Call,
        make: impl FnOnce() -> Result<R, Errno>,
        show: impl FnOnce(&Result<R, Errno>) -> (Vec<Argument>, Returned),
    ) -> Result<R, Errno> {
        let start = self.now();
        let result = self.kernel.beside(call, make, |_| (Vec::new(), Returned::Number(0)));
        let duration = self.now() - start;
        let (arguments, returned) = show(&result);
        let outcome = result.as_ref().map(|_| returned).map_err(|errno| *errno);
        self.push(Record { call, arguments, result: outcome, start, duration });
        result
    }
}

/// Where the lines of `--trace` go. Those that find no room are dropped, and counted by all
/// threads and processes together.
#[derive(Clone)]
pub(crate) enum Trace {
    Nowhere,
    Stderr(&'static AtomicU64),
    File(Arc<Sink>, &'static AtomicU64),
}

/// Who makes calls, where several do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Maker {
    Thread(u64),
    Process(u32),
    Porter,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(number) => write!(f, "thread {number}"),
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Porter => f.write_str("porter"),
        }
    }
}

impl Trace {
    /// One line as strace -T prints it, with its maker's number when there are several.
    pub(crate) fn line(&self, maker: Option<Maker>, record: &Record) {
        let mut line = maker.map_or_else(String::new, |maker| format!("[{maker}] "));
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{record:#}");
        let (put, dropped) = match self {
            Self::Nowhere => return,
            Self::Stderr(dropped) => (log::err(&line), dropped),
            Self::File(sink, dropped) => {
                let put = sink.put_now(line.as_bytes());
                (put.map_err(|error| tell_cut(dropped, &error)).ok(), dropped)
            }
        };
        if put == Some(Put::Dropped) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After a fork: what the parent has written in part is not completed here.
    pub(crate) fn forget(&self) {
        log::forget();
        if let Self::File(sink, _) = self {
            sink.forget();
        }
    }

    /// Says how many lines are missing, if any are: at the end, by the one that ends last.
    pub(crate) fn tell_dropped(&self) {
        let (Self::Stderr(dropped) | Self::File(_, dropped)) = self else { return };
        let lines = dropped.load(Ordering::Relaxed) & !TOLD;
        if lines > 0 {
            tell_cut(dropped, &format_args!("{lines} lines were dropped, since nobody read them"));
        }
    }
}

/// Set in the number of dropped lines when somebody has been told: no number gets so far.
const TOLD: u64 = 1 << 63;

/// A full disk is no reason to stop serving; but a trace that is not whole says so, once.
fn tell_cut(dropped: &AtomicU64, why: &dyn fmt::Display) {
    if dropped.fetch_or(TOLD, Ordering::Relaxed) & TOLD == 0 {
        log::err_last(&format!("epollite: the trace is not whole: {why}\n"));
    }
}

/// The sums of `--count`, a row a kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally([Row; Call::ALL.len()]);

#[derive(Clone, Copy, Default, Debug)]
struct Row {
    calls: u64,
    again: u64,
    errors: u64,
    bytes: u64,
    time: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        Self([Row::default(); Call::ALL.len()])
    }
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.again += other.again;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.time += other.time;
    }
}

impl Tally {
    pub(crate) fn see(&mut self, record: &Record) {
        let row = &mut self.0[record.call as usize];
        row.calls += 1;
        row.time += record.duration;
        match record.result {
            Ok(Returned::Number(number)) if moves_bytes(record.call) => row.bytes += number as u64,
            Ok(_) => {}
            Err(Errno::EAGAIN) => row.again += 1,
            Err(_) => row.errors += 1,
        }
    }

    /// Goes through all figures, in an order that is always the same.
    pub(crate) fn each(&mut self, mut visit: impl FnMut(&mut u64)) {
        for Row { calls, again, errors, bytes, time } in &mut self.0 {
            [calls, again, errors, bytes].into_iter().for_each(&mut visit);
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

    /// A table as `strace -c` prints it, with a column for `EAGAIN` and one for bytes; the
    /// most time first.
    #[expect(clippy::cast_precision_loss, reason = "for people, a few digits")]
    pub(crate) fn text(&self, echoes: u64) -> String {
        let mut rows: Vec<(Call, Row)> = Call::ALL.into_iter().zip(self.0).collect();
        rows.retain(|(_, row)| row.calls > 0);
        rows.sort_by_key(|(_, row)| core::cmp::Reverse(row.time));
        let mut sum = Row::default();
        rows.iter().for_each(|(_, row)| sum.add(row));
        let rule =
            "------ ---------- ---------- --------- ------- ------- ---------- ------------\n";
        let mut text = format!(
            "% time    seconds usecs/call     calls  EAGAIN  errors bytes/call syscall\n{rule}"
        );
        let line = |row: &Row, name: &str| {
            let seconds = row.time.as_secs_f64();
            let share = 100.0 * seconds / sum.time.as_secs_f64().max(1e-9);
            let usecs = seconds * 1e6 / row.calls.max(1) as f64;
            let bytes = row.bytes as f64 / row.calls.max(1) as f64;
            format!(
                "{share:6.2} {seconds:10.6} {usecs:10.1} {:9} {:7} {:7} {bytes:10.1} {name}\n",
                row.calls, row.again, row.errors
            )
        };
        for (call, row) in &rows {
            text += &line(row, call.syscall_name());
        }
        text += rule;
        text += &line(&sum, "total");
        let an_echo = if echoes == 0 { 0.0 } else { sum.calls as f64 / echoes as f64 };
        let _ = write!(text, "{echoes} echoes, {an_echo:.2} calls each");
        text
    }
}

/// Whether the call returns a number of bytes.
const fn moves_bytes(call: Call) -> bool {
    matches!(
        call,
        Call::Recv | Call::Send | Call::Recvfrom | Call::Sendto | Call::Read | Call::Write
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_calls_fits_on_a_terminal() {
        let mut tally = Tally::default();
        for call in Call::ALL {
            let result = Ok(Returned::Number(1 << 20));
            let start = epollite::Instant::ZERO;
            let duration = Duration::from_secs(99);
            tally.see(&Record { call, arguments: Vec::new(), result, start, duration });
        }
        for line in tally.text(1_000_000).lines() {
            assert!(line.len() <= 80, "{} columns: {line}", line.len());
        }
    }
}
