//! Pointers of C as references and slices, and results as numbers.
//!
//! Every pointer that is not null is trusted to point to what the header says; that is the
//! contract of each function with its C caller.

use alloc::alloc::alloc;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Write};

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
/// A pointer that is not null points to `len` elements that does not change during `'a`.
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

/// A text; `EINVAL` for a null pointer, and for one that is not UTF-8.
///
/// # Safety
/// A pointer that is not null points to bytes up to a zero byte, which do not change during `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Errno> {
    if pointer.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and it ends with a zero byte, as the caller has promised.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Errno::EINVAL)
}

/// Writes `value` with a zero byte at the end; returns its length without that. `ERANGE` if there
/// is no room: what fits is there, and ends with a zero byte.
pub(super) fn write_text(room: &mut [u8], value: &dyn fmt::Display) -> Result<usize, Errno> {
    let mut text = Text { room, len: 0 };
    let written = write!(text, "{value}");
    let len = text.len;
    if let Some(end) = text.room.get_mut(len) {
        *end = 0;
    }
    if written.is_ok() { Ok(len) } else { Err(Errno::ERANGE) }
}

/// A text in a buffer of C, with room for the zero byte.
struct Text<'t> {
    room: &'t mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.len + 1 >= self.room.len() {
                return Err(fmt::Error);
            }
            let Some(place) = self.room.get_mut(self.len) else { return Err(fmt::Error) };
            *place = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// A handle for C; `ENOMEM` if there is no memory for it.
pub(super) fn boxed<T>(value: T) -> Result<*mut T, Errno> {
    const { assert!(size_of::<T>() > 0) };
    let layout = Layout::new::<T>();
    // SAFETY: the layout is not of size zero, as asserted.
    let memory = unsafe { alloc(layout) }.cast::<T>();
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: just allocated, for a `T`.
    unsafe { memory.write(value) };
    Ok(memory)
}

/// Takes a handle back; `None` for a null pointer.
///
/// # Safety
/// A pointer that is not null is from [`boxed`], and is not used after this.
pub(super) unsafe fn unboxed<T>(handle: *mut T) -> Option<Box<T>> {
    if handle.is_null() {
        return None;
    }
    // SAFETY: allocated with the layout of a `T` by the global allocator, as `Box` requires.
    Some(unsafe { Box::from_raw(handle) })
}
