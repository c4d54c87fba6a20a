//! A generational slab: values in slots, identified by tokens that are never reused.
//!
//! Knows nothing of descriptors; it is where a stale token is detected.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::fmt;

use crate::token::Token;

/// Values in numbered slots. A slot is reused, a [`Token`] is not.
///
/// Every slot counts generations; a token holds the generation it was created in, so that a
/// token that outlives its value finds none. A slot that has used its last generation retires:
/// it is never used again, because wrapping around would alias an old token. (With 32 bits
/// that takes four thousand million reuses of one slot.)
///
/// Memory: one `T` and at most 8 bytes more per slot, rounded up to the alignment of `T`;
/// none before the first insert; grown by half, so that at most a third is unused.
/// Slots are reused last in, first out: the one freed last is most likely in the cache.
///
/// ```
/// # use epollite::collections::Slab;
/// let mut slab = Slab::new(2);
/// let ann = slab.insert("Ann").unwrap();
/// assert_eq!(slab.remove(ann), Some("Ann"));
/// let bob = slab.insert("Bob").unwrap();
/// assert_eq!(bob.slot(), ann.slot());       // the same slot
/// assert_eq!(slab.get(ann), None);          // but the old token is stale
/// ```
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: u32,
    len_max: u32,
    generation_max: u32,
    retired: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Entry<T>,
}

#[derive(Debug)]
enum Entry<T> {
    Occupied(T),
    Vacant { next: u32 },
}

/// The end of the free list. It is not a valid slot number: the slab never grows that far.
const END_OF_FREE_LIST: u32 = u32::MAX;

/// A slab's first allocation, in slots: small, since most reactors have few registrations.
const INITIAL_CAPACITY: usize = 8;

/// The slab was full, or could not grow: the value is returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlabFull<T>(pub T);

impl<T> fmt::Display for SlabFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the slab is full")
    }
}

impl<T: fmt::Debug> core::error::Error for SlabFull<T> {}

impl<T> Slab<T> {
    /// Bytes that one slot takes.
    pub const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// Creates a slab for at most `len_max` values. Cost: O(1), no allocation.
    #[must_use]
    pub const fn new(len_max: u32) -> Self {
        Self::with_max_generation(len_max, u32::MAX)
    }

    /// As [`new`](Self::new), with slots that retire after generation `generation_max`.
    /// For tests of retirement: the real bound cannot be reached in one. Cost: O(1), no
    /// allocation.
    #[must_use]
    pub const fn with_max_generation(len_max: u32, generation_max: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: END_OF_FREE_LIST,
            len: 0,
            len_max,
            generation_max,
            retired: 0,
        }
    }

    /// Puts `value` in a slot and returns its token. Cost: O(1), amortised over growth.
    ///
    /// # Errors
    /// [`SlabFull`], with the value: there are `len_max` already, or no slot number is left, or no
    /// memory.
    pub fn insert(&mut self, value: T) -> Result<Token, SlabFull<T>> {
        if self.len == self.len_max {
            return Err(SlabFull(value));
        }
        if self.free != END_OF_FREE_LIST {
            let slot = self.free;
            let entry_slot = &mut self.slots[slot as usize];
            let Entry::Vacant { next } = entry_slot.entry else {
                unreachable!("the list of free slots holds free slots only")
            };
            self.free = next;
            entry_slot.entry = Entry::Occupied(value);
            self.len += 1;
            return Ok(Token::new(slot, entry_slot.generation));
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(END_OF_FREE_LIST);
        if slot == END_OF_FREE_LIST {
            return Err(SlabFull(value));
        }
        if self.grow().is_err() {
            return Err(SlabFull(value));
        }
        self.slots.push(Slot { generation: 0, entry: Entry::Occupied(value) });
        self.len += 1;
        Ok(Token::new(slot, 0))
    }

    /// Removes the value of `token`, which is stale from now on. Cost: O(1).
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let entry_slot = &mut self.slots[token.slot() as usize];
        let spent = entry_slot.generation == self.generation_max;
        let next = if spent { END_OF_FREE_LIST } else { self.free };
        let Entry::Occupied(value) =
            core::mem::replace(&mut entry_slot.entry, Entry::Vacant { next })
        else {
            unreachable!("a token that was found refers to an occupied slot")
        };
        self.len -= 1;
        if spent {
            self.retired += 1;
        } else {
            entry_slot.generation += 1;
            self.free = token.slot();
        }
        Some(value)
    }

    /// The value of `token`. Cost: O(1).
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.get_mut(token.slot() as usize) {
            Some(Slot { generation, entry: Entry::Occupied(value) })
                if *generation == token.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value of `token`. Cost: O(1).
    #[must_use]
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slots.get(token.slot() as usize) {
            Some(Slot { generation, entry: Entry::Occupied(value) })
                if *generation == token.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The token of the value that is in `slot` now. Cost: O(1).
    #[must_use]
    pub fn token_at(&self, slot: u32) -> Option<Token> {
        match self.slots.get(slot as usize) {
            Some(Slot { generation, entry: Entry::Occupied(_) }) => {
                Some(Token::new(slot, *generation))
            }
            _ => None,
        }
    }

    /// One more than the highest slot ever used: `0..slot_count()` covers them all. Cost: O(1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "insert stops at u32::MAX slots")]
    pub const fn slot_count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many values it holds. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it holds no value. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many values fit. Cost: O(1).
    #[must_use]
    pub const fn len_max(&self) -> u32 {
        self.len_max
    }

    /// How many slots have retired. Cost: O(1).
    #[must_use]
    pub const fn retired(&self) -> u32 {
        self.retired
    }

    /// By half, not by doubling: the bound on bytes per connection holds even when the slab
    /// has just grown.
    fn grow(&mut self) -> Result<(), TryReserveError> {
        if self.slots.len() < self.slots.capacity() {
            return Ok(());
        }
        self.slots.try_reserve_exact((self.slots.len() / 2).max(INITIAL_CAPACITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_resolves_to_none() {
        let mut slab = Slab::new(4);
        let old = slab.insert(1).unwrap();
        slab.remove(old);
        let new = slab.insert(2).unwrap();
        assert_eq!(old.slot(), new.slot());
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&2));
    }

    #[test]
    fn full_is_a_value() {
        let mut slab = Slab::new(1);
        slab.insert("in").unwrap();
        assert_eq!(slab.insert("out"), Err(SlabFull("out")));
    }

    #[test]
    fn a_slot_out_of_generations_retires() {
        let mut slab = Slab::with_max_generation(1, 3);
        let mut seen = Vec::new();
        for n in 0..9 {
            let token = slab.insert(n).unwrap();
            assert!(!seen.contains(&token), "{token} was given out twice");
            seen.push(token);
            slab.remove(token);
        }
        assert_eq!((slab.slot_count(), slab.retired()), (3, 2));
    }

    #[test]
    fn growth_wastes_at_most_a_third() {
        let mut slab = Slab::new(u32::MAX - 1);
        let (mut capacity, mut grown) = (0, 0);
        for n in 0..10_000u32 {
            slab.insert(n).unwrap();
            assert!(slab.slots.capacity() <= slab.slots.len() * 3 / 2 + INITIAL_CAPACITY);
            grown += u32::from(slab.slots.capacity() != capacity);
            capacity = slab.slots.capacity();
        }
        assert!(grown < 30, "by half each time, not bit by bit: it grew {grown} times");
    }
}
