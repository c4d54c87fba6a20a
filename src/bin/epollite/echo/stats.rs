//! Statistics as text and as JSON, and the table of `--syscall-summary`.

use std::fmt::Write as _;

use epollite::server::datagram::DatagramStats;
use epollite::server::stream::StreamStats;

use crate::instrument::call::{Call, CallCount, CallTable};
use crate::output::json::json_string;
use crate::output::log::Log;
use crate::small_map::sort_few;

/// The statistics of one thread, or the sum of all threads.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct StatsSnapshot {
    pub(crate) open: u64,
    /// Slots of the reactors' slabs, and deadlines that are set. Other models have neither.
    pub(crate) slots: u64,
    pub(crate) deadlines: u64,
    pub(crate) stream: StreamStats,
    pub(crate) datagram: DatagramStats,
    pub(crate) calls: CallTable,
}

impl StatsSnapshot {
    /// Not inlined: hundreds of numbers are added.
    #[inline(never)]
    pub(crate) fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.slots += other.slots;
        self.deadlines += other.deadlines;
        self.stream.add(&other.stream);
        self.datagram.add(&other.datagram);
        self.calls.add(&other.calls);
    }

    /// Visits all counters in a fixed order.
    pub(crate) fn for_each_counter(&mut self, visit: &mut dyn FnMut(&mut u64)) {
        let Self { open, slots, deadlines, stream: s, datagram: d, calls } = self;
        [open, slots, deadlines].into_iter().for_each(&mut *visit);
        [&mut s.accepted, &mut s.closed, &mut s.reset, &mut s.timed_out]
            .into_iter()
            .for_each(&mut *visit);
        [&mut s.refused_not_allowed, &mut s.refused_connections, &mut s.refused_rate]
            .into_iter()
            .for_each(&mut *visit);
        [&mut s.buffer_waits, &mut s.buffer_bytes].into_iter().for_each(&mut *visit);
        [&mut s.aborted, &mut s.accept_pauses, &mut s.bytes_in, &mut s.bytes_out]
            .into_iter()
            .for_each(&mut *visit);
        [&mut s.echoes, &mut s.events_handled, &mut s.events_spurious, &mut s.events_stale]
            .into_iter()
            .for_each(&mut *visit);
        [&mut d.received, &mut d.echoed, &mut d.truncated, &mut d.refused]
            .into_iter()
            .for_each(&mut *visit);
        [&mut d.not_allowed, &mut d.over_rate].into_iter().for_each(&mut *visit);
        [&mut d.dropped, &mut d.errors, &mut d.bytes_in, &mut d.bytes_out]
            .into_iter()
            .for_each(&mut *visit);
        [&mut d.events_handled, &mut d.events_spurious].into_iter().for_each(&mut *visit);
        calls.for_each_counter(visit);
    }

    pub(crate) fn echoes(&self) -> u64 {
        self.stream.echoes + self.datagram.echoed
    }

    fn bytes(&self) -> (u64, u64) {
        let Self { stream, datagram, .. } = self;
        (stream.bytes_in + datagram.bytes_in, stream.bytes_out + datagram.bytes_out)
    }

    pub(crate) fn events(&self) -> (u64, u64, u64) {
        let handled = self.stream.events_handled + self.datagram.events_handled;
        let spurious = self.stream.events_spurious + self.datagram.events_spurious;
        (handled, spurious, self.stream.events_stale)
    }

    /// The number of calls by kind, without unused kinds, the most frequent first.
    fn kinds(&self) -> Vec<(Call, CallCount)> {
        let mut kinds = self.calls.made();
        sort_few(&mut kinds, |(_, count)| core::cmp::Reverse(count.calls));
        kinds
    }

    /// The same by system call name, as in `--syscall-summary` and `--trace`: recv and recvfrom are
    /// one.
    pub(crate) fn system_calls(&self) -> Vec<(&'static str, CallCount)> {
        let mut sums: Vec<(&'static str, CallCount)> = Vec::new();
        for (call, count) in self.kinds() {
            match sums.iter_mut().find(|(name, _)| *name == call.syscall_name()) {
                Some((_, sum)) => sum.add(&count),
                None => sums.push((call.syscall_name(), count)),
            }
        }
        sort_few(&mut sums, |(_, count)| core::cmp::Reverse(count.calls));
        sums
    }

    /// Prints the statistics, and the table of calls if it is enabled.
    pub(crate) fn print(&self, log: &Log) {
        log.print_result(|| self.text(), || self.json());
        self.print_syscalls(log, false);
    }

    /// Prints the table of calls, if enabled; `is_last` when it is the final output.
    pub(crate) fn print_syscalls(&self, log: &Log, is_last: bool) {
        if log.syscall_summary {
            log.print_table(format_table(&self.calls, self.echoes()), is_last);
        }
    }

    /// Several lines of text.
    pub(crate) fn text(&self) -> String {
        let Self { open, stream, datagram, .. } = self;
        let StreamStats { accepted, closed, reset, timed_out, .. } = stream;
        let StreamStats { refused_not_allowed, refused_connections, refused_rate, .. } = stream;
        let StreamStats { buffer_waits, buffer_bytes, .. } = stream;
        let DatagramStats { received, echoed, truncated, refused, dropped, .. } = datagram;
        let DatagramStats { not_allowed, over_rate, .. } = datagram;
        let (handled, spurious, stale) = self.events();
        let (bytes_in, bytes_out) = self.bytes();
        let (echoes, calls) = (self.echoes(), self.calls.total());
        let mut text = format!(
            "statistics\n\
             connections        open {open}, accepted {accepted}, closed {closed}, of these reset \
             {reset}, timed out {timed_out}\n\
             refused            not allowed {refused_not_allowed}, too many {refused_connections}, \
             too often {refused_rate}\n\
             bytes              in {bytes_in}, out {bytes_out}\n\
             buffers            bytes {buffer_bytes}, waits {buffer_waits}\n\
             echoes             {echoes}\n\
             datagrams          in {received}, out {echoed}, truncated {truncated}, refused \
             {refused}, not allowed {not_allowed}, too often {over_rate}, dropped {dropped}\n\
             events             handled {handled}, spurious {spurious}, stale {stale}\n\
             syscalls           {calls}\n"
        );
        for (name, CallCount { calls, eagain, errors, .. }) in self.system_calls() {
            // Writing to a String cannot fail.
            let _ = write!(text, "  {name:<16} {calls}");
            if eagain > 0 {
                let _ = write!(text, ", EAGAIN {eagain}");
            }
            if errors > 0 {
                let _ = write!(text, ", errors {errors}");
            }
            text.push('\n');
        }
        let _ = write!(text, "syscalls per echo  {:.2}", self.calls.per_echo(echoes));
        text
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        let Self { open, stream, datagram, .. } = self;
        let StreamStats { accepted, closed, reset, timed_out, aborted, accept_pauses, .. } = stream;
        let StreamStats { refused_not_allowed, refused_connections, refused_rate, .. } = stream;
        let StreamStats { buffer_waits, buffer_bytes, .. } = stream;
        let DatagramStats { received, echoed, truncated, refused, dropped, errors, .. } = datagram;
        let DatagramStats { not_allowed, over_rate, .. } = datagram;
        let (handled, spurious, stale) = self.events();
        let (bytes_in, bytes_out) = self.bytes();
        let echoes = self.echoes();
        let calls_per_echo = self.calls.per_echo(echoes);
        let mut calls = format!("\"total\":{}", self.calls.total());
        // Several calls of the kernel's interface may have one name in C.
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for (call, count) in self.kinds() {
            match sums.iter_mut().find(|(name, _)| *name == call.name()) {
                Some((_, sum)) => *sum += count.calls,
                None => sums.push((call.name(), count.calls)),
            }
        }
        for (name, count) in sums {
            let _ = write!(calls, ",{}:{count}", json_string(name));
        }
        format!(
            "{{\"event\":\"statistics\",\
             \"connections\":{{\"open\":{open},\"accepted\":{accepted},\"closed\":{closed},\
             \"reset\":{reset},\"timed_out\":{timed_out},\"aborted\":{aborted},\
             \"pauses\":{accept_pauses}}},\
             \"refused\":{{\"not_allowed\":{refused_not_allowed},\
             \"connections\":{refused_connections},\"rate\":{refused_rate}}},\
             \"buffers\":{{\"bytes\":{buffer_bytes},\"waits\":{buffer_waits}}},\
             \"bytes\":{{\"in\":{bytes_in},\"out\":{bytes_out}}},\"echoes\":{echoes},\
             \"datagrams\":{{\"in\":{received},\"out\":{echoed},\"truncated\":{truncated},\
             \"refused\":{refused},\"not_allowed\":{not_allowed},\"over_rate\":{over_rate},\
             \"dropped\":{dropped},\"errors\":{errors}}},\
             \"events\":{{\"handled\":{handled},\"spurious\":{spurious},\"stale\":{stale}}},\
             \"syscalls\":{{{calls}}},\"syscalls_per_echo\":{calls_per_echo:.4}}}"
        )
    }
}

/// A table as `strace -c` prints it, with extra columns for `EAGAIN` and bytes; sorted by time,
/// descending.
#[expect(clippy::cast_precision_loss, reason = "few digits are printed")]
fn format_table(table: &CallTable, echoes: u64) -> String {
    let mut rows = table.made();
    sort_few(&mut rows, |(_, row)| core::cmp::Reverse(row.nanos));
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
    let _ = write!(text, "{echoes} echoes, {:.2} calls each", table.per_echo(echoes));
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
