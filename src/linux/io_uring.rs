//! io_uring: a ring for one request, which does nothing.
//!
//! The memory that it shares with the kernel is mapped for a call, and only for that.
//!
//! Man page: io_uring(7), io_uring_setup(2)

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};

use super::Linux;
use super::result::{check_count, check_fd, check_ok};
use crate::errno::Errno;
use crate::kernel::{Fd, Kernel};

/// Places in the submission queue.
const ENTRIES: u32 = 1;
const PAGE_BYTES: usize = 4_096;
/// `struct io_uring_params`, in numbers of 32 bits: linux/io_uring.h.
const PARAMS: usize = 30;
/// Where in it the offset of the queue's tail is: `sq_off.tail`.
const TAIL: usize = 11;

pub(super) fn setup() -> Result<Fd, Errno> {
    setup_with(&mut [0; PARAMS])
}

fn setup_with(params: &mut [u32; PARAMS]) -> Result<Fd, Errno> {
    let (number, into) = (libc::SYS_io_uring_setup, params.as_mut_ptr());
    // SAFETY: io_uring_setup(2) reads and writes 120 bytes at `into`, an array of as many that is
    // borrowed exclusively until it returns. The C library has no wrapper. The descriptor is
    // close-on-exec.
    let fd = unsafe { libc::syscall(number, ENTRIES, into) };
    check_fd(i32::try_from(fd).unwrap_or(-1))
}

/// Puts a request into the queue: the entry is all zeros, and that is `IORING_OP_NOP`.
pub(super) fn queue(ring: &Fd) -> Result<(), Errno> {
    // Where the tail is, only the call that creates a ring says: the same of every ring like it.
    let mut params = [0; PARAMS];
    let like_it = setup_with(&mut params)?;
    Linux.close(like_it)?;
    let tail = usize::try_from(params[TAIL]).unwrap_or(usize::MAX);
    if tail % 4 != 0 || tail >= PAGE_BYTES {
        return Err(Errno::EINVAL);
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: mmap(2) at no given address makes a new mapping, and changes no other.
    let page = unsafe {
        // IORING_OFF_SQ_RING is 0.
        libc::mmap(null_mut(), PAGE_BYTES, access, libc::MAP_SHARED, ring.raw(), 0)
    };
    check_ok(if page == libc::MAP_FAILED { -1 } else { 0 })?;
    let tail: *mut u32 = page.cast::<u8>().wrapping_add(tail).cast();
    // SAFETY: it lies in the page, is aligned, and is used only until `munmap`. Other accesses, by
    // the kernel, are atomic.
    let tail = unsafe { AtomicU32::from_ptr(tail) };
    tail.fetch_add(1, Ordering::Release);
    // SAFETY: munmap(2) of the page that was just mapped; nothing refers to it any more.
    check_ok(unsafe { libc::munmap(page, PAGE_BYTES) })
}

pub(super) fn enter(ring: &Fd) -> Result<usize, Errno> {
    let (number, ring) = (libc::SYS_io_uring_enter, ring.raw());
    // SAFETY: io_uring_enter(2) takes numbers here, and no set of signals. What it submits is the
    // request that does nothing. The C library has no wrapper.
    let count = unsafe { libc::syscall(number, ring, 1, 0, 0, null::<u8>(), 0) };
    check_count(isize::try_from(count).unwrap_or(-1))
}
