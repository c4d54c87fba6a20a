//! The state of the simulated kernel: open files, their wait queues, and their lifetimes.
//!
//! Knows the kinds of file and asks each for its readiness; the rules of each kind are in the file
//! of its name.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use super::config::SimConfig;
use super::entropy::Entropy;
use super::epoll::Epoll;
use super::eventfd::EventFd;
use super::pipe::{Pipe, PipeEnd};
use super::process::Process;
use super::signalfd::SignalFd;
use super::socket::{Protocol, Socket};
use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::instant::Instant;

/// The result of a system call.
pub(super) type Result<T> = core::result::Result<T, Errno>;

/// An open file description, whichever descriptors refer to it. Ids are never reused.
pub(super) type FileId = u64;

/// The key of a wake-up that says only "something happened": it matches every interest.
pub(super) const WAKE_ALL: u32 = 0;

pub(super) struct KernelState {
    pub(super) config: SimConfig,
    pub(super) entropy: Entropy,
    pub(super) now: Instant,
    pub(super) files: BTreeMap<FileId, File>,
    pub(super) processes: Vec<Process>,
    /// Unix socket files, by path. One outlives its socket, as on a disk.
    pub(super) paths: BTreeMap<Vec<u8>, FileId>,
    /// Events put off, which happen at the next wait.
    pub(super) deferred: Vec<Deferred>,
    pub(super) autobind_next: u16,
    /// How many files the system counts: those that a descriptor refers to.
    pub(super) files_open: usize,
    next_file_id: FileId,
}

pub(super) struct File {
    pub(super) kind: FileKind,
    /// How many descriptors refer to it. None do while a connection waits to be accepted, and
    /// while a closed socket still has bytes to deliver.
    pub(super) descriptors: usize,
    /// The wait queue: registrations to call back when something happens.
    pub(super) wait_queue: VecDeque<WaitEntry>,
}

/// A registration, seen from the file: `(this file, number)` in `epoll`'s interest list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitEntry {
    pub(super) epoll: FileId,
    pub(super) number: u32,
}

pub(super) enum FileKind {
    Epoll(Epoll),
    Socket(Box<Socket>),
    Pipe(PipeEnd),
    /// The buffer shared by both ends of a pipe. No descriptor refers to it.
    PipeBuffer(Pipe),
    EventFd(EventFd),
    SignalFd(SignalFd),
    /// A regular file. It is always empty and accepts every write.
    Regular,
}

/// An event that `Entropy` has put off.
#[derive(Clone, Copy)]
pub(super) enum Deferred {
    Readable(FileId),
    Writable(FileId),
    Connect(FileId),
}

impl KernelState {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            entropy: config.entropy.clone(),
            // Not zero, which would hide a program that never reads the clock.
            now: Instant::from_nanos(1_000_000_000),
            config,
            files: BTreeMap::new(),
            processes: Vec::new(),
            paths: BTreeMap::new(),
            deferred: Vec::new(),
            autobind_next: 0,
            files_open: 0,
            next_file_id: 0,
        }
    }

    /// Opens a file without a descriptor.
    pub(super) fn add(&mut self, kind: FileKind) -> FileId {
        self.next_file_id += 1;
        let file = File { kind, descriptors: 0, wait_queue: VecDeque::new() };
        self.files.insert(self.next_file_id, file);
        self.next_file_id
    }

    /// Something happened to `file`: calls each registration back, in the order of the wait queue.
    /// `key` says what may have changed; registrations without interest in it are skipped.
    ///
    /// Reference: kernel/sched/wait.c: `__wake_up_common`
    pub(super) fn wake(&mut self, file: FileId, key: u32) {
        let mut index = 0;
        while let Some(&WaitEntry { epoll, number }) =
            self.files.get(&file).and_then(|found| found.wait_queue.get(index))
        {
            self.poll_callback(epoll, (file, number), key);
            index += 1;
        }
    }

    /// The current readiness, as poll(2) would report it.
    pub(super) fn poll(&mut self, file: FileId) -> u32 {
        match &self.file_mut(file).kind {
            FileKind::Epoll(_) => self.poll_epoll(file),
            FileKind::Socket(_) => self.poll_socket(file),
            &FileKind::Pipe(end) => self.poll_pipe(end),
            FileKind::EventFd(counter) => counter.poll(),
            &FileKind::SignalFd(signals) => self.poll_signals(signals),
            FileKind::PipeBuffer(_) | FileKind::Regular => 0,
        }
    }

    /// Removes one descriptor. With the last the file is closed: first every epoll drops it, then
    /// the release function of its kind runs.
    ///
    /// Reference: fs/file_table.c: `__fput`
    pub(super) fn release(&mut self, file: FileId) {
        let found = self.file_mut(file);
        found.descriptors -= 1;
        if found.descriptors > 0 {
            return;
        }
        self.files_open -= 1;
        self.release_from_epolls(file);
        match &self.file_mut(file).kind {
            FileKind::Epoll(_) => self.close_epoll(file),
            FileKind::Socket(_) => self.close_socket(file),
            &FileKind::Pipe(end) => self.close_pipe(file, end),
            FileKind::PipeBuffer(_)
            | FileKind::EventFd(_)
            | FileKind::SignalFd(_)
            | FileKind::Regular => {
                self.files.remove(&file);
            }
        }
    }

    /// Performs the events that were put off. Called by every wait.
    pub(super) fn run_deferred(&mut self) {
        for deferred in mem::take(&mut self.deferred) {
            match deferred {
                Deferred::Readable(file) => self.wake(file, EPOLLIN),
                Deferred::Writable(file) => self.wake_writers(file),
                Deferred::Connect(file) => self.deliver_syn(file),
            }
        }
    }

    /// The file, which must be open.
    pub(super) fn file_mut(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(&file).expect("an id in use keeps its file open")
    }

    /// For messages: what kind of file this is.
    pub(super) fn describe(&self, file: FileId) -> String {
        match self.files.get(&file).map(|file| &file.kind) {
            Some(FileKind::Epoll(_)) => "epoll".into(),
            Some(FileKind::Socket(socket)) => {
                let name = match socket.protocol() {
                    Protocol::Tcp => "tcp socket",
                    Protocol::Udp => "udp socket",
                    Protocol::UnixStream => "unix stream socket",
                    Protocol::UnixDatagram => "unix datagram socket",
                };
                let address = socket.local.map(|local| format!(" at {local}"));
                name.to_owned() + &address.unwrap_or_default()
            }
            Some(FileKind::Pipe(end)) if end.is_writer => "pipe, writing end".into(),
            Some(FileKind::Pipe(_)) => "pipe, reading end".into(),
            Some(FileKind::EventFd(_)) => "eventfd".into(),
            Some(FileKind::SignalFd(_)) => "signalfd".into(),
            Some(FileKind::Regular) => "regular file".into(),
            Some(FileKind::PipeBuffer(_)) | None => "nothing".into(),
        }
    }
}

/// `bit` if `condition` holds, otherwise 0.
pub(super) fn mask_if(condition: bool, bit: u32) -> u32 {
    if condition { bit } else { 0 }
}

/// Moves bytes from the front of `bytes` into `buf`; returns how many.
pub(super) fn drain_into(bytes: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = bytes.len().min(buf.len());
    for (slot, byte) in buf.iter_mut().zip(bytes.drain(..count)) {
        *slot = byte;
    }
    count
}
