//! Pointers of C as references and slices, and results as numbers.
//!
//! Every pointer that is not null is trusted to point to what the header says; that is the
//! contract of each function with its C caller.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::NonNull;

use crate::errno::Errno;

/// A result as C sees it: a number that is not negative, or a negative errno.
pub(super) fn status(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|errno| -errno.number())
}

/// The same for a call that returns nothing.
pub(super) fn done(result: Result<(), Errno>) -> c_int {
    status(result.map(|()| 0))
}

/// The same for a count.
pub(super) fn count(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(count) => isize::try_from(count).unwrap_or(isize::MAX),
        Err(errno) => isize::try_from(-errno.number()).unwrap_or(-1),
    }
}

/// What C lends; `EINVAL` for a null pointer.
///
/// # Safety
/// A pointer that is not null points to a live `T` that does not change during `'a`.
pub(super) unsafe fn shared<'a, T>(pointer: *const T) -> Result<&'a T, Errno> {
    // SAFETY: not dereferenced when null; otherwise as the caller has promised.
    unsafe { pointer.as_ref() }.ok_or(Errno::EINVAL)
}

/// Stores a result at `place`; `EINVAL` for a null pointer.
///
/// # Safety
/// A pointer that is not null may be written to, and is aligned.
pub(super) unsafe fn store<T>(place: *mut T, value: T) -> Result<(), Errno> {
    if place.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and writable, as the caller has promised. What was there is not dropped.
    unsafe { place.write(value) };
    Ok(())
}

/// `len` elements; none needs no pointer.
///
/// # Safety
/// A pointer that is not null points to `len` elements that do not change during `'a`.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], Errno> {
    check_slice(pointer, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, `len` elements, as the caller has promised, and not over the limit.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// The same, to be written to.
///
/// # Safety
/// A pointer that is not null points to `len` initialised elements that nothing else uses during
/// `'a`.
pub(super) unsafe fn slice_mut<'a, T>(pointer: *mut T, len: usize) -> Result<&'a mut [T], Errno> {
    check_slice(pointer, len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, `len` elements, as the caller has promised, and not over the limit.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
}

/// No memory is as large as what is refused here: a negative number that became a length.
fn check_slice<T>(pointer: *const T, len: usize) -> Result<(), Errno> {
    let bytes = len.checked_mul(size_of::<T>());
    let is_possible = bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if (pointer.is_null() && len > 0) || !is_possible { Err(Errno::EINVAL) } else { Ok(()) }
}

/// The bytes of a text; `EINVAL` for a null pointer.
///
/// # Safety
/// A pointer that is not null points to bytes up to a zero byte, which do not change during `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a [u8], Errno> {
    if pointer.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and it ends with a zero byte, as the caller has promised.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// Memory of malloc(3) for a handle, without a value yet; `ENOMEM` if there is none.
pub(super) fn allocate<T>() -> Result<NonNull<T>, Errno> {
    const { assert!(size_of::<T>() > 0 && align_of::<T>() <= align_of::<libc::max_align_t>()) };
    // SAFETY: malloc(3) has no precondition.
    let memory = unsafe { libc::malloc(size_of::<T>()) };
    NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)
}

/// The same with a value.
pub(super) fn allocated<T>(value: T) -> Result<*mut T, Errno> {
    let memory = allocate()?;
    // SAFETY: just allocated, for a `T`.
    unsafe { memory.write(value) };
    Ok(memory.as_ptr())
}

/// Frees the memory of a handle that has no value.
///
/// # Safety
/// It is from [`allocate`], and nothing uses it after this.
pub(super) unsafe fn free<T>(memory: NonNull<T>) {
    // SAFETY: from malloc(3), as the caller has promised.
    unsafe { libc::free(memory.as_ptr().cast()) };
}

/// Ends the value of a handle, and frees its memory unless that is the caller's.
///
/// # Safety
/// `handle` points to a value that nothing uses after this; its memory is from [`allocate`]
/// unless `is_lent`.
pub(super) unsafe fn destroy<T>(handle: *mut T, is_lent: bool) {
    // SAFETY: a value that is not used after this, as the caller has promised.
    unsafe { handle.drop_in_place() };
    if !is_lent {
        // SAFETY: from malloc(3), as the caller has promised.
        unsafe { libc::free(handle.cast()) };
    }
}
