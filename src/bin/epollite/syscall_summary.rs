//! `--syscall-summary`: the calls of a run as a table.

use std::fmt::Write as _;
use std::time::Duration;

use epollite::Errno;
use epollite::instrument::{ReturnValue, SyscallRecord};
use epollite::kernel::Syscall;

use crate::call::{Call, CallCount};

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
            let (name, call) = (call.syscall_name(), call.syscall());
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
