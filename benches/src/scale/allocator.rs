//! Counts the bytes that each thread has allocated and not freed: how much a value holds is the
//! difference before and after, exact to the byte. It allocates nothing itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and a count.
struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

thread_local! {
    /// Constant and without a destructor: an allocator may use it at any time.
    static LIVE_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The bytes that this thread has allocated and not freed; modulo 2^64, since it may free what
/// another thread has allocated.
pub(super) fn live_bytes() -> usize {
    LIVE_BYTES.get()
}

fn count(allocated: usize, freed: usize) {
    LIVE_BYTES.set(LIVE_BYTES.get().wrapping_add(allocated).wrapping_sub(freed));
}

// SAFETY: every method passes its arguments to the system's allocator unchanged, and returns what
// that returned; counting touches a number of this thread only.
#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are those that it asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_holds_is_counted_to_the_byte() {
        let before = live_bytes();
        let mut bytes: Vec<u8> = Vec::with_capacity(1_000);
        assert_eq!(live_bytes() - before, 1_000);
        bytes.reserve_exact(5_000);
        assert_eq!(live_bytes() - before, 5_000);
        drop(bytes);
        assert_eq!(live_bytes(), before);
    }
}
