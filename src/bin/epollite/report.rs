//! Statistics as people read them, and as programs do.

use std::fmt::Write as _;

use epollite::server::{datagram, stream};
use epollite::{Call, Counts};

use crate::log::{Log, quoted};
use crate::meter::Tally;

/// What one thread has counted, or all of them together.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Snapshot {
    pub(crate) open: u64,
    pub(crate) stream: stream::Stats,
    pub(crate) datagram: datagram::Stats,
    pub(crate) calls: Counts,
    /// Only with `--count`.
    pub(crate) tally: Option<Tally>,
}

impl Snapshot {
    pub(crate) fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.stream.add(&other.stream);
        self.datagram.add(&other.datagram);
        self.calls.add(&other.calls);
        if let Some(tally) = &other.tally {
            self.tally.get_or_insert_default().add(tally);
        }
    }

    /// Goes through all figures, in an order that is always the same: those of `--count` last.
    pub(crate) fn each(&mut self, mut visit: impl FnMut(&mut u64)) {
        let Self { open, stream: s, datagram: d, calls, tally } = self;
        visit(open);
        [&mut s.accepted, &mut s.closed, &mut s.reset, &mut s.timed_out]
            .into_iter()
            .for_each(&mut visit);
        [&mut s.aborted, &mut s.pauses, &mut s.bytes_in, &mut s.bytes_out]
            .into_iter()
            .for_each(&mut visit);
        [&mut s.echoes, &mut s.useful, &mut s.spurious, &mut s.stale]
            .into_iter()
            .for_each(&mut visit);
        [&mut d.received, &mut d.echoed, &mut d.truncated, &mut d.refused]
            .into_iter()
            .for_each(&mut visit);
        [&mut d.dropped, &mut d.errors, &mut d.bytes_in, &mut d.bytes_out]
            .into_iter()
            .for_each(&mut visit);
        [&mut d.useful, &mut d.spurious].into_iter().for_each(&mut visit);
        for call in Call::ALL {
            let before = calls.row(call);
            let mut row = before;
            row.iter_mut().for_each(&mut visit);
            calls.add_row(call, std::array::from_fn(|at| row[at].wrapping_sub(before[at])));
        }
        if let Some(tally) = tally {
            tally.each(visit);
        }
    }

    pub(crate) fn echoes(&self) -> u64 {
        self.stream.echoes + self.datagram.echoed
    }

    /// All calls ever made, by all echoes ever made: 0 before the first.
    #[expect(clippy::cast_precision_loss, reason = "for people, two digits")]
    fn calls_an_echo(&self) -> f64 {
        match self.echoes() {
            0 => 0.0,
            echoes => self.calls.total() as f64 / echoes as f64,
        }
    }

    fn events(&self) -> (u64, u64, u64) {
        let useful = self.stream.useful + self.datagram.useful;
        let spurious = self.stream.spurious + self.datagram.spurious;
        (useful, spurious, self.stream.stale)
    }

    /// Calls of each kind that was made at all, the most frequent first.
    fn kinds(&self) -> Vec<(Call, u64)> {
        let mut kinds: Vec<_> = Call::ALL
            .into_iter()
            .map(|call| (call, self.calls.calls(call)))
            .filter(|&(_, calls)| calls > 0)
            .collect();
        kinds.sort_by_key(|&(_, calls)| core::cmp::Reverse(calls));
        kinds
    }

    /// The same by the names of the system calls, as `--count` and `--trace` have them: recv and
    /// recvfrom are one. With each how often it said `EAGAIN`, and how often it failed.
    fn system_calls(&self) -> Vec<(&'static str, [u64; 3])> {
        let mut sums: Vec<(&'static str, [u64; 3])> = Vec::new();
        for (call, calls) in self.kinds() {
            let row = [calls, self.calls.would_block(call), self.calls.errors(call)];
            match sums.iter_mut().find(|(name, _)| *name == call.syscall_name()) {
                Some((_, sum)) => sum.iter_mut().zip(row).for_each(|(sum, more)| *sum += more),
                None => sums.push((call.syscall_name(), row)),
            }
        }
        sums.sort_by_key(|&(_, [calls, ..])| core::cmp::Reverse(calls));
        sums
    }

    /// Says it all, and the table of calls where one is kept.
    pub(crate) fn tell(&self, log: &Log) {
        log.result(|| self.text(), || self.json());
        self.tell_calls(log, false);
    }

    /// Says the table of calls, where one is kept; it may be the last thing that is said.
    pub(crate) fn tell_calls(&self, log: &Log, is_last: bool) {
        if let Some(tally) = &self.tally {
            log.table(tally.text(self.echoes()), is_last);
        }
    }

    /// A block of lines for people.
    pub(crate) fn text(&self) -> String {
        let Self { open, stream: s, datagram: d, .. } = self;
        let (useful, spurious, stale) = self.events();
        let mut text = format!(
            "statistics\n\
             connections        open {open}, accepted {}, closed {}, of these reset {}, \
             timed out {}\n\
             bytes              in {}, out {}\n\
             echoes             {}\n\
             datagrams          in {}, out {}, truncated {}, refused {}, dropped {}\n\
             events             useful {useful}, spurious {spurious}, stale {stale}\n\
             syscalls           {}\n",
            s.accepted,
            s.closed,
            s.reset,
            s.timed_out,
            s.bytes_in + d.bytes_in,
            s.bytes_out + d.bytes_out,
            self.echoes(),
            d.received,
            d.echoed,
            d.truncated,
            d.refused,
            d.dropped,
            self.calls.total(),
        );
        for (name, [calls, again, errors]) in self.system_calls() {
            // Writing to a String cannot fail.
            let _ = write!(text, "  {name:<16} {calls}");
            if again > 0 {
                let _ = write!(text, ", EAGAIN {again}");
            }
            if errors > 0 {
                let _ = write!(text, ", errors {errors}");
            }
            text.push('\n');
        }
        let _ = write!(text, "syscalls per echo  {:.2}", self.calls_an_echo());
        text
    }

    /// One line for programs.
    pub(crate) fn json(&self) -> String {
        let Self { open, stream: s, datagram: d, .. } = self;
        let (useful, spurious, stale) = self.events();
        let mut calls = format!("\"total\":{}", self.calls.total());
        for (call, number) in self.kinds() {
            let _ = write!(calls, ",{}:{number}", quoted(call.name()));
        }
        format!(
            "{{\"event\":\"statistics\",\"connections\":{{\"open\":{open},\"accepted\":{},\
             \"closed\":{},\"reset\":{},\"timed_out\":{},\"aborted\":{},\"pauses\":{}}},\
             \"bytes\":{{\"in\":{},\"out\":{}}},\"echoes\":{},\
             \"datagrams\":{{\"in\":{},\"out\":{},\"truncated\":{},\"refused\":{},\
             \"dropped\":{},\"errors\":{}}},\
             \"events\":{{\"useful\":{useful},\"spurious\":{spurious},\"stale\":{stale}}},\
             \"syscalls\":{{{calls}}},\"syscalls_per_echo\":{:.4}}}",
            s.accepted,
            s.closed,
            s.reset,
            s.timed_out,
            s.aborted,
            s.pauses,
            s.bytes_in + d.bytes_in,
            s.bytes_out + d.bytes_out,
            self.echoes(),
            d.received,
            d.echoed,
            d.truncated,
            d.refused,
            d.dropped,
            d.errors,
            self.calls_an_echo(),
        )
    }
}
