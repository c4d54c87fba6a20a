//! A generational slab: values in slots, named by tokens that never name a stranger.
//!
//! Knows nothing of descriptors; it is where a stale token ends.

use alloc::vec::Vec;
use core::fmt;

use crate::token::Token;

/// Values in numbered slots. A slot is reused, a [`Token`] is not.
///
/// Every slot counts generations; a token holds the generation it was made in, so that a
/// token outliving its value finds nobody. A slot that has spent its last generation retires:
/// it is never used again, rather than begin anew and alias a token of long ago. (With 32
/// bits that takes four thousand million reuses of one slot.)
///
/// Memory: one `T` and at most 8 bytes more a slot, rounded up to the alignment of `T`;
/// nothing until the first insert; grown by half, so that at most a third stands unused.
/// Slots are given out last in, first out: the one freed last is the warmest.
///
/// ```
/// # use epollite::Slab;
/// let mut slab = Slab::new(2);
/// let ann = slab.insert("Ann").unwrap();
/// assert_eq!(slab.remove(ann), Some("Ann"));
/// let bob = slab.insert("Bob").unwrap();
/// assert_eq!(bob.slot(), ann.slot());       // the same slot
/// assert_eq!(slab.get(ann), None);          // but the old token names nobody
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
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Taken(T),
    Free { next: u32 },
}

/// Ends the list of free slots. It is no slot's number: the slab never grows that far.
const NONE: u32 = u32::MAX;

/// A slab's first allocation, in slots: small, since most reactors watch a handful.
const FIRST_SLOTS: usize = 8;

/// The slab was full: here is the value back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full<T>(pub T);

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the slab is full")
    }
}

impl<T: fmt::Debug> core::error::Error for Full<T> {}

impl<T> Slab<T> {
    /// Bytes that one slot takes.
    pub const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// A slab that will hold at most `len_max` values at once. Work: O(1), no allocation.
    #[must_use]
    pub const fn new(len_max: u32) -> Self {
        Self::with_generations(len_max, u32::MAX)
    }

    /// As [`new`](Self::new), with slots that retire after generation `generation_max`.
    /// For tests of what happens then: the real bound cannot be reached in one. Work: O(1), no
    /// allocation.
    #[must_use]
    pub const fn with_generations(len_max: u32, generation_max: u32) -> Self {
        Self { slots: Vec::new(), free: NONE, len: 0, len_max, generation_max, retired: 0 }
    }

    /// Puts `value` in a slot and names it. Work: O(1), amortised over growth.
    ///
    /// # Errors
    /// [`Full`], with the value: `len_max` are here already, or no slot number is left.
    pub fn insert(&mut self, value: T) -> Result<Token, Full<T>> {
        if self.len == self.len_max {
            return Err(Full(value));
        }
        if self.free != NONE {
            let slot = self.free;
            let place = &mut self.slots[slot as usize];
            let Content::Free { next } = place.content else {
                unreachable!("the list of free slots holds free slots only")
            };
            self.free = next;
            place.content = Content::Taken(value);
            self.len += 1;
            return Ok(Token::new(slot, place.generation));
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(NONE);
        if slot == NONE {
            return Err(Full(value));
        }
        self.grow();
        self.slots.push(Slot { generation: 0, content: Content::Taken(value) });
        self.len += 1;
        Ok(Token::new(slot, 0))
    }

    /// Takes the value that `token` names out; from now on it names nobody. Work: O(1).
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let place = &mut self.slots[token.slot() as usize];
        let spent = place.generation == self.generation_max;
        let next = if spent { NONE } else { self.free };
        let Content::Taken(value) = core::mem::replace(&mut place.content, Content::Free { next })
        else {
            unreachable!("a token that was found names a taken slot")
        };
        self.len -= 1;
        if spent {
            self.retired += 1;
        } else {
            place.generation += 1;
            self.free = token.slot();
        }
        Some(value)
    }

    /// The value that `token` names. Work: O(1).
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.get_mut(token.slot() as usize) {
            Some(Slot { generation, content: Content::Taken(value) })
                if *generation == token.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The value that `token` names. Work: O(1).
    #[must_use]
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slots.get(token.slot() as usize) {
            Some(Slot { generation, content: Content::Taken(value) })
                if *generation == token.generation() =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// The token of the value that lives in `slot` now. Work: O(1).
    #[must_use]
    pub fn token_at(&self, slot: u32) -> Option<Token> {
        match self.slots.get(slot as usize) {
            Some(Slot { generation, content: Content::Taken(_) }) => {
                Some(Token::new(slot, *generation))
            }
            _ => None,
        }
    }

    /// One more than the highest slot ever used: `0..slots()` walks them all. Work: O(1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "insert stops at u32::MAX slots")]
    pub const fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many values are here. Work: O(1).
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether no value is here. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many values may be here at once. Work: O(1).
    #[must_use]
    pub const fn len_max(&self) -> u32 {
        self.len_max
    }

    /// How many slots have spent their generations. Work: O(1).
    #[must_use]
    pub const fn retired(&self) -> u32 {
        self.retired
    }

    /// By half, not by doubling: the bound on bytes a connection is kept even when the slab
    /// has just grown.
    fn grow(&mut self) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 2).max(FIRST_SLOTS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_names_nobody() {
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
        assert_eq!(slab.insert("out"), Err(Full("out")));
    }

    #[test]
    fn a_slot_out_of_generations_retires() {
        let mut slab = Slab::with_generations(1, 3);
        let mut seen = Vec::new();
        for n in 0..9 {
            let token = slab.insert(n).unwrap();
            assert!(!seen.contains(&token), "{token} was given out twice");
            seen.push(token);
            slab.remove(token);
        }
        assert_eq!((slab.slots(), slab.retired()), (3, 2));
    }

    #[test]
    fn growth_leaves_at_most_a_third_unused() {
        let mut slab = Slab::new(u32::MAX - 1);
        let (mut capacity, mut grown) = (0, 0);
        for n in 0..10_000u32 {
            slab.insert(n).unwrap();
            assert!(slab.slots.capacity() <= slab.slots.len() * 3 / 2 + FIRST_SLOTS);
            grown += u32::from(slab.slots.capacity() != capacity);
            capacity = slab.slots.capacity();
        }
        assert!(grown < 30, "by half each time, not bit by bit: it grew {grown} times");
    }
}
