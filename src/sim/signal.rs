//! Signals: which are blocked, which wait, and the signalfd that reads them.
//!
//! Knows processes. No signal kills here: one that is not blocked meets a handler that does
//! nothing, and ends a wait.

use super::world::{ANYTHING, FileId, Node, Result, World, bit};
use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::kernel::{SIGINFO_BYTES, Signal, SignalSet};

/// A signalfd.
#[derive(Clone, Copy)]
pub(super) struct Signals {
    /// Whose signals it reads. (On Linux: of whoever reads.)
    pub(super) process: usize,
    pub(super) wanted: SignalSet,
}

impl World {
    /// A signal comes. A second one of the same number, while the first waits, is lost.
    ///
    /// Reference: kernel/signal.c: `__send_signal_locked`, include/linux/signalfd.h:
    /// `signalfd_notify`
    pub(super) fn raise(&mut self, process: usize, signal: Signal) {
        let target = &mut self.processes[process];
        if !target.blocked.contains(signal) {
            target.is_interrupted = true;
            return;
        }
        target.pending |= SignalSet::from(signal).bits();
        let listening = self.files.iter().filter_map(|(id, file)| match &file.node {
            Node::Signals(signals) if signals.process == process => Some(*id),
            _ => None,
        });
        let listening: alloc::vec::Vec<FileId> = listening.collect();
        for file in listening {
            self.wake(file, ANYTHING);
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
    pub(super) fn poll_signals(&self, signals: Signals) -> u32 {
        let pending = self.processes[signals.process].pending;
        bit(pending & signals.wanted.bits() != 0, EPOLLIN)
    }

    /// As many records as fit, lowest numbers first. Only the number is filled in.
    ///
    /// Reference: fs/signalfd.c: `signalfd_read_iter`
    pub(super) fn read_signals(&mut self, signals: Signals, buf: &mut [u8]) -> Result<usize> {
        if buf.len() < SIGINFO_BYTES {
            return Err(Errno::EINVAL);
        }
        let pending = &mut self.processes[signals.process].pending;
        let mut read = 0;
        for record in buf.chunks_exact_mut(SIGINFO_BYTES) {
            let ready = *pending & signals.wanted.bits();
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
