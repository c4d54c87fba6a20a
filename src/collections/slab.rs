//! A generational slab: values in slots, identified by tokens that are never reused.
//!
//! Knows nothing of descriptors; it is where a stale token is detected.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use super::array::Array;
use crate::token::Token;

/// A [`SlabIn`] a `Vec`.
#[cfg(feature = "alloc")]
pub type Slab<T> = SlabIn<T, Vec<Slot<T>>>;

/// Values in numbered slots. A slot is reused, a [`Token`] is not.
///
/// Every slot counts generations; a token holds the generation it was created in, so that a
/// token that outlives its value finds none. A slot that has used its last generation retires:
/// it is never used again, because wrapping around would alias an old token. (With 32 bits
/// that takes four thousand million reuses of one slot.)
///
/// Memory: one `T` and at most 8 bytes more per slot, rounded up to the alignment of `T`;
/// none before the first insert; a `Vec` grows by half, so that at most a third is unused.
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
pub struct SlabIn<T, A> {
    slots: A,
    free: u32,
    len: u32,
    len_max: u32,
    generation_max: u32,
    retired: u32,
    values: PhantomData<T>,
}

/// A place for a value of a [`SlabIn`].
#[derive(Debug)]
pub struct Slot<T> {
    generation: u32,
    entry: Entry<T>,
}

impl<T> Slot<T> {
    /// Without a value, to make memory for an array of. Such memory belongs to one slab at a time.
    pub const VACANT: Self =
        Self { generation: 0, entry: Entry::Vacant { next: END_OF_FREE_LIST } };
}

#[derive(Debug)]
enum Entry<T> {
    Occupied(T),
    Vacant { next: u32 },
}

/// The end of the free list. It is not a valid slot number: the slab never grows that far.
const END_OF_FREE_LIST: u32 = u32::MAX;

/// The slab was full, or could not grow: the value is returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlabFull<T>(pub T);

impl<T> fmt::Display for SlabFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the slab is full")
    }
}

impl<T: fmt::Debug> core::error::Error for SlabFull<T> {}

/// A slot that is free, with the token that its value will have.
pub(crate) struct Vacancy<'s, T> {
    slot: &'s mut Slot<T>,
    free: &'s mut u32,
    len: &'s mut u32,
    token: Token,
}

impl<T> Vacancy<'_, T> {
    /// The token of the value, once there is one. Cost: O(1).
    pub(crate) const fn token(&self) -> Token {
        self.token
    }

    /// Puts the value in. Cost: O(1).
    pub(crate) fn fill(self, value: T) -> Token {
        if let Entry::Vacant { next } =
            core::mem::replace(&mut self.slot.entry, Entry::Occupied(value))
        {
            *self.free = next;
        }
        *self.len += 1;
        self.token
    }
}

#[cfg(feature = "alloc")]
impl<T> Slab<T> {
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
        Self::with_generations(Vec::new(), len_max, generation_max)
    }
}

impl<T, A> SlabIn<T, A> {
    /// Bytes that one slot takes.
    pub const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// Creates a slab for at most `len_max` values in `slots`, which is empty. Cost: O(1).
    #[must_use]
    pub const fn within(slots: A, len_max: u32) -> Self {
        Self::with_generations(slots, len_max, u32::MAX)
    }

    const fn with_generations(slots: A, len_max: u32, generation_max: u32) -> Self {
        let (free, values) = (END_OF_FREE_LIST, PhantomData);
        Self { slots, free, len: 0, len_max, generation_max, retired: 0, values }
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
}

impl<T, A: Array<Slot<T>>> SlabIn<T, A> {
    /// Puts `value` in a slot and returns its token. Cost: O(1), amortised over growth.
    ///
    /// # Errors
    /// [`SlabFull`], with the value: there are `len_max` already, or no slot number is left, or no
    /// memory.
    pub fn insert(&mut self, value: T) -> Result<Token, SlabFull<T>> {
        match self.vacancy() {
            Some(vacancy) => Ok(vacancy.fill(value)),
            None => Err(SlabFull(value)),
        }
    }

    /// A free slot, for a value that is known later; `None` if there are `len_max` values already,
    /// or no slot number is left, or no memory. Cost: O(1), amortised over growth.
    #[inline]
    pub(crate) fn vacancy(&mut self) -> Option<Vacancy<'_, T>> {
        if self.len == self.len_max {
            return None;
        }
        if self.free == END_OF_FREE_LIST {
            self.grow()?;
        }
        let slot = self.slots.as_mut_slice().get_mut(self.free as usize)?;
        let token = Token::new(self.free, slot.generation);
        Some(Vacancy { slot, free: &mut self.free, len: &mut self.len, token })
    }

    /// Adds a slot, when none is free.
    #[inline(never)]
    fn grow(&mut self) -> Option<()> {
        let slot = u32::try_from(self.slots.as_slice().len()).ok()?;
        if slot == END_OF_FREE_LIST || self.slots.try_push(Slot::VACANT).is_err() {
            return None;
        }
        self.free = slot;
        Some(())
    }

    /// Removes the value of `token`, which is stale from now on. Cost: O(1).
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.slots.as_mut_slice().get_mut(token.slot() as usize)?;
        let is_spent = slot.generation == self.generation_max;
        let next = if is_spent { END_OF_FREE_LIST } else { self.free };
        if slot.generation != token.generation() || !matches!(slot.entry, Entry::Occupied(_)) {
            return None;
        }
        let entry = core::mem::replace(&mut slot.entry, Entry::Vacant { next });
        let Entry::Occupied(value) = entry else { return None };
        self.len -= 1;
        if is_spent {
            self.retired += 1;
        } else {
            slot.generation += 1;
            self.free = token.slot();
        }
        Some(value)
    }

    /// The value of `token`. Cost: O(1).
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.as_mut_slice().get_mut(token.slot() as usize) {
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
        match self.slots.as_slice().get(token.slot() as usize) {
            Some(Slot { generation, entry: Entry::Occupied(value) })
                if *generation == token.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value that is in `slot` now. Cost: O(1).
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.as_slice().get(slot as usize) {
            Some(Slot { entry: Entry::Occupied(value), .. }) => Some(value),
            _ => None,
        }
    }

    /// The token of the value that is in `slot` now. Cost: O(1).
    #[must_use]
    pub fn token_at(&self, slot: u32) -> Option<Token> {
        match self.slots.as_slice().get(slot as usize) {
            Some(Slot { generation, entry: Entry::Occupied(_) }) => {
                Some(Token::new(slot, *generation))
            }
            _ => None,
        }
    }

    /// One more than the highest slot ever used: `0..slot_count()` covers them all. Cost: O(1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "insert stops at u32::MAX slots")]
    pub fn slot_count(&self) -> u32 {
        self.slots.as_slice().len() as u32
    }
}

#[cfg(feature = "alloc")]
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
    fn lent_slots_are_used_again_and_no_token_is() {
        let mut room = [const { Slot::VACANT }; 2];
        let mut slab = SlabIn::within(super::super::LentArray::new(&mut room), u32::MAX);
        let (one, two) = (slab.insert(1).unwrap(), slab.insert(2).unwrap());
        assert_eq!(slab.insert(3), Err(SlabFull(3)));
        assert_eq!(slab.remove(one), Some(1));
        let three = slab.insert(3).unwrap();
        assert!(three.slot() == one.slot() && three != one);
        assert_eq!((slab.get(one), slab.get(two), slab.get(three)), (None, Some(&2), Some(&3)));
    }
}
