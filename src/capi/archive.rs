//! What a library for C must bring itself, because no Rust program is around it: an allocator, and
//! an end for panics.
//!
//! Compiled with `--cfg epl_staticlib` only: in a Rust program both exist already.

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

/// The C library's memory.
struct Malloc;

#[global_allocator]
static MALLOC: Malloc = Malloc;

/// malloc(3) aligns for every type of C.
const MALLOC_ALIGN: usize = align_of::<libc::max_align_t>();

// SAFETY: each method returns memory of the C library that fits the layout, or null, and frees
// what an earlier call returned; none of them panics.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGN {
            // SAFETY: malloc(3) has no precondition.
            return unsafe { libc::malloc(layout.size()) }.cast();
        }
        // SAFETY: aligned_alloc(3) has none either: it returns null for an alignment that is not a
        // power of two, and this one is.
        unsafe { libc::aligned_alloc(layout.align(), layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: the caller passes what `alloc` or `realloc` returned, once.
        unsafe { libc::free(memory.cast()) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGN {
            // SAFETY: the caller passes what malloc(3) or realloc(3) returned.
            return unsafe { libc::realloc(memory.cast(), new_size) }.cast();
        }
        // SAFETY: the caller guarantees a size that is not zero and fits with its alignment.
        let new =
            unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are valid for the smaller size, and were allocated separately.
            unsafe { new.copy_from_nonoverlapping(memory, layout.size().min(new_size)) };
            // SAFETY: allocated by `alloc`, and not used after this.
            unsafe { libc::free(memory.cast()) };
        }
        new
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: abort(3) has no precondition, and does not return.
    unsafe { libc::abort() }
}
