//! Counters that several threads or processes add to: words in shared memory.
//!
//! The counters of a child process are lost when it exits, unless they lie in a page shared with
//! the parent. Each writer adds the difference since its last flush, word by word; so a killed
//! process loses only what it had not yet flushed.

use std::sync::atomic::{AtomicU64, Ordering};

use epollite::Errno;

use super::sys;
use crate::stats::StatsSnapshot;

/// The shared words, in one or more parts.
#[derive(Clone)]
pub(super) struct SharedCounters(&'static [AtomicU64]);

/// Adds one context's counters to one part.
pub(crate) struct CounterWriter {
    part: &'static [AtomicU64],
    /// What has been added so far.
    last: Vec<u64>,
}

impl SharedCounters {
    /// Creates counters for threads of this process and for later forked children. Never unmapped:
    /// there is one instance per run.
    pub(super) fn new(parts: usize) -> Result<Self, Errno> {
        sys::mmap_shared(parts * part_words()).map(Self)
    }

    pub(super) fn writer(&self, part: usize) -> CounterWriter {
        CounterWriter { part: self.slice(part), last: vec![0; part_words()] }
    }

    /// The number of parts.
    pub(super) fn part_count(&self) -> usize {
        self.0.len() / part_words()
    }

    /// What has been added to one part.
    pub(super) fn part(&self, part: usize) -> StatsSnapshot {
        let mut snapshot = StatsSnapshot::default();
        let mut words = self.slice(part).iter();
        snapshot.for_each_counter(|counter| {
            *counter = words.next().map_or(0, |word| word.load(Ordering::Relaxed));
        });
        snapshot
    }

    /// Counts the open connections of a part as closed, after its process was killed. No other
    /// writer adds to its part.
    pub(super) fn close_open(&self, part: usize) {
        let mut snapshot = self.part(part);
        snapshot.stream.closed += std::mem::take(&mut snapshot.open);
        let mut words = self.slice(part).iter();
        snapshot.for_each_counter(|counter| {
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
        let mut words = self.part.iter().zip(&mut self.last);
        snapshot.for_each_counter(|counter| {
            let Some((shared, added)) = words.next() else { return };
            if *counter != *added {
                // Wrapping, so that a decrease is subtracted.
                shared.fetch_add(counter.wrapping_sub(*added), Ordering::Relaxed);
                *added = *counter;
            }
        });
    }
}

/// The number of counters.
fn part_words() -> usize {
    let mut count = 0;
    StatsSnapshot::default().for_each_counter(|_| count += 1);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_two_writers_add_up() {
        let counters = SharedCounters::new(2).unwrap();
        let mut one = StatsSnapshot::default();
        let mut next = 0;
        one.for_each_counter(|counter| {
            next += 1;
            *counter = next;
        });
        let (mut first, mut second) = (counters.writer(1), counters.writer(1));
        first.flush(one);
        first.flush(one);
        second.flush(one);
        let mut expected = 0;
        counters.part(1).for_each_counter(|counter| {
            expected += 2;
            assert_eq!(*counter, expected, "each writer's counters are added exactly once");
        });
        first.flush(StatsSnapshot::default());
        assert_eq!(counters.sum().open, 1, "a decrease is subtracted");
    }
}
