//! Buffers that are lent while somebody has something to put in them.
//!
//! Knows memory only.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::num::NonZeroUsize;
use core::ops::Deref;

/// Buffers that are kept for the next who needs one. As many as are lent at once where all is
/// well, and a bound on what a bad hour leaves behind.
const KEPT_MAX: usize = 16;

/// Buffers that nobody has at the moment.
pub(super) struct Pool {
    free: RefCell<Vec<Box<[u8]>>>,
    buffer_bytes: usize,
}

/// Bytes that were received, in a buffer that goes back when this is dropped.
///
/// Drop it when they are done with, before the next wait if that can be: it is what makes an
/// idle client cheap.
pub struct Lent {
    buf: Box<[u8]>,
    len: usize,
    pool: Rc<Pool>,
}

impl Pool {
    pub(super) fn new(buffer_bytes: NonZeroUsize) -> Self {
        let free = RefCell::new(Vec::with_capacity(KEPT_MAX));
        Self { free, buffer_bytes: buffer_bytes.get() }
    }

    pub(super) const fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// A buffer, with nothing in it that counts.
    pub(super) fn take(self: &Rc<Self>) -> Lent {
        let free = self.free.borrow_mut().pop();
        let buf = free.unwrap_or_else(|| vec![0; self.buffer_bytes].into_boxed_slice());
        Lent { buf, len: 0, pool: Rc::clone(self) }
    }
}

impl Lent {
    /// All of the buffer, to be filled.
    pub(super) const fn room(&mut self) -> &mut [u8] {
        &mut self.buf
    }

    /// The first `len` bytes are what counts.
    pub(super) fn filled(mut self, len: usize) -> Self {
        assert!(len <= self.buf.len(), "a kernel brought more bytes than there was room");
        self.len = len;
        self
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = self.pool.free.borrow_mut();
        if free.len() < KEPT_MAX {
            free.push(core::mem::take(&mut self.buf));
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lent").field(&&**self).finish()
    }
}
