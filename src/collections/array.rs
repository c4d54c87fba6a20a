//! `Array`: elements in a row, added at the end: a `Vec`, or memory that the caller lends.
//!
//! Knows nothing of what the elements are.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
#[cfg(feature = "alloc")]
use core::ops::{Range, RangeFrom};

/// Elements in a row. Adding one is an error value when there is no room for it.
pub trait Array<T> {
    /// The elements. Cost: O(1).
    fn as_slice(&self) -> &[T];

    /// The elements, to be changed. Cost: O(1).
    fn as_mut_slice(&mut self) -> &mut [T];

    /// Adds an element at the end. Cost: O(1), amortised over growth.
    ///
    /// # Errors
    /// The element: there is no room, and no memory for more.
    fn try_push(&mut self, element: T) -> Result<(), T>;

    /// Removes the last element, if there is one. Cost: O(1).
    fn remove_last(&mut self);
}

/// The first allocation, in elements: small, since most reactors have few registrations.
#[cfg(any(feature = "alloc", feature = "capi"))]
const INITIAL_CAPACITY: usize = 8;

/// The capacity that follows one that is used up. By half, not by doubling: the bound on bytes per
/// connection holds even when an array has just grown.
#[cfg(any(feature = "alloc", feature = "capi"))]
pub(crate) fn grown(capacity: usize) -> usize {
    capacity.saturating_add((capacity / 2).max(INITIAL_CAPACITY))
}

#[cfg(feature = "alloc")]
impl<T> Array<T> for Vec<T> {
    #[inline]
    fn as_slice(&self) -> &[T] {
        self
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }

    fn try_push(&mut self, element: T) -> Result<(), T> {
        if self.len() == self.capacity() {
            let more = grown(self.capacity()) - self.len();
            if self.try_reserve_exact(more).is_err() {
                return Err(element);
            }
        }
        // Asked again, so that no code for a failed allocation is left.
        if self.len() < self.capacity() {
            self.push(element);
            return Ok(());
        }
        Err(element)
    }

    fn remove_last(&mut self) {
        self.pop();
    }
}

/// Appends bytes to a vector.
///
/// The capacity is asked again after it was reserved, so that no code for a failed allocation is
/// left; and this is the one place that appends where none may be left.
#[cfg(feature = "alloc")]
pub(super) fn try_append(all: &mut Vec<u8>, bytes: &[u8]) -> Result<(), NoRoom> {
    all.try_reserve_exact(bytes.len()).map_err(|_| NoRoom)?;
    if all.capacity() - all.len() < bytes.len() {
        return Err(NoRoom);
    }
    all.extend_from_slice(bytes);
    Ok(())
}

/// There is no memory for another element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// An array in a lent slice, whose length is its capacity.
///
/// What the slice holds beyond the elements is not looked at.
#[derive(Debug)]
pub struct LentArray<'m, T> {
    room: &'m mut [T],
    len: usize,
}

impl<'m, T> LentArray<'m, T> {
    /// No elements yet. Cost: O(1).
    pub const fn new(room: &'m mut [T]) -> Self {
        Self { room, len: 0 }
    }
}

impl<T> Array<T> for LentArray<'_, T> {
    #[inline]
    fn as_slice(&self) -> &[T] {
        self.room.get(..self.len).unwrap_or_default()
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self.room.get_mut(..self.len).unwrap_or_default()
    }

    fn try_push(&mut self, element: T) -> Result<(), T> {
        let Some(place) = self.room.get_mut(self.len) else { return Err(element) };
        *place = element;
        self.len += 1;
        Ok(())
    }

    fn remove_last(&mut self) {
        self.len = self.len.saturating_sub(1);
    }
}

/// `slice[range]`. Out of range, which is a mistake of this crate, it panics; in the library for C
/// it is empty.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn part<T>(slice: &[T], range: Range<usize>) -> &[T] {
    if crate::assertions::ASSERTS { &slice[range] } else { slice.get(range).unwrap_or_default() }
}

/// As [`part`], to be changed.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn part_mut<T>(slice: &mut [T], range: RangeFrom<usize>) -> &mut [T] {
    if crate::assertions::ASSERTS {
        &mut slice[range]
    } else {
        slice.get_mut(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(array: &mut impl Array<u32>, len_max: u32) -> u32 {
        let pushed = (0..len_max).take_while(|n| array.try_push(*n).is_ok()).count();
        u32::try_from(pushed).unwrap()
    }

    #[test]
    fn a_lent_array_is_full_when_its_memory_is_used_up() {
        let mut room = [7; 3];
        let mut array = LentArray::new(&mut room);
        assert!(array.as_slice().is_empty());
        assert_eq!(fill(&mut array, 10), 3);
        assert_eq!(array.try_push(9), Err(9));
        array.remove_last();
        assert_eq!(array.as_slice(), [0, 1]);
        assert_eq!(array.try_push(9), Ok(()));
        assert_eq!(array.as_mut_slice(), [0, 1, 9]);
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn growth_wastes_at_most_a_third() {
        let mut array = Vec::new();
        let (mut capacity, mut times) = (0, 0);
        for n in 0..10_000_u32 {
            array.try_push(n).unwrap();
            assert!(array.capacity() <= array.len() * 3 / 2 + INITIAL_CAPACITY);
            times += u32::from(array.capacity() != capacity);
            capacity = array.capacity();
        }
        assert!(times < 30, "by half each time, not bit by bit: it grew {times} times");
    }
}
