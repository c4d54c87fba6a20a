//! `SlotQueue`: slots that wait for their turn, in the order in which they came.
//!
//! Knows nothing of what is in the slots.

use super::array::{Array, NoRoom};

/// A queue of small numbers, each of which is in it at most once.
///
/// It is a list through an array with a place for each number, so that it needs no room beyond
/// that. Memory: none before the first `try_push`; then 4 bytes per number.
#[derive(Debug)]
pub(crate) struct SlotQueue<A> {
    /// For each number: the one behind it, [`LAST`], or [`ABSENT`].
    behind: A,
    first: u32,
    last: u32,
    len: u32,
}

const ABSENT: u32 = u32::MAX;
const LAST: u32 = u32::MAX - 1;

impl<A: Array<u32>> SlotQueue<A> {
    /// An empty queue, in `behind`, which is empty. Cost: O(1).
    pub(crate) const fn new(behind: A) -> Self {
        Self { behind, first: LAST, last: LAST, len: 0 }
    }

    /// Adds `slot` at the end, unless it is in the queue. Cost: O(1), amortised over growth.
    pub(crate) fn try_push(&mut self, slot: u32) -> Result<(), NoRoom> {
        if slot >= LAST {
            return Err(NoRoom);
        }
        while self.behind.as_slice().len() <= slot as usize {
            self.behind.try_push(ABSENT).map_err(|_| NoRoom)?;
        }
        let behind = self.behind.as_mut_slice();
        match behind.get_mut(slot as usize) {
            Some(place) if *place == ABSENT => *place = LAST,
            _ => return Ok(()),
        }
        match behind.get_mut(self.last as usize) {
            Some(place) if self.len > 0 => *place = slot,
            _ => self.first = slot,
        }
        self.last = slot;
        self.len += 1;
        Ok(())
    }

    /// The first. Cost: O(1).
    pub(crate) const fn first(&self) -> Option<u32> {
        if self.len == 0 { None } else { Some(self.first) }
    }

    /// Removes the first. Cost: O(1).
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.first()?;
        let place = self.behind.as_mut_slice().get_mut(slot as usize)?;
        self.first = core::mem::replace(place, ABSENT);
        self.len -= 1;
        Some(slot)
    }

    /// How many there are. Cost: O(1).
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none. Cost: O(1).
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::array::LentArray;
    use super::*;

    proptest! {
        #[test]
        fn it_is_a_queue_without_duplicates(
            plan in prop::collection::vec(prop::option::of(0..10_u32), 0..200),
        ) {
            let mut room = [0; 8];
            let mut queue = SlotQueue::new(LentArray::new(&mut room));
            let mut model = VecDeque::new();
            for step in plan {
                match step {
                    None => prop_assert_eq!(queue.pop(), model.pop_front()),
                    Some(slot) if slot < 8 => {
                        prop_assert_eq!(queue.try_push(slot), Ok(()));
                        if !model.contains(&slot) {
                            model.push_back(slot);
                        }
                    }
                    Some(slot) => prop_assert_eq!(queue.try_push(slot), Err(NoRoom)),
                }
                prop_assert_eq!(queue.first(), model.front().copied());
                prop_assert_eq!(queue.len() as usize, model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
