//! Deadlines by key: a binary heap that tracks the position of each key.
//!
//! Knows no clock and no reactor: the current time is an argument.

#[cfg(feature = "alloc")]
use alloc::collections::TryReserveError;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use super::array::{Array, NoRoom};
use crate::instant::Instant;

/// A [`TimerHeapIn`] two `Vec`s.
#[cfg(feature = "alloc")]
pub type TimerHeap = TimerHeapIn<Vec<Deadline>, Vec<u32>>;

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
pub struct TimerHeapIn<H, P> {
    /// A binary min-heap: the children of `i` are `2i + 1` and `2i + 2`.
    heap: H,
    /// The heap position of each key.
    positions: P,
}

/// Ordered by time, then by key: the order of expiry does not depend on history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline {
    at: Instant,
    key: u32,
}

impl Deadline {
    /// To make memory for an array of.
    pub const NONE: Self = Self { at: Instant::MAX, key: NOT_QUEUED };
}

const NOT_QUEUED: u32 = u32::MAX;

#[cfg(feature = "alloc")]
impl TimerHeap {
    /// Creates a heap without deadlines. Cost: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self::within(Vec::new(), Vec::new())
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

    /// Sets or moves the deadline of `key`. Without memory for it the program ends, as in every
    /// collection of `alloc`. Cost: O(log n), amortised over growth.
    pub fn set(&mut self, key: u32, deadline: Instant) {
        let missing = (key as usize + 1).saturating_sub(self.positions.len());
        self.positions.reserve(missing);
        self.heap.reserve(1);
        let _ = self.try_set(key, deadline);
    }
}

impl<H: Array<Deadline>, P: Array<u32>> TimerHeapIn<H, P> {
    /// A heap without deadlines in two arrays, which are empty. Cost: O(1).
    #[must_use]
    pub const fn within(heap: H, positions: P) -> Self {
        Self { heap, positions }
    }

    /// Sets or moves the deadline of `key`. Cost: O(log n), amortised over growth.
    ///
    /// # Errors
    /// [`NoRoom`]: there is no memory for it; no deadline has changed.
    pub fn try_set(&mut self, key: u32, deadline: Instant) -> Result<(), NoRoom> {
        let entry = Deadline { at: deadline, key };
        if let Some(position) = self.position(key) {
            self.sift(position, entry);
            return Ok(());
        }
        while self.positions.as_slice().len() <= key as usize {
            self.positions.try_push(NOT_QUEUED).map_err(|_| NoRoom)?;
        }
        self.heap.try_push(entry).map_err(|_| NoRoom)?;
        self.sift(self.len() - 1, entry);
        Ok(())
    }

    /// Cancels the deadline of `key`. Returns whether there was one. Cost: O(log n).
    pub fn cancel(&mut self, key: u32) -> bool {
        let Some(position) = self.position(key) else { return false };
        self.remove(position);
        true
    }

    /// Removes one key whose deadline is not after `now`, the earliest first.
    /// Cost: O(log n).
    pub fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        let first = *self.heap.as_slice().first()?;
        if first.at > now {
            return None;
        }
        self.remove(0);
        Some(first.key)
    }

    /// The earliest deadline. Cost: O(1).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.heap.as_slice().first().map(|entry| entry.at)
    }

    /// The deadline of `key`. Cost: O(1).
    #[must_use]
    pub fn get(&self, key: u32) -> Option<Instant> {
        let position = self.position(key)?;
        self.heap.as_slice().get(position).map(|entry| entry.at)
    }

    /// How many deadlines are set. Cost: O(1).
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.heap.as_slice().len()
    }

    /// Whether no deadline is set. Cost: O(1).
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heap.as_slice().is_empty()
    }

    fn position(&self, key: u32) -> Option<usize> {
        match self.positions.as_slice().get(key as usize) {
            None | Some(&NOT_QUEUED) => None,
            Some(&position) => Some(position as usize),
        }
    }

    /// Removes the entry at `position`; the last one takes its place.
    fn remove(&mut self, position: usize) {
        let heap = self.heap.as_slice();
        let (Some(removed), Some(&last)) = (heap.get(position), heap.last()) else { return };
        let removed = removed.key;
        self.heap.remove_last();
        if removed != last.key {
            self.sift(position, last);
        }
        if let Some(place) = self.positions.as_mut_slice().get_mut(removed as usize) {
            *place = NOT_QUEUED;
        }
    }

    /// Puts `entry` into the hole at `position`, or where it belongs.
    fn sift(&mut self, position: usize, entry: Deadline) {
        sift(self.heap.as_mut_slice(), self.positions.as_mut_slice(), position, entry);
    }
}

/// Puts `entry` into the hole at `position`, or where it belongs above or below, and updates the
/// positions of all entries that moved. One code for every kind of array.
fn sift(heap: &mut [Deadline], positions: &mut [u32], mut position: usize, entry: Deadline) {
    while let Some(above) = position.checked_sub(1).map(|below| below / 2)
        && let Some(&parent) = heap.get(above)
        && entry < parent
    {
        put(heap, positions, position, parent);
        position = above;
    }
    while let Some((below, child)) = smaller_child(heap, position)
        && child < entry
    {
        put(heap, positions, position, child);
        position = below;
    }
    put(heap, positions, position, entry);
}

fn smaller_child(heap: &[Deadline], position: usize) -> Option<(usize, Deadline)> {
    let left = 2 * position + 1;
    let child = *heap.get(left)?;
    match heap.get(left + 1) {
        Some(&right) if right < child => Some((left + 1, right)),
        _ => Some((left, child)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most one entry for each u32 key")]
fn put(heap: &mut [Deadline], positions: &mut [u32], position: usize, entry: Deadline) {
    if let Some(place) = heap.get_mut(position) {
        *place = entry;
    }
    if let Some(place) = positions.get_mut(entry.key as usize) {
        *place = position as u32;
    }
}

#[cfg(feature = "alloc")]
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
    fn a_deadline_takes_the_memory_of_its_key_once() {
        for key in [0, 4, 100, 1_000] {
            let memory = |timers: &TimerHeap| (timers.heap.capacity(), timers.positions.capacity());
            let (mut reserved, mut fresh) = (TimerHeap::new(), TimerHeap::new());
            reserved.try_reserve(key).unwrap();
            let before = memory(&reserved);
            for timers in [&mut reserved, &mut fresh] {
                timers.set(key, Instant::ZERO);
            }
            assert_eq!(memory(&reserved), before, "what is reserved is not allocated again: {key}");
            assert_eq!(memory(&fresh), before, "it grows once: {key}");
        }
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
