//! `--syscall-summary`: the calls of a run as a table.

use std::fmt::Write as _;

use crate::call::{Call, CallCount, CallTable};

/// A table as `strace -c` prints it, with extra columns for `EAGAIN` and bytes; sorted by time,
/// descending.
#[expect(clippy::cast_precision_loss, reason = "few digits are printed")]
pub(crate) fn format_table(table: &CallTable, echoes: u64) -> String {
    let mut rows: Vec<_> = Call::all().map(|call| (call, table.get(call))).collect();
    rows.retain(|(_, row)| row.calls > 0);
    rows.sort_by_key(|(_, row)| core::cmp::Reverse(row.nanos));
    let mut sum = CallCount::default();
    rows.iter().for_each(|(_, row)| sum.add(row));
    let rule = "------ ---------- ---------- --------- ------- ------- ---------- ------------\n";
    let mut text = format!(
        "% time    seconds usecs/call     calls  EAGAIN  errors bytes/call syscall\n{rule}"
    );
    let line = |row: &CallCount, name: &str| {
        let seconds = row.nanos as f64 / 1e9;
        let share = 100.0 * row.nanos as f64 / (sum.nanos as f64).max(1.0);
        let usecs = seconds * 1e6 / row.calls.max(1) as f64;
        let bytes = row.bytes as f64 / row.calls.max(1) as f64;
        format!(
            "{share:6.2} {seconds:10.6} {usecs:10.1} {:9} {:7} {:7} {bytes:10.1} {name}\n",
            row.calls, row.eagain, row.errors
        )
    };
    for (call, row) in &rows {
        text += &line(row, call.syscall_name());
    }
    text += rule;
    text += &line(&sum, "total");
    let calls_per_echo = if echoes == 0 { 0.0 } else { sum.calls as f64 / echoes as f64 };
    let _ = write!(text, "{echoes} echoes, {calls_per_echo:.2} calls each");
    text
}
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use epollite::instrument::{ReturnValue, SyscallRecord};

    use super::*;

    #[test]
    fn the_table_of_calls_fits_on_a_terminal() {
        let mut table = CallTable::default();
        for call in Call::all() {
            table.count(call, None);
            let (name, call) = (call.syscall_name(), call.syscall());
            let result = Ok(ReturnValue::Number(1 << 20));
            let start = epollite::Instant::ZERO;
            let duration = Duration::from_secs(99);
            table.measure(&SyscallRecord {
                name,
                call,
                arguments: Vec::new(),
                result,
                start,
                duration,
            });
        }
        for line in format_table(&table, 1_000_000).lines() {
            assert!(line.len() <= 80, "{} columns: {line}", line.len());
        }
    }
}
