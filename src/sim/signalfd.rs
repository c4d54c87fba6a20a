//! Signals: blocked and pending ones, and the signalfd that reads them.
//!
//! Knows processes. No signal kills here: an unblocked one runs a handler that does nothing, and
//! interrupts a wait.

use super::state::{FileId, FileKind, KernelState, Result, WAKE_ALL, mask_if};
use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::kernel::{SIGINFO_BYTES, Signal, SignalSet};

/// A signalfd.
#[derive(Clone, Copy)]
pub(super) struct SignalFd {
    /// The process whose signals it reads. (On Linux: the reading process.)
    pub(super) process: usize,
    pub(super) mask: SignalSet,
}

impl KernelState {
    /// Sends a signal. A second one of the same number, while the first is pending, is lost.
    ///
    /// Reference: kernel/signal.c: `__send_signal_locked`, include/linux/signalfd.h:
    /// `signalfd_notify`
    pub(super) fn queue_signal(&mut self, process: usize, signal: Signal) {
        let target = &mut self.processes[process];
        if !target.blocked.contains(signal) {
            target.is_interrupted = true;
            return;
        }
        target.pending |= SignalSet::from(signal).bits();
        let listening = self.files.iter().filter_map(|(id, file)| match &file.kind {
            FileKind::SignalFd(signals) if signals.process == process => Some(*id),
            _ => None,
        });
        let listening: alloc::vec::Vec<FileId> = listening.collect();
        for file in listening {
            self.wake(file, WAKE_ALL);
        }
    }

    /// Reference: kernel/signal.c: `sigprocmask`
    pub(super) fn block(&mut self, process: usize, signals: SignalSet) -> SignalSet {
        let process = &mut self.processes[process];
        let old = process.blocked;
        process.blocked = old | signals;
        old
    }

    /// Reference: fs/signalfd.c: `signalfd_poll`
    pub(super) fn poll_signals(&self, signals: SignalFd) -> u32 {
        let pending = self.processes[signals.process].pending;
        mask_if(pending & signals.mask.bits() != 0, EPOLLIN)
    }

    /// As many records as fit, lowest numbers first. Only the number is filled in.
    ///
    /// Reference: fs/signalfd.c: `signalfd_read_iter`
    pub(super) fn read_signals(&mut self, signals: SignalFd, buf: &mut [u8]) -> Result<usize> {
        if buf.len() < SIGINFO_BYTES {
            return Err(Errno::EINVAL);
        }
        let pending = &mut self.processes[signals.process].pending;
        let mut read = 0;
        for record in buf.chunks_exact_mut(SIGINFO_BYTES) {
            let ready = *pending & signals.mask.bits();
            if ready == 0 {
                break;
            }
            let number = ready.trailing_zeros() + 1;
            *pending &= !(1 << (number - 1));
            record.fill(0);
            record[..4].copy_from_slice(&number.to_ne_bytes());
            read += SIGINFO_BYTES;
        }
        if read == 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(read)
    }
}
