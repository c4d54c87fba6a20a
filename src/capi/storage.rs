//! Memory of C: arrays that grow by realloc(3), or that lie in storage of the caller's.
//!
//! Knows the arrays of a reactor, and nothing of what is in them.

use core::ptr::NonNull;

use crate::collections::{Array, Deadline, Slot, grown};
use crate::errno::Errno;
use crate::kernel::EpollEvent;
use crate::reactor::registration::Registration;
use crate::reactor::storage::{Parts, Storage, StorageOf};

/// Where a reactor of C keeps what it holds. One code for both kinds.
#[derive(Debug)]
pub(super) enum CStorage {}

impl Storage for CStorage {
    type Events = CArray<EpollEvent>;
    type Deadlines = CArray<Deadline>;
    type Numbers = CArray<u32>;
}

impl<T> StorageOf<T> for CStorage {
    type Slots = CArray<Slot<Registration<T>>>;
}

/// What storage of the caller's must be aligned to: `uint64_t` is.
pub(super) const ALIGN: usize = 8;

/// An array. Owns its memory, or lends it from C.
#[derive(Debug)]
pub(super) struct CArray<T> {
    elements: NonNull<T>,
    len: usize,
    capacity: usize,
    is_lent: bool,
}

impl<T> CArray<T> {
    /// Without memory yet; it grows.
    pub(super) const fn growing() -> Self {
        const { assert!(align_of::<T>() <= ALIGN && size_of::<T>() > 0) };
        Self { elements: NonNull::dangling(), len: 0, capacity: 0, is_lent: false }
    }

    /// More memory; `None` if there is none.
    fn grow(&mut self) -> Option<()> {
        if self.is_lent {
            return None;
        }
        let capacity = grown(self.capacity);
        let bytes = capacity.checked_mul(size_of::<T>())?;
        let old =
            if self.capacity == 0 { core::ptr::null_mut() } else { self.elements.as_ptr().cast() };
        // SAFETY: null, or from an earlier call; malloc(3) aligns for every type of C, and `T`
        // needs no more.
        let memory = unsafe { libc::realloc(old, bytes) };
        self.elements = NonNull::new(memory.cast())?;
        self.capacity = capacity;
        Some(())
    }
}

impl<T> Array<T> for CArray<T> {
    #[inline]
    fn as_slice(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialised, and `elements` is aligned.
        unsafe { core::slice::from_raw_parts(self.elements.as_ptr(), self.len) }
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the same, and nothing else has a pointer to them.
        unsafe { core::slice::from_raw_parts_mut(self.elements.as_ptr(), self.len) }
    }

    fn try_push(&mut self, element: T) -> Result<(), T> {
        if self.len == self.capacity && self.grow().is_none() {
            return Err(element);
        }
        // SAFETY: below the capacity.
        let place = unsafe { self.elements.add(self.len) };
        // SAFETY: of the array's memory, aligned, and without a value.
        unsafe { place.write(element) };
        self.len += 1;
        Ok(())
    }

    fn remove_last(&mut self) {
        // Only numbers are removed: nothing to drop.
        const { assert!(!core::mem::needs_drop::<T>()) };
        self.len = self.len.saturating_sub(1);
    }
}

impl<T> Drop for CArray<T> {
    fn drop(&mut self) {
        const { assert!(!core::mem::needs_drop::<T>()) };
        if !self.is_lent && self.capacity > 0 {
            // SAFETY: from realloc(3), and not used after this.
            unsafe { libc::free(self.elements.as_ptr().cast()) };
        }
    }
}

/// Storage of the caller's, from which arrays are taken.
#[derive(Debug)]
pub(super) struct Region {
    at: NonNull<u8>,
    left: usize,
}

impl Region {
    /// `bytes` bytes at `memory`; `EINVAL` if that is null, or not aligned to [`ALIGN`].
    ///
    /// # Safety
    /// A pointer that is not null points to `bytes` bytes that nothing else uses as long as there
    /// is anything of what is taken.
    pub(super) unsafe fn new(memory: *mut u8, bytes: usize) -> Result<Self, Errno> {
        let at = NonNull::new(memory).ok_or(Errno::EINVAL)?;
        let is_aligned = memory.addr().is_multiple_of(ALIGN);
        if is_aligned { Ok(Self { at, left: bytes }) } else { Err(Errno::EINVAL) }
    }

    /// Memory for `count` of `T`; `EINVAL` if it is not there.
    pub(super) fn take<T>(&mut self, count: usize) -> Result<NonNull<T>, Errno> {
        const { assert!(align_of::<T>() <= ALIGN) };
        let bytes = bytes_of::<T>(count).ok_or(Errno::EINVAL)?;
        self.left = self.left.checked_sub(bytes).ok_or(Errno::EINVAL)?;
        let taken = self.at.cast();
        // SAFETY: within the region, or its end.
        self.at = unsafe { self.at.add(bytes) };
        Ok(taken)
    }

    fn array<T>(&mut self, capacity: usize) -> Result<CArray<T>, Errno> {
        Ok(CArray { elements: self.take(capacity)?, len: 0, capacity, is_lent: true })
    }

    /// The arrays of a reactor; `EINVAL` if they do not fit.
    pub(super) fn parts<T>(
        &mut self,
        registrations: usize,
        events: usize,
    ) -> Result<Parts<T, CStorage>, Errno> {
        Ok(Parts {
            slots: self.array(registrations)?,
            events: self.array(events)?,
            deadlines: self.array(registrations)?,
            positions: self.array(registrations)?,
            requeued: self.array(registrations)?,
        })
    }
}

/// The bytes of `count` of `T`, so that whatever follows is aligned.
fn bytes_of<T>(count: usize) -> Option<usize> {
    count.checked_mul(size_of::<T>())?.checked_next_multiple_of(ALIGN)
}

/// The bytes of the arrays of a reactor.
pub(super) fn parts_bytes<T>(registrations: usize, events: usize) -> Option<usize> {
    bytes_of::<Slot<Registration<T>>>(registrations)?
        .checked_add(bytes_of::<EpollEvent>(events)?)?
        .checked_add(bytes_of::<Deadline>(registrations)?)?
        .checked_add(bytes_of::<u32>(registrations)?)?
        .checked_add(bytes_of::<u32>(registrations)?)
}
