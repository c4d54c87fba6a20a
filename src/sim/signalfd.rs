//! Signalfd: reads signals that are blocked and pending.
//!
//! Knows the pending signals of its process as a set of bits.

use super::file::{Result, err_if, mask_if};
use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::kernel::{SIGINFO_BYTES, SignalSet};

#[derive(Clone, Copy)]
pub(super) struct SignalFd {
    /// The process whose signals it reads. (On Linux: the reading process.)
    pub(super) process: usize,
    pub(super) mask: SignalSet,
}

impl SignalFd {
    /// Reference: fs/signalfd.c: `signalfd_poll`
    pub(super) fn poll(self, pending: u64) -> u32 {
        mask_if(pending & self.mask.bits() != 0, EPOLLIN)
    }

    /// As many records as fit, lowest numbers first. Only the number is filled in.
    ///
    /// Reference: fs/signalfd.c: `signalfd_read_iter`
    pub(super) fn read(self, pending: &mut u64, buf: &mut [u8]) -> Result<usize> {
        err_if(buf.len() < SIGINFO_BYTES, Errno::EINVAL)?;
        let mut read = 0;
        for record in buf.chunks_exact_mut(SIGINFO_BYTES) {
            let ready = *pending & self.mask.bits();
            if ready == 0 {
                break;
            }
            let number = ready.trailing_zeros() + 1;
            *pending &= !(1 << (number - 1));
            record.fill(0);
            record[..4].copy_from_slice(&number.to_ne_bytes());
            read += SIGINFO_BYTES;
        }
        err_if(read == 0, Errno::EAGAIN)?;
        Ok(read)
    }
}
