//! Counters that several threads or processes add to: words in shared memory.
//!
//! The counters of a child process are lost when it exits, unless they lie in a page shared with
//! the parent. Each writer adds the difference since its last flush, word by word; so a killed
//! process loses only what it had not yet flushed.

use std::sync::atomic::{AtomicU64, Ordering};

use epollite::Errno;
use epollite::kernel::Syscall;
use epollite::server::stream::StreamStats;

use super::sys;
use crate::echo::stats::StatsSnapshot;
use crate::instrument::call::{Call, CallTable};

/// The shared words, in one or more parts.
#[derive(Clone)]
pub(super) struct SharedCounters(&'static [AtomicU64]);

/// Adds one context's counters to one part.
pub(crate) struct CounterWriter {
    part: &'static [AtomicU64],
    /// What has been added so far.
    last: Vec<u64>,
    /// The words of the [`echo_counters`], with what has been added to each; `flush` brings `last`
    /// up to date from here.
    echoes: [(&'static AtomicU64, u64); ECHO_COUNTERS],
    echo_words: [usize; ECHO_COUNTERS],
}

/// The number of counters that an echo changes.
const ECHO_COUNTERS: usize = 7;

/// The counters that an echo changes: of all those of a [`StatsSnapshot`] the only ones.
#[inline]
fn echo_counters(stats: &StreamStats, calls: &CallTable) -> [u64; ECHO_COUNTERS] {
    let [wait, recv, send] = [Syscall::EpollWait, Syscall::Recv, Syscall::Send]
        .map(|call| calls.calls(Call::Kernel(call)));
    let StreamStats { bytes_in, bytes_out, echoes, events_handled, .. } = *stats;
    [bytes_in, bytes_out, echoes, events_handled, wait, recv, send]
}

impl SharedCounters {
    /// Creates counters for threads of this process and for later forked children. Never unmapped:
    /// there is one instance per run.
    pub(super) fn new(parts: usize) -> Result<Self, Errno> {
        sys::mmap_shared(parts * part_words()).map(Self)
    }

    pub(super) fn writer(&self, part: usize) -> CounterWriter {
        let (part, last, echo_words) = (self.slice(part), vec![0; part_words()], echo_words());
        CounterWriter { part, last, echoes: echo_words.map(|word| (&part[word], 0)), echo_words }
    }

    /// The number of parts.
    pub(super) fn part_count(&self) -> usize {
        self.0.len() / part_words()
    }

    /// What has been added to one part.
    pub(super) fn part(&self, part: usize) -> StatsSnapshot {
        let mut snapshot = StatsSnapshot::default();
        let mut words = self.slice(part).iter();
        snapshot.for_each_counter(&mut |counter| {
            *counter = words.next().map_or(0, |word| word.load(Ordering::Relaxed));
        });
        snapshot
    }

    /// Counts the open connections of a part as closed, and their buffers as freed, after its
    /// process was killed. No other writer adds to its part.
    pub(super) fn close_open(&self, part: usize) {
        let mut snapshot = self.part(part);
        snapshot.stream.closed += std::mem::take(&mut snapshot.open);
        snapshot.stream.buffer_bytes = 0;
        let mut words = self.slice(part).iter();
        snapshot.for_each_counter(&mut |counter| {
            if let Some(word) = words.next() {
                word.store(*counter, Ordering::Relaxed);
            }
        });
    }

    /// The sum of all parts.
    pub(super) fn sum(&self) -> StatsSnapshot {
        let mut sum = StatsSnapshot::default();
        (0..self.part_count()).for_each(|part| sum.add(&self.part(part)));
        sum
    }

    fn slice(&self, part: usize) -> &'static [AtomicU64] {
        &self.0[part * part_words()..][..part_words()]
    }
}

impl CounterWriter {
    /// Adds the difference between `snapshot` and the last flush. Cost: O(counters), no allocation.
    pub(crate) fn flush(&mut self, mut snapshot: StatsSnapshot) {
        self.flush_echoes(&snapshot.stream, &snapshot.calls);
        for (word, (_, added)) in self.echo_words.into_iter().zip(self.echoes) {
            self.last[word] = added;
        }
        let mut words = self.part.iter().zip(&mut self.last);
        snapshot.for_each_counter(&mut |counter| {
            let Some((shared, added)) = words.next() else { return };
            if *counter != *added {
                // Wrapping, so that a decrease is subtracted.
                shared.fetch_add(counter.wrapping_sub(*added), Ordering::Relaxed);
                *added = *counter;
            }
        });
    }

    /// The same for the counters that an echo changes, whatever the others are. Cost: O(1).
    #[inline]
    pub(crate) fn flush_echoes(&mut self, stats: &StreamStats, calls: &CallTable) {
        let counters = echo_counters(stats, calls);
        for ((shared, added), counter) in self.echoes.iter_mut().zip(counters) {
            shared.fetch_add(counter.wrapping_sub(*added), Ordering::Relaxed);
            *added = counter;
        }
    }
}

/// The number of counters.
fn part_words() -> usize {
    let mut count = 0;
    StatsSnapshot::default().for_each_counter(&mut |_| count += 1);
    count
}

/// Which words are the [`echo_counters`]: numbers all words, and looks which numbers these have.
fn echo_words() -> [usize; ECHO_COUNTERS] {
    let (mut numbered, mut next) = (StatsSnapshot::default(), 0);
    numbered.for_each_counter(&mut |counter| {
        *counter = next;
        next += 1;
    });
    echo_counters(&numbered.stream, &numbered.calls)
        .map(|word| usize::try_from(word).expect("there are few counters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_echo_changes_is_added_once_by_either_flush() {
        let counters = SharedCounters::new(1).unwrap();
        let (mut writer, mut snapshot) = (counters.writer(0), StatsSnapshot::default());
        for round in 1..=3 {
            snapshot.stream.bytes_in += 5;
            snapshot.stream.bytes_out += 4;
            snapshot.stream.echoes += 1;
            snapshot.stream.events_handled += 1;
            for call in [Syscall::EpollWait, Syscall::Recv, Syscall::Send] {
                snapshot.calls.count(Call::Kernel(call), None);
            }
            writer.flush_echoes(&snapshot.stream, &snapshot.calls);
            let mut words = Vec::new();
            snapshot.for_each_counter(&mut |counter| words.push(*counter));
            let mut shared = Vec::new();
            counters.part(0).for_each_counter(&mut |counter| shared.push(*counter));
            assert_eq!(shared, words, "an echo changes no other counter");
            if round == 2 {
                writer.flush(snapshot);
            }
        }
    }

    #[test]
    fn the_parts_of_two_writers_add_up() {
        let counters = SharedCounters::new(2).unwrap();
        let mut one = StatsSnapshot::default();
        let mut next = 0;
        one.for_each_counter(&mut |counter| {
            next += 1;
            *counter = next;
        });
        let (mut first, mut second) = (counters.writer(1), counters.writer(1));
        first.flush(one);
        first.flush(one);
        second.flush(one);
        let mut expected = 0;
        counters.part(1).for_each_counter(&mut |counter| {
            expected += 2;
            assert_eq!(*counter, expected, "each writer's counters are added exactly once");
        });
        first.flush(StatsSnapshot::default());
        assert_eq!(counters.sum().open, 1, "a decrease is subtracted");
    }
}
