//! A pool of receive buffers, each in use only while it holds data.
//!
//! Knows memory only.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::num::NonZeroUsize;
use core::ops::Deref;

use crate::collections::RecvBuffer;

/// Free buffers that are kept. As many as are in use at once in normal operation, and a bound on
/// the memory that remains after a peak.
const FREE_BUFFERS_MAX: usize = 16;

/// Buffers not in use.
pub(super) struct BufferPool {
    free: RefCell<Vec<RecvBuffer>>,
    buffer_bytes: usize,
}

/// Received bytes, in a buffer that returns to the pool when this is dropped.
///
/// Drop it when the bytes have been processed, if possible before the next wait: this keeps the
/// memory of an idle client small.
pub struct PooledBuf {
    buf: RecvBuffer,
    len: usize,
    pool: Rc<BufferPool>,
}

impl BufferPool {
    pub(super) fn new(buffer_bytes: NonZeroUsize) -> Self {
        let free = RefCell::new(Vec::with_capacity(FREE_BUFFERS_MAX));
        Self { free, buffer_bytes: buffer_bytes.get() }
    }

    pub(super) const fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Takes a buffer with no valid bytes.
    pub(super) fn take(self: &Rc<Self>) -> PooledBuf {
        let free = self.free.borrow_mut().pop();
        let buf = free.unwrap_or_else(|| RecvBuffer::new(self.buffer_bytes));
        PooledBuf { buf, len: 0, pool: Rc::clone(self) }
    }
}

impl PooledBuf {
    /// The whole buffer, to be filled.
    #[inline]
    pub(super) fn spare_capacity_mut(&mut self) -> &mut [u8] {
        &mut self.buf
    }

    /// Declares the first `len` bytes valid.
    #[inline]
    pub(super) fn with_len(mut self, len: usize) -> Self {
        assert!(len <= self.buf.len(), "a kernel returned more bytes than fit the buffer");
        self.len = len;
        self
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        let mut free = self.pool.free.borrow_mut();
        if free.len() < FREE_BUFFERS_MAX {
            free.push(core::mem::take(&mut self.buf));
        }
    }
}

impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledBuf").field(&&**self).finish()
    }
}
