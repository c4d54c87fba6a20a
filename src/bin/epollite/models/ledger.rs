//! Figures that several threads or processes add up: words in memory that all of them share.
//!
//! What a child process counts dies with it, unless it lies in a page that the parent sees too.
//! Each adds what has come on top since it last did, word by word; so whoever is killed takes
//! with it only what it had not yet added.

use std::sync::atomic::{AtomicU64, Ordering};

use epollite::Errno;

use super::sys;
use crate::meter::Tally;
use crate::report::Snapshot;

/// The pages, in one or more parts.
#[derive(Clone)]
pub(super) struct Ledger {
    words: &'static [AtomicU64],
    is_tallied: bool,
}

/// One who adds to a part of a ledger.
pub(crate) struct Account {
    part: &'static [AtomicU64],
    /// What has been added so far.
    added: Vec<u64>,
}

impl Ledger {
    /// For threads of this process, and for those that will be forked from it. Never given back:
    /// there is one a run.
    pub(super) fn new(parts: usize, is_tallied: bool) -> Result<Self, Errno> {
        let words = sys::shared_words(parts * part_words())?;
        Ok(Self { words, is_tallied })
    }

    pub(super) fn account(&self, part: usize) -> Account {
        Account { part: self.slice(part), added: vec![0; part_words()] }
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.words.len() / part_words()
    }

    /// What has been added to one part.
    pub(super) fn part(&self, part: usize) -> Snapshot {
        let tally = self.is_tallied.then(Tally::default);
        let mut snapshot = Snapshot { tally, ..Snapshot::default() };
        let mut words = self.slice(part).iter();
        snapshot.each(|figure| {
            *figure = words.next().map_or(0, |word| word.load(Ordering::Relaxed));
        });
        snapshot
    }

    /// The process that a part belongs to has been killed: what it had open is closed. Nobody
    /// else adds to its part.
    pub(super) fn close_open(&self, part: usize) {
        let mut snapshot = self.part(part);
        snapshot.stream.closed += std::mem::take(&mut snapshot.open);
        let mut words = self.slice(part).iter();
        snapshot.each(|figure| {
            if let Some(word) = words.next() {
                word.store(*figure, Ordering::Relaxed);
            }
        });
    }

    /// What has been added to all.
    pub(super) fn sum(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        (0..self.parts()).for_each(|part| sum.add(&self.part(part)));
        sum
    }

    fn slice(&self, part: usize) -> &'static [AtomicU64] {
        &self.words[part * part_words()..][..part_words()]
    }
}

impl Account {
    /// Adds what `snapshot` has on top of what was added last. Work: O(figures), no allocation.
    pub(crate) fn settle(&mut self, mut snapshot: Snapshot) {
        let mut words = self.part.iter().zip(&mut self.added);
        snapshot.each(|figure| {
            let Some((shared, added)) = words.next() else { return };
            if *figure != *added {
                // Wrapping, so that what is less than before counts down.
                shared.fetch_add(figure.wrapping_sub(*added), Ordering::Relaxed);
                *added = *figure;
            }
        });
    }
}

/// How many figures there are.
fn part_words() -> usize {
    let mut count = 0;
    Snapshot { tally: Some(Tally::default()), ..Snapshot::default() }.each(|_| count += 1);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_have_added_is_their_sum_and_comes_back_as_it_was() {
        let ledger = Ledger::new(2, true).unwrap();
        let mut one = Snapshot { tally: Some(Tally::default()), ..Snapshot::default() };
        let mut next = 0;
        one.each(|figure| {
            next += 1;
            *figure = next;
        });
        let (mut first, mut second) = (ledger.account(1), ledger.account(1));
        first.settle(one);
        first.settle(one);
        second.settle(one);
        let mut expected = 0;
        ledger.part(1).each(|figure| {
            expected += 2;
            assert_eq!(*figure, expected, "law: what is added once is there once");
        });
        first.settle(Snapshot { tally: Some(Tally::default()), ..Snapshot::default() });
        assert_eq!(ledger.sum().open, 1, "law: what is taken back counts down");
    }
}
