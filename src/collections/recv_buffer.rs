//! The receive buffer: memory at the offset within a page where the kernel copies fastest.
//!
//! Knows no socket.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};

use super::array::{NoRoom, part, part_mut, try_append};

/// Bytes to receive into and to send from, that begin in the middle of a page of memory.
///
/// The kernel copies the bytes of a socket with one instruction, `rep movsb`. On AMD EPYC it takes
/// up to 2.3 times as long when the destination begins a few bytes after the source, both counted
/// within their pages. A peer's message usually begins at the start of a page, and a large `Vec` 16
/// bytes after one, since the allocator's header comes first: just there. The middle of a page is
/// far from the start and from the end, which is slow to send from.
/// `make alignment` measures this on your machine; the table is in docs/performance.md.
///
/// Memory: its length and one page.
///
/// ```
/// # use epollite::collections::RecvBuffer;
/// let buffer = RecvBuffer::new(64 << 10);
/// assert_eq!(buffer.len(), 64 << 10);
/// assert_eq!(buffer.as_ptr().addr() % 4096, 2048);
/// ```
#[derive(Default)]
pub struct RecvBuffer {
    memory: Vec<u8>,
    start: usize,
}

const PAGE_BYTES: usize = 4096;

impl RecvBuffer {
    /// Where the bytes begin within a page.
    pub const PAGE_OFFSET: usize = PAGE_BYTES / 2;

    /// Creates a buffer of `len` zeros. Cost: one allocation.
    ///
    /// # Panics
    /// The size overflows.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let bytes = len.checked_add(PAGE_BYTES).expect("the buffer size overflows usize");
        Self::within(vec![0; bytes], len)
    }

    /// As [`new`](Self::new), where a lack of memory must not end the program. Cost: one
    /// allocation, and to fill it with zeros.
    ///
    /// # Errors
    /// There is no memory for it, or the size overflows.
    pub fn try_new(len: usize) -> Result<Self, NoRoom> {
        let bytes = len.checked_add(PAGE_BYTES).ok_or(NoRoom)?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(bytes).map_err(|_| NoRoom)?;
        while memory.len() < bytes {
            let zeros = [0; 256];
            let missing = zeros.len().min(bytes - memory.len());
            try_append(&mut memory, zeros.get(..missing).unwrap_or_default())?;
        }
        Ok(Self::within(memory, len))
    }

    /// In `memory` of a page more than `len`.
    fn within(mut memory: Vec<u8>, len: usize) -> Self {
        let to_page = memory.as_ptr().align_offset(PAGE_BYTES);
        let start = (to_page + Self::PAGE_OFFSET) % PAGE_BYTES;
        memory.truncate(start + len);
        Self { memory, start }
    }
}

impl Deref for RecvBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        part(&self.memory, self.start..self.memory.len())
    }
}

impl DerefMut for RecvBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        part_mut(&mut self.memory, self.start..)
    }
}

impl fmt::Debug for RecvBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvBuffer({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_any_length_begins_in_the_middle_of_a_page() {
        for len in [0, 1, 64, 2_047, 2_048, 4_096, 4_097, 65_536, 262_144, 1 << 20] {
            for mut buffer in [RecvBuffer::new(len), RecvBuffer::try_new(len).unwrap()] {
                assert_eq!(buffer.as_ptr().addr() % 4_096, 2_048, "{len}");
                assert_eq!(buffer.len(), len);
                assert!(buffer.iter().all(|byte| *byte == 0));
                assert_eq!(buffer.memory.capacity(), len + 4_096, "its length and one page");
                buffer.fill(7);
            }
        }
        assert_eq!(RecvBuffer::try_new(usize::MAX).unwrap_err(), NoRoom);
        assert_eq!(RecvBuffer::try_new(usize::MAX / 2).unwrap_err(), NoRoom);
    }
}
