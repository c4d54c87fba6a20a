//! Deadlines by key: a binary heap that knows where everyone stands.
//!
//! Knows no clock and no reactor: it is told what time it is.

use alloc::vec::Vec;

use crate::instant::Instant;

/// At most one deadline a key; the earliest can be seen at once, and any can be moved or
/// taken back without leaving a trace.
///
/// Keys are small numbers (slots of a [`Slab`](crate::Slab)). A position is remembered for
/// each, so that `set` on a key that has a deadline moves it, and `cancel` removes it then
/// and there: no tombstones that grow under re-arming.
///
/// Memory: nothing until the first `set`; then 16 bytes a deadline and 4 bytes a key.
///
/// ```
/// # use epollite::{Instant, Timers};
/// let at = Instant::from_nanos;
/// let mut timers = Timers::new();
/// timers.set(1, at(30));
/// timers.set(2, at(20));
/// timers.set(1, at(10));                      // moved, not added
/// assert_eq!(timers.earliest(), Some(at(10)));
/// assert_eq!(timers.expire(at(15)), Some(1));
/// assert_eq!(timers.expire(at(15)), None);
/// ```
#[derive(Debug, Default)]
pub struct Timers {
    /// A binary min-heap: the children of `i` are `2i + 1` and `2i + 2`.
    heap: Vec<Entry>,
    /// Where in the heap each key stands.
    places: Vec<u32>,
}

/// Ordered by time, then by key: who is woken first never depends on history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    deadline: Instant,
    key: u32,
}

const NOWHERE: u32 = u32::MAX;

impl Timers {
    /// No deadlines. Work: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }

    /// Sets or moves the deadline of `key`. Work: O(log n), amortised over growth.
    pub fn set(&mut self, key: u32, deadline: Instant) {
        let index = key as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, NOWHERE);
        }
        let entry = Entry { deadline, key };
        let at = match self.place(key) {
            Some(at) => {
                self.heap[at] = entry;
                at
            }
            None => {
                self.heap.push(entry);
                self.heap.len() - 1
            }
        };
        self.settle(at);
    }

    /// Takes the deadline of `key` back. Returns whether there was one. Work: O(log n).
    pub fn cancel(&mut self, key: u32) -> bool {
        let Some(at) = self.place(key) else { return false };
        self.remove(at);
        true
    }

    /// Takes out one key whose deadline is not after `now`, the earliest first.
    /// Work: O(log n).
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let first = *self.heap.first()?;
        if first.deadline > now {
            return None;
        }
        self.remove(0);
        Some(first.key)
    }

    /// The deadline that comes first. Work: O(1).
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// The deadline of `key`. Work: O(1).
    #[must_use]
    pub fn get(&self, key: u32) -> Option<Instant> {
        self.place(key).map(|at| self.heap[at].deadline)
    }

    /// How many deadlines are set. Work: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no deadline is set. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn place(&self, key: u32) -> Option<usize> {
        match self.places.get(key as usize) {
            None | Some(&NOWHERE) => None,
            Some(&at) => Some(at as usize),
        }
    }

    fn remove(&mut self, at: usize) {
        let gone = self.heap.swap_remove(at);
        self.places[gone.key as usize] = NOWHERE;
        if at < self.heap.len() {
            self.settle(at);
        }
    }

    /// Moves the entry at `at` up or down to where the heap wants it, and writes down the
    /// new place of everyone who had to move.
    fn settle(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at > 0 && entry < self.heap[(at - 1) / 2] {
            self.put(at, self.heap[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        while let Some(child) = self.smaller_child(at) {
            if entry <= self.heap[child] {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, entry);
    }

    fn smaller_child(&self, at: usize) -> Option<usize> {
        let left = self.heap.get(2 * at + 1)?;
        let right = self.heap.get(2 * at + 2);
        Some(2 * at + 1 + usize::from(right.is_some_and(|right| right < left)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most one entry for each u32 key")]
    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.places[entry.key as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rearming_for_ever_leaves_nothing_behind() {
        let mut timers = Timers::new();
        for n in 0..10_000 {
            timers.set(3, Instant::from_nanos(n));
        }
        assert_eq!((timers.len(), timers.get(3)), (1, Some(Instant::from_nanos(9_999))));
        assert!(timers.cancel(3));
        assert!(!timers.cancel(3));
        assert!(timers.is_empty());
    }

    #[test]
    fn equal_deadlines_expire_by_key() {
        let mut timers = Timers::new();
        for key in [5, 1, 4, 2, 3] {
            timers.set(key, Instant::ZERO);
        }
        let order: Vec<u32> = core::iter::from_fn(|| timers.expire(Instant::ZERO)).collect();
        assert_eq!(order, [1, 2, 3, 4, 5]);
    }
}
