//! The bytes that a connection still owes its peer.
//!
//! Knows no socket. It exists so that a connection that owes nothing costs one pointer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A bounded queue of bytes, first in, first out; empty it is eight bytes and no more.
///
/// Memory: nothing until the first byte is owed; given back whole with the last one paid.
///
/// ```
/// # use epollite::Owed;
/// let mut owed = Owed::new();
/// owed.owe(b"hello", 8)?;
/// owed.paid(2);
/// assert_eq!(owed.bytes(), b"llo");
/// assert!(owed.owe(b"123456", 8).is_err());   // 3 + 6 > 8: refused whole
/// # Ok::<(), epollite::TooMuch>(())
/// ```
#[derive(Default)]
pub struct Owed(Option<Box<Queue>>);

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// How many of `bytes` have been paid already.
    paid: usize,
}

const _: () = assert!(size_of::<Owed>() == size_of::<usize>(), "a debtless connection is a word");

/// What was to be owed went over the bound. Nothing of it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more bytes owed than the bound allows")
    }
}

impl core::error::Error for TooMuch {}

impl Owed {
    /// Nothing owed. Work: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds `bytes` to what is owed. Work: O(`bytes_max`), at most one allocation.
    ///
    /// # Errors
    /// [`TooMuch`]: then more than `bytes_max` would be owed; nothing was taken.
    pub fn owe(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), TooMuch> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.len().saturating_add(bytes.len()) > bytes_max {
            return Err(TooMuch);
        }
        let queue = self.0.get_or_insert_default();
        // What is paid makes room first, so that the allocation never outgrows the bound.
        queue.bytes.drain(..core::mem::take(&mut queue.paid));
        queue.bytes.reserve_exact(bytes.len());
        queue.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes the first `count` bytes off. With the last one the memory is given back.
    /// Work: O(1), at most one deallocation.
    ///
    /// # Panics
    /// More was paid than was owed.
    pub fn paid(&mut self, count: usize) {
        assert!(count <= self.len(), "paid {count} bytes of {} owed", self.len());
        if count == self.len() {
            self.0 = None;
        } else if let Some(queue) = &mut self.0 {
            queue.paid += count;
        }
    }

    /// All that is owed, in order. Work: O(1).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |queue| &queue.bytes[queue.paid..])
    }

    /// How many bytes are owed. Work: O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether nothing is owed. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes of memory stand behind it. Work: O(1).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes.capacity())
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owed({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_paid_gives_the_memory_back() {
        let mut owed = Owed::new();
        owed.owe(b"", 0).unwrap();
        assert_eq!(owed.capacity(), 0);
        owed.owe(b"abc", 3).unwrap();
        owed.paid(2);
        owed.owe(b"de", 3).unwrap();
        assert_eq!(owed.bytes(), b"cde");
        assert!(owed.capacity() <= 3);
        owed.paid(3);
        assert_eq!((owed.capacity(), owed.is_empty()), (0, true));
    }

    #[test]
    #[should_panic(expected = "paid 2 bytes of 1 owed")]
    fn overpaying_is_a_broken_promise() {
        let mut owed = Owed::new();
        owed.owe(b"a", 1).unwrap();
        owed.paid(2);
    }
}
