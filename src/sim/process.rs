//! A process: its descriptors, lowest first, and how many it may have.
//!
//! Knows files by their number only.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::world::{FileId, Node, Result, World};
use crate::errno::Errno;
use crate::kernel::{Fd, Limit, SignalSet};

/// What a descriptor's number begins with: its process times this, so that a descriptor in
/// the wrong hands is noticed. Process 2 begins with descriptor 200,003.
const NUMBERS_A_PROCESS: u32 = 100_000;

/// Standard input, output and error are taken from birth.
const FIRST: usize = 3;

pub(super) struct Process {
    table: Vec<Option<FileId>>,
    pub(super) limit: Limit,
    pub(super) blocked: SignalSet,
    /// Signals that wait because they are blocked; bit `n - 1` is signal `n`.
    pub(super) pending: u64,
    /// A signal that is not blocked came, and the next wait ends by it.
    pub(super) is_interrupted: bool,
}

impl World {
    /// Starts a process with nothing open. Returns its number.
    pub(super) fn start(&mut self) -> usize {
        let descriptors = u64::from(self.config.descriptors_max);
        self.processes.push(Process {
            table: vec![None; FIRST],
            limit: Limit { soft: descriptors, hard: descriptors },
            blocked: SignalSet::EMPTY,
            pending: 0,
            is_interrupted: false,
        });
        self.processes.len() - 1
    }

    /// Whether `count` more descriptors, each of a file of its own, can be had.
    ///
    /// Reference: fs/file.c: `alloc_fd`, fs/file_table.c: `alloc_empty_file`
    pub(super) fn room_for(&self, process: usize, count: usize) -> Result<()> {
        self.descriptors_for(process, count)?;
        if self.files_open + count > self.config.files_max {
            return Err(Errno::ENFILE);
        }
        Ok(())
    }

    fn descriptors_for(&self, process: usize, count: usize) -> Result<()> {
        let process = &self.processes[process];
        let limit = usize::try_from(process.limit.soft).unwrap_or(usize::MAX);
        let taken = FIRST + process.table.iter().take(limit).flatten().count();
        if limit.saturating_sub(taken) < count { Err(Errno::EMFILE) } else { Ok(()) }
    }

    /// Gives `file` the lowest free number. The caller has asked whether there is room.
    pub(super) fn install(&mut self, process: usize, file: FileId) -> Fd {
        let found = self.at(file);
        found.descriptors += 1;
        self.files_open += usize::from(found.descriptors == 1);
        let table = &mut self.processes[process].table;
        let free = table[FIRST..].iter().position(Option::is_none);
        let slot = free.map_or(table.len(), |free| FIRST + free);
        table.resize(table.len().max(slot + 1), None);
        table[slot] = Some(file);
        Fd::simulated(number(process, slot))
    }

    /// Makes a file and gives it a number; for the calls that do only that.
    pub(super) fn open(&mut self, process: usize, node: Node) -> Result<Fd> {
        self.room_for(process, 1)?;
        let file = self.add(node);
        Ok(self.install(process, file))
    }

    pub(super) fn dup(&mut self, process: usize, fd: &Fd) -> Result<Fd> {
        self.descriptors_for(process, 1)?;
        let file = self.file(process, fd);
        Ok(self.install(process, file))
    }

    pub(super) fn close(&mut self, process: usize, fd: &Fd) {
        let file = self.file(process, fd);
        self.processes[process].table[slot(fd)] = None;
        self.release(file);
    }

    /// The file that `fd` names.
    ///
    /// # Panics
    /// It names none here: the program under test uses what it does not own.
    pub(super) fn file(&self, process: usize, fd: &Fd) -> FileId {
        assert!(fd.is_simulated(), "a descriptor of the real kernel, Fd {fd}, in a simulated one");
        let owner = fd.number() / NUMBERS_A_PROCESS;
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

    /// For people: every descriptor that is still open.
    pub(super) fn open_descriptors(&self, process: usize) -> Vec<String> {
        let table = self.processes[process].table.iter().enumerate();
        table
            .filter_map(|(slot, file)| {
                let file = self.describe((*file)?);
                Some(format!("Fd {} ({file})", number(process, slot)))
            })
            .collect()
    }

    /// The process ends: the kernel closes what it has left open.
    pub(super) fn exit(&mut self, process: usize) {
        for slot in 0..self.processes[process].table.len() {
            if let Some(file) = self.processes[process].table[slot].take() {
                self.release(file);
            }
        }
    }

    pub(super) fn prlimit(&mut self, process: usize, new: Option<Limit>) -> Result<Limit> {
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
    number(process) * NUMBERS_A_PROCESS + number(slot)
}

fn slot(fd: &Fd) -> usize {
    usize::try_from(fd.number() % NUMBERS_A_PROCESS).expect("32 bits fit a usize here")
}
