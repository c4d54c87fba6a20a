//! Eventfd: a counter that can be waited for.
//!
//! Knows itself only.

use super::world::{FileId, Node, Result, World, bit};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLIN, EPOLLOUT};

/// What the counter may come to by writing.
///
/// Man page: eventfd(2)
const MAX: u64 = u64::MAX - 1;

pub(super) struct Counter(pub(super) u64);

impl Counter {
    /// Reference: fs/eventfd.c: `eventfd_poll`
    pub(super) fn poll(&self) -> u32 {
        let Self(count) = *self;
        bit(count > 0, EPOLLIN) | bit(count == u64::MAX, EPOLLERR) | bit(count < MAX, EPOLLOUT)
    }
}

impl World {
    /// Gives the whole count and sets it to zero.
    ///
    /// Reference: fs/eventfd.c: `eventfd_read`
    pub(super) fn read_counter(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        let Node::Counter(Counter(count)) = &mut self.at(file).node else {
            return Err(Errno::EINVAL);
        };
        let place = buf.first_chunk_mut().ok_or(Errno::EINVAL)?;
        if *count == 0 {
            return Err(Errno::EAGAIN);
        }
        *place = core::mem::take(count).to_ne_bytes();
        self.wake(file, EPOLLOUT);
        Ok(place.len())
    }

    /// Adds. Every write is an edge, whether or not the last was read: a waker needs no read.
    ///
    /// Reference: fs/eventfd.c: `eventfd_write`
    pub(super) fn write_counter(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let Node::Counter(Counter(count)) = &mut self.at(file).node else {
            return Err(Errno::EINVAL);
        };
        let bytes = buf.first_chunk().ok_or(Errno::EINVAL)?;
        let more = u64::from_ne_bytes(*bytes);
        if more == u64::MAX {
            return Err(Errno::EINVAL);
        }
        *count = count.checked_add(more).filter(|sum| *sum <= MAX).ok_or(Errno::EAGAIN)?;
        self.wake(file, EPOLLIN);
        Ok(bytes.len())
    }
}
