//! Deadlines by key: a binary heap that tracks the position of each key.
//!
//! Knows no clock and no reactor: the current time is an argument.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use crate::instant::Instant;

/// At most one deadline per key; the earliest is available at once, and any can be moved or
/// cancelled without leaving a trace.
///
/// Keys are small numbers (slots of a [`Slab`](crate::collections::Slab)). The heap position of
/// each is stored, so that `set` on a key that has a deadline moves it, and `cancel` removes it
/// immediately: no tombstones accumulate under re-arming.
///
/// Memory: none before the first `set`; then 16 bytes per deadline and 4 bytes per key.
///
/// ```
/// # use epollite::Instant;
/// # use epollite::collections::TimerHeap;
/// let at = Instant::from_nanos;
/// let mut timers = TimerHeap::new();
/// timers.set(1, at(30));
/// timers.set(2, at(20));
/// timers.set(1, at(10));                      // moved, not added
/// assert_eq!(timers.next_deadline(), Some(at(10)));
/// assert_eq!(timers.pop_expired(at(15)), Some(1));
/// assert_eq!(timers.pop_expired(at(15)), None);
/// ```
#[derive(Debug, Default)]
pub struct TimerHeap {
    /// A binary min-heap: the children of `i` are `2i + 1` and `2i + 2`.
    heap: Vec<Entry>,
    /// The heap position of each key.
    positions: Vec<u32>,
}

/// Ordered by time, then by key: the order of expiry does not depend on history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    deadline: Instant,
    key: u32,
}

const NOT_QUEUED: u32 = u32::MAX;

impl TimerHeap {
    /// Creates a heap without deadlines. Cost: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: Vec::new(), positions: Vec::new() }
    }

    /// Makes room, so that [`set`](Self::set) of `key` does not allocate before another key is set.
    /// Cost: O(1), amortised over growth.
    ///
    /// # Errors
    /// There is no memory for it; nothing has changed.
    pub fn try_reserve(&mut self, key: u32) -> Result<(), TryReserveError> {
        let missing = (key as usize + 1).saturating_sub(self.positions.len());
        self.positions.try_reserve(missing)?;
        self.heap.try_reserve(1)
    }

    /// Sets or moves the deadline of `key`. Cost: O(log n), amortised over growth.
    pub fn set(&mut self, key: u32, deadline: Instant) {
        let index = key as usize;
        if index >= self.positions.len() {
            self.positions.resize(index + 1, NOT_QUEUED);
        }
        let entry = Entry { deadline, key };
        let index = match self.position(key) {
            Some(index) => {
                self.heap[index] = entry;
                index
            }
            None => {
                self.heap.push(entry);
                self.heap.len() - 1
            }
        };
        self.sift(index);
    }

    /// Cancels the deadline of `key`. Returns whether there was one. Cost: O(log n).
    pub fn cancel(&mut self, key: u32) -> bool {
        let Some(index) = self.position(key) else { return false };
        self.remove(index);
        true
    }

    /// Removes one key whose deadline is not after `now`, the earliest first.
    /// Cost: O(log n).
    pub fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        let first = *self.heap.first()?;
        if first.deadline > now {
            return None;
        }
        self.remove(0);
        Some(first.key)
    }

    /// The earliest deadline. Cost: O(1).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.deadline)
    }

    /// The deadline of `key`. Cost: O(1).
    #[must_use]
    pub fn get(&self, key: u32) -> Option<Instant> {
        self.position(key).map(|index| self.heap[index].deadline)
    }

    /// How many deadlines are set. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no deadline is set. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn position(&self, key: u32) -> Option<usize> {
        match self.positions.get(key as usize) {
            None | Some(&NOT_QUEUED) => None,
            Some(&index) => Some(index as usize),
        }
    }

    fn remove(&mut self, index: usize) {
        let removed = self.heap.swap_remove(index);
        self.positions[removed.key as usize] = NOT_QUEUED;
        if index < self.heap.len() {
            self.sift(index);
        }
    }

    /// Moves the entry at `index` up or down to its place in the heap, and updates the positions
    /// of all entries that moved.
    fn sift(&mut self, mut index: usize) {
        let entry = self.heap[index];
        while index > 0 && entry < self.heap[(index - 1) / 2] {
            self.set_at(index, self.heap[(index - 1) / 2]);
            index = (index - 1) / 2;
        }
        while let Some(child) = self.smaller_child(index) {
            if entry <= self.heap[child] {
                break;
            }
            self.set_at(index, self.heap[child]);
            index = child;
        }
        self.set_at(index, entry);
    }

    fn smaller_child(&self, index: usize) -> Option<usize> {
        let left = self.heap.get(2 * index + 1)?;
        let right = self.heap.get(2 * index + 2);
        Some(2 * index + 1 + usize::from(right.is_some_and(|right| right < left)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most one entry for each u32 key")]
    fn set_at(&mut self, index: usize, entry: Entry) {
        self.heap[index] = entry;
        self.positions[entry.key as usize] = index as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rearming_leaves_no_tombstones() {
        let mut timers = TimerHeap::new();
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
        let mut timers = TimerHeap::new();
        for key in [5, 1, 4, 2, 3] {
            timers.set(key, Instant::ZERO);
        }
        let order: Vec<u32> = core::iter::from_fn(|| timers.pop_expired(Instant::ZERO)).collect();
        assert_eq!(order, [1, 2, 3, 4, 5]);
    }
}
