//! A process: its descriptors, lowest first, their limit, and its signals.
//!
//! Knows files by id only. No signal kills here: an unblocked one runs a handler that does nothing,
//! and interrupts a wait.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::file::{FileId, Result, err_if};
use crate::errno::Errno;
use crate::kernel::{Fd, Rlimit, Signal, SignalSet};

/// The numbers of a process' descriptors start at its own number times this, or times its limit of
/// descriptors if that is more, so that use by another process is detected. Process 2 begins with
/// descriptor 200,003.
const FD_STRIDE_MIN: u32 = 100_000;

/// The largest limit of descriptors: a hundred processes have numbers that fit an `Fd`.
pub(super) const DESCRIPTORS_MAX: u32 = 1 << 24;

/// Standard input, output and error are always open.
const FIRST_FD: usize = 3;

pub(super) struct Process {
    number: u32,
    stride: u32,
    table: Vec<Option<FileId>>,
    /// How many descriptors are open, without the standard ones.
    open: usize,
    /// No number from [`FIRST_FD`] to this one is free.
    taken_until: usize,
    limit: Rlimit,
    blocked: SignalSet,
    /// Blocked signals that were sent; bit `n - 1` is signal `n`.
    pub(super) pending: u64,
    /// An unblocked signal was sent, and interrupts the next wait.
    pub(super) is_interrupted: bool,
}

impl Process {
    /// A process with nothing open.
    pub(super) fn new(number: usize, descriptors_max: u32) -> Self {
        let descriptors = u64::from(descriptors_max);
        Self {
            number: small(number),
            stride: descriptors_max.max(FD_STRIDE_MIN),
            table: vec![None; FIRST_FD],
            open: 0,
            taken_until: FIRST_FD,
            limit: Rlimit { soft: descriptors, hard: descriptors },
            blocked: SignalSet::EMPTY,
            pending: 0,
            is_interrupted: false,
        }
    }

    /// Gives `file` the lowest free number. The caller has checked that there is one.
    pub(super) fn install(&mut self, file: FileId) -> Fd {
        let free = self.table[self.taken_until..].iter().position(Option::is_none);
        let slot = free.map_or(self.table.len(), |free| self.taken_until + free);
        if slot == self.table.len() {
            self.table.push(None);
        }
        self.table[slot] = Some(file);
        self.taken_until = slot + 1;
        self.open += 1;
        Fd::simulated(self.fd_number(slot))
    }

    /// Removes a descriptor; returns the file that it referred to.
    ///
    /// # Panics
    /// As [`file`](Self::file).
    pub(super) fn remove(&mut self, fd: &Fd) -> FileId {
        let (file, slot) = (self.file(fd), self.slot(fd));
        self.table[slot] = None;
        self.taken_until = self.taken_until.min(slot);
        self.open -= 1;
        file
    }

    /// Removes all descriptors, the lowest first.
    pub(super) fn remove_all(&mut self) -> impl Iterator<Item = FileId> + use<> {
        (self.open, self.taken_until) = (0, FIRST_FD);
        mem::replace(&mut self.table, vec![None; FIRST_FD]).into_iter().flatten()
    }

    pub(super) fn prlimit(&mut self, new: Option<Rlimit>) -> Result<Rlimit> {
        let old = self.limit;
        if let Some(new) = new {
            err_if(new.soft > new.hard, Errno::EINVAL)?;
            // Processes here have no privileges.
            err_if(new.hard > old.hard, Errno::EPERM)?;
            self.limit = new;
        }
        Ok(old)
    }

    /// Sends a signal; returns whether it is blocked, and pending now. A second one of the same
    /// number, while the first is pending, is lost.
    ///
    /// Reference: kernel/signal.c: `__send_signal_locked`
    pub(super) fn raise(&mut self, signal: Signal) -> bool {
        let is_blocked = self.blocked.contains(signal);
        if is_blocked {
            self.pending |= SignalSet::from(signal).bits();
        } else {
            self.is_interrupted = true;
        }
        is_blocked
    }

    pub(super) const fn has_blocked(&self, signal: Signal) -> bool {
        self.blocked.contains(signal)
    }

    /// Reference: kernel/signal.c: `sigprocmask`
    pub(super) fn block(&mut self, signals: SignalSet) -> SignalSet {
        let old = self.blocked;
        self.blocked = old | signals;
        old
    }

    /// Whether `count` more descriptors are available.
    ///
    /// Reference: fs/file.c: `alloc_fd`
    pub(super) fn check_available(&self, count: usize) -> Result<()> {
        let limit = usize::try_from(self.limit.soft).unwrap_or(usize::MAX);
        // A limit that was lowered leaves descriptors beyond it open.
        let beyond = self.table.get(limit..).unwrap_or_default().iter().flatten().count();
        let taken = FIRST_FD + self.open - beyond;
        if limit.saturating_sub(taken) < count { Err(Errno::EMFILE) } else { Ok(()) }
    }

    /// The file that `fd` refers to.
    ///
    /// # Panics
    /// It refers to none here: the program under test uses a descriptor that it does not own.
    pub(super) fn file(&self, fd: &Fd) -> FileId {
        assert!(fd.is_simulated(), "a descriptor of the real kernel, Fd {fd}, in a simulated one");
        let (owner, process) = (fd.number() / self.stride, self.number);
        assert!(owner == process, "Fd {fd} is process {owner}'s, and process {process} uses it");
        let file = self.table.get(self.slot(fd)).copied().flatten();
        file.unwrap_or_else(|| panic!("Fd {fd} is used after it was closed, or closed twice"))
    }

    /// Every descriptor that is open: its number and its file.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (u32, FileId)> {
        let table = self.table.iter().enumerate();
        table.filter_map(|(slot, file)| Some((self.fd_number(slot), (*file)?)))
    }

    fn fd_number(&self, slot: usize) -> u32 {
        self.number * self.stride + small(slot)
    }

    fn slot(&self, fd: &Fd) -> usize {
        usize::try_from(fd.number() % self.stride).expect("32 bits fit a usize here")
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("limits keep numbers small")
}
