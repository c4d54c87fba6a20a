//! A process: its descriptors, lowest first, and their limit.
//!
//! Knows files by id only.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::state::{FileId, FileKind, KernelState, Result};
use crate::errno::Errno;
use crate::kernel::{Fd, Rlimit, SignalSet};

/// Descriptor numbers of a process start at its number times this, so that use by another process
/// is detected. Process 2 begins with descriptor 200,003.
const FD_STRIDE: u32 = 100_000;

/// Standard input, output and error are always open.
const FIRST_FD: usize = 3;

pub(super) struct Process {
    table: Vec<Option<FileId>>,
    pub(super) limit: Rlimit,
    pub(super) blocked: SignalSet,
    /// Blocked signals that were sent; bit `n - 1` is signal `n`.
    pub(super) pending: u64,
    /// An unblocked signal was sent, and interrupts the next wait.
    pub(super) is_interrupted: bool,
}

impl KernelState {
    /// Starts a process with nothing open. Returns its number.
    pub(super) fn spawn_process(&mut self) -> usize {
        let descriptors = u64::from(self.config.descriptors_max);
        self.processes.push(Process {
            table: vec![None; FIRST_FD],
            limit: Rlimit { soft: descriptors, hard: descriptors },
            blocked: SignalSet::EMPTY,
            pending: 0,
            is_interrupted: false,
        });
        self.processes.len() - 1
    }

    /// Whether `count` more descriptors, each of a file of its own, are available.
    ///
    /// Reference: fs/file.c: `alloc_fd`, fs/file_table.c: `alloc_empty_file`
    pub(super) fn check_fds_available(&self, process: usize, count: usize) -> Result<()> {
        self.available_fds(process, count)?;
        if self.files_open + count > self.config.files_max {
            return Err(Errno::ENFILE);
        }
        Ok(())
    }

    fn available_fds(&self, process: usize, count: usize) -> Result<()> {
        let process = &self.processes[process];
        let limit = usize::try_from(process.limit.soft).unwrap_or(usize::MAX);
        let taken = FIRST_FD + process.table.iter().take(limit).flatten().count();
        if limit.saturating_sub(taken) < count { Err(Errno::EMFILE) } else { Ok(()) }
    }

    /// Gives `file` the lowest free number. The caller has checked that there is one.
    pub(super) fn install(&mut self, process: usize, file: FileId) -> Fd {
        let found = self.file_mut(file);
        found.descriptors += 1;
        self.files_open += usize::from(found.descriptors == 1);
        let table = &mut self.processes[process].table;
        let free = table[FIRST_FD..].iter().position(Option::is_none);
        let slot = free.map_or(table.len(), |free| FIRST_FD + free);
        table.resize(table.len().max(slot + 1), None);
        table[slot] = Some(file);
        Fd::simulated(number(process, slot))
    }

    /// Opens a file with a descriptor; for calls that do only that.
    pub(super) fn open(&mut self, process: usize, kind: FileKind) -> Result<Fd> {
        self.check_fds_available(process, 1)?;
        let file = self.add(kind);
        Ok(self.install(process, file))
    }

    pub(super) fn dup(&mut self, process: usize, fd: &Fd) -> Result<Fd> {
        self.available_fds(process, 1)?;
        let file = self.file(process, fd);
        Ok(self.install(process, file))
    }

    pub(super) fn close(&mut self, process: usize, fd: &Fd) {
        let file = self.file(process, fd);
        self.processes[process].table[slot(fd)] = None;
        self.release(file);
    }

    /// The file that `fd` refers to.
    ///
    /// # Panics
    /// It refers to none here: the program under test uses a descriptor that it does not own.
    pub(super) fn file(&self, process: usize, fd: &Fd) -> FileId {
        assert!(fd.is_simulated(), "a descriptor of the real kernel, Fd {fd}, in a simulated one");
        let owner = fd.number() / FD_STRIDE;
        assert!(
            usize::try_from(owner) == Ok(process),
            "Fd {fd} is process {owner}'s, and process {process} uses it"
        );
        self.processes[process]
            .table
            .get(slot(fd))
            .copied()
            .flatten()
            .unwrap_or_else(|| panic!("Fd {fd} is used after it was closed, or closed twice"))
    }

    /// For messages: every descriptor that is still open.
    pub(super) fn open_descriptors(&self, process: usize) -> Vec<String> {
        let table = self.processes[process].table.iter().enumerate();
        table
            .filter_map(|(slot, file)| {
                let file = self.describe((*file)?);
                Some(format!("Fd {} ({file})", number(process, slot)))
            })
            .collect()
    }

    /// The process exits: the kernel closes its descriptors.
    pub(super) fn exit(&mut self, process: usize) {
        for slot in 0..self.processes[process].table.len() {
            if let Some(file) = self.processes[process].table[slot].take() {
                self.release(file);
            }
        }
    }

    pub(super) fn prlimit(&mut self, process: usize, new: Option<Rlimit>) -> Result<Rlimit> {
        let limit = &mut self.processes[process].limit;
        let old = *limit;
        if let Some(new) = new {
            if new.soft > new.hard {
                return Err(Errno::EINVAL);
            }
            // Processes here have no privileges.
            if new.hard > old.hard {
                return Err(Errno::EPERM);
            }
            *limit = new;
        }
        Ok(old)
    }
}

fn number(process: usize, slot: usize) -> u32 {
    let number = |n: usize| u32::try_from(n).expect("limits keep numbers small");
    number(process) * FD_STRIDE + number(slot)
}

fn slot(fd: &Fd) -> usize {
    usize::try_from(fd.number() % FD_STRIDE).expect("32 bits fit a usize here")
}
