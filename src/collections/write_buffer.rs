//! The write buffer: echoed bytes that the socket has not taken yet.
//!
//! Knows no socket. It exists so that a connection with nothing buffered costs one pointer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::array::try_append;

/// A bounded FIFO of bytes; eight bytes when empty.
///
/// Memory: allocated with the first byte, freed with the last.
///
/// ```
/// # use epollite::collections::WriteBuffer;
/// let mut buffer = WriteBuffer::new();
/// buffer.push(b"hello", 8)?;
/// buffer.consume(2);
/// assert_eq!(buffer.as_slice(), b"llo");
/// assert!(buffer.push(b"123456", 8).is_err());   // 3 + 6 > 8: nothing is added
/// # Ok::<(), epollite::collections::BufferFull>(())
/// ```
#[derive(Default)]
pub struct WriteBuffer(Option<Box<[Inner; 1]>>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    /// How many of `bytes` have been consumed.
    consumed: usize,
}

const _: () =
    assert!(size_of::<WriteBuffer>() == size_of::<usize>(), "an empty write buffer is one pointer");

/// The bytes did not fit the bound, or there was no memory for them. None of them was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferFull;

impl fmt::Display for BufferFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the write buffer is full")
    }
}

impl core::error::Error for BufferFull {}

impl WriteBuffer {
    /// Creates an empty buffer. Cost: O(1), no allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Appends `bytes`. Cost: O(`bytes_max`), at most two allocations.
    ///
    /// # Errors
    /// [`BufferFull`]: the buffer would hold more than `bytes_max`, or there is no memory for it;
    /// nothing was added.
    pub fn push(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), BufferFull> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = self.len().saturating_add(bytes.len());
        if len > bytes_max {
            return Err(BufferFull);
        }
        // Without the consumed bytes, so that the allocation never exceeds the bound.
        let mut all = Vec::new();
        all.try_reserve_exact(len).map_err(|_| BufferFull)?;
        try_append(&mut all, self.as_slice()).map_err(|_| BufferFull)?;
        try_append(&mut all, bytes).map_err(|_| BufferFull)?;
        let inner = Inner { bytes: all, consumed: 0 };
        match &mut self.0 {
            Some(place) => **place = [inner],
            None => self.0 = Some(boxed(inner)?),
        }
        Ok(())
    }

    /// Removes the first `count` bytes. With the last one the memory is freed.
    /// Cost: O(1), at most one deallocation.
    ///
    /// # Panics
    /// `count` is more than is buffered.
    pub fn consume(&mut self, count: usize) {
        assert!(
            !crate::assertions::ASSERTS || count <= self.len(),
            "consumed {count} bytes of {}",
            self.len()
        );
        if count >= self.len() {
            self.0 = None;
        } else if let Some([inner]) = self.0.as_deref_mut() {
            inner.consumed += count;
        }
    }

    /// All buffered bytes, in order. Cost: O(1).
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self.0.as_deref() {
            Some([inner]) => inner.bytes.get(inner.consumed..).unwrap_or_default(),
            None => &[],
        }
    }

    /// How many bytes are buffered. Cost: O(1).
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_deref().map_or(0, |[inner]| inner.bytes.len() - inner.consumed)
    }

    /// Whether nothing is buffered. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes of memory are allocated. Cost: O(1).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.as_deref().map_or(0, |[inner]| inner.bytes.capacity())
    }
}

/// As `Box::new`, which ends the program when there is no memory. An array of one, because a vector
/// can be turned into its box.
fn boxed(inner: Inner) -> Result<Box<[Inner; 1]>, BufferFull> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| BufferFull)?;
    if one.len() < one.capacity() {
        one.push(inner);
    }
    if one.len() == one.capacity() {
        return one.into_boxed_slice().try_into().map_err(|_| BufferFull);
    }
    Err(BufferFull)
}

impl fmt::Debug for WriteBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteBuffer({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consuming_the_last_byte_frees_the_buffer() {
        let mut buffer = WriteBuffer::new();
        buffer.push(b"", 0).unwrap();
        assert_eq!(buffer.capacity(), 0);
        buffer.push(b"abc", 3).unwrap();
        buffer.consume(2);
        buffer.push(b"de", 3).unwrap();
        assert_eq!(buffer.as_slice(), b"cde");
        assert!(buffer.capacity() <= 3);
        buffer.consume(3);
        assert_eq!((buffer.capacity(), buffer.is_empty()), (0, true));
    }

    #[test]
    #[should_panic(expected = "consumed 2 bytes of 1")]
    fn consuming_too_much_panics() {
        let mut buffer = WriteBuffer::new();
        buffer.push(b"a", 1).unwrap();
        buffer.consume(2);
    }
}
