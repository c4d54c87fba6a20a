//! The write buffer: echoed bytes that the socket has not taken yet.
//!
//! Knows no socket. It exists so that a connection with nothing buffered costs one pointer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

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
pub struct WriteBuffer(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    /// How many of `bytes` have been consumed.
    consumed: usize,
}

const _: () =
    assert!(size_of::<WriteBuffer>() == size_of::<usize>(), "an empty write buffer is one pointer");

/// The bytes did not fit the bound. None of them was added.
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

    /// Appends `bytes`. Cost: O(`bytes_max`), at most one allocation.
    ///
    /// # Errors
    /// [`BufferFull`]: the buffer would hold more than `bytes_max`; nothing was added.
    pub fn push(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), BufferFull> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.len().saturating_add(bytes.len()) > bytes_max {
            return Err(BufferFull);
        }
        let inner = self.0.get_or_insert_default();
        // Consumed bytes make room first, so that the allocation never exceeds the bound.
        inner.bytes.drain(..core::mem::take(&mut inner.consumed));
        inner.bytes.reserve_exact(bytes.len());
        inner.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Removes the first `count` bytes. With the last one the memory is freed.
    /// Cost: O(1), at most one deallocation.
    ///
    /// # Panics
    /// `count` is more than is buffered.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed {count} bytes of {}", self.len());
        if count == self.len() {
            self.0 = None;
        } else if let Some(inner) = &mut self.0 {
            inner.consumed += count;
        }
    }

    /// All buffered bytes, in order. Cost: O(1).
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |inner| &inner.bytes[inner.consumed..])
    }

    /// How many bytes are buffered. Cost: O(1).
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.bytes.len() - inner.consumed)
    }

    /// Whether nothing is buffered. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes of memory are allocated. Cost: O(1).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.bytes.capacity())
    }
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
