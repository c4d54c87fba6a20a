//! What all kinds of file share: ids, masks of readiness, and the queue of their wake-ups.
//!
//! Knows no kind of file, and nothing that waits for one.

use alloc::collections::VecDeque;

use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLPRI};

/// The result of a system call.
pub(super) type Result<T> = core::result::Result<T, Errno>;

/// An open file description, whichever descriptors refer to it. Ids are never reused.
pub(super) type FileId = u64;

/// The key of a wake-up that says only "something happened": it matches every interest.
pub(super) const WAKE_ALL: u32 = 0;

/// The key of the wake-up for data: it does not match interest in `EPOLLRDHUP` alone.
///
/// Reference: net/core/sock.c: `sock_def_readable`
pub(super) const WAKE_READABLE: u32 = EPOLLIN | EPOLLPRI;

/// Wake-ups of files, in the order in which they happened: which file, and a key that says what may
/// have changed. Linux calls the wait queue back at once; here that is put off until the end of the
/// system call, which makes no difference, as a callback only appends to a ready list.
pub(super) type Wakes = VecDeque<(FileId, u32)>;

/// `bit` if `condition` holds, otherwise 0.
pub(super) fn mask_if(condition: bool, bit: u32) -> u32 {
    if condition { bit } else { 0 }
}

/// `errno`, if `condition` holds. Where several errors apply, the first check decides.
pub(super) fn err_if(condition: bool, errno: Errno) -> Result<()> {
    if condition { Err(errno) } else { Ok(()) }
}

/// Moves bytes from the front of `bytes` into `buf`; returns how many.
pub(super) fn drain_into(bytes: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = bytes.len().min(buf.len());
    for (slot, byte) in buf.iter_mut().zip(bytes.drain(..count)) {
        *slot = byte;
    }
    count
}
