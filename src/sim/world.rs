//! The world: open files, who waits on each, and how they come and go.
//!
//! Knows what kinds of file there are and asks each what is so; the rules of each kind are in
//! the file of its name.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use super::chance::Chance;
use super::config::Config;
use super::epoll::Epoll;
use super::eventfd::Counter;
use super::pipe::{End, Pipe};
use super::process::Process;
use super::signal::Signals;
use super::socket::{Protocol, Socket};
use crate::errno::Errno;
use crate::event::EPOLLIN;
use crate::instant::Instant;

/// What a call answers.
pub(super) type Result<T> = core::result::Result<T, Errno>;

/// An open file (description), whichever descriptors name it. Never used twice.
pub(super) type FileId = u64;

/// The key of a wake-up that says no more than "something happened": it passes every interest.
pub(super) const ANYTHING: u32 = 0;

pub(super) struct World {
    pub(super) config: Config,
    pub(super) chance: Chance,
    pub(super) now: Instant,
    pub(super) files: BTreeMap<FileId, File>,
    pub(super) processes: Vec<Process>,
    /// Unix socket files, by path. One outlives its socket, as on a disk.
    pub(super) paths: BTreeMap<Vec<u8>, FileId>,
    /// What is on its way and arrives at the next wait.
    pub(super) later: Vec<Later>,
    pub(super) names_given: u16,
    /// How many files the system counts: those that are in somebody's hand.
    pub(super) files_open: usize,
    files_made: FileId,
}

pub(super) struct File {
    pub(super) node: Node,
    /// How many descriptors name it. None do while a connection waits to be accepted, and
    /// while a closed one still has bytes to deliver.
    pub(super) descriptors: usize,
    /// The wait queue: registrations to be told when something happens.
    pub(super) watchers: VecDeque<Watcher>,
}

/// A registration, seen from the file: `(this file, number)` in `epoll`'s interest list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Watcher {
    pub(super) epoll: FileId,
    pub(super) number: u32,
}

pub(super) enum Node {
    Epoll(Epoll),
    Socket(Box<Socket>),
    Pipe(End),
    /// What both ends of a pipe share. No descriptor names it.
    PipeBuffer(Pipe),
    Counter(Counter),
    Signals(Signals),
    /// A regular file. It is always empty and takes everything.
    Regular,
}

/// Something that chance has put off.
#[derive(Clone, Copy)]
pub(super) enum Later {
    Readable(FileId),
    Writable(FileId),
    Connect(FileId),
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self {
            chance: config.chance.clone(),
            // Not zero, which would hide who forgets to ask for the time.
            now: Instant::from_nanos(1_000_000_000),
            config,
            files: BTreeMap::new(),
            processes: Vec::new(),
            paths: BTreeMap::new(),
            later: Vec::new(),
            names_given: 0,
            files_open: 0,
            files_made: 0,
        }
    }

    /// Opens a file that no descriptor names yet.
    pub(super) fn add(&mut self, node: Node) -> FileId {
        self.files_made += 1;
        let file = File { node, descriptors: 0, watchers: VecDeque::new() };
        self.files.insert(self.files_made, file);
        self.files_made
    }

    /// Something happened to `file`: tells each registration, in the order of the wait queue.
    /// `key` says what may be so now; who is not interested in it is passed over.
    ///
    /// Reference: kernel/sched/wait.c: `__wake_up_common`
    pub(super) fn wake(&mut self, file: FileId, key: u32) {
        let mut at = 0;
        while let Some(&Watcher { epoll, number }) =
            self.files.get(&file).and_then(|found| found.watchers.get(at))
        {
            self.arrived(epoll, (file, number), key);
            at += 1;
        }
    }

    /// What is so now, as poll(2) would say it.
    pub(super) fn poll(&mut self, file: FileId) -> u32 {
        match &self.at(file).node {
            Node::Epoll(_) => self.poll_epoll(file),
            Node::Socket(_) => self.poll_socket(file),
            &Node::Pipe(end) => self.poll_pipe(end),
            Node::Counter(counter) => counter.poll(),
            &Node::Signals(signals) => self.poll_signals(signals),
            Node::PipeBuffer(_) | Node::Regular => 0,
        }
    }

    /// One descriptor fewer. With the last the file is closed: first every epoll forgets it,
    /// then its kind has its say.
    ///
    /// Reference: fs/file_table.c: `__fput`
    pub(super) fn release(&mut self, file: FileId) {
        let found = self.at(file);
        found.descriptors -= 1;
        if found.descriptors > 0 {
            return;
        }
        self.files_open -= 1;
        self.forget_everywhere(file);
        match &self.at(file).node {
            Node::Epoll(_) => self.close_epoll(file),
            Node::Socket(_) => self.close_socket(file),
            &Node::Pipe(end) => self.close_pipe(file, end),
            Node::PipeBuffer(_) | Node::Counter(_) | Node::Signals(_) | Node::Regular => {
                self.files.remove(&file);
            }
        }
    }

    /// Lets arrive what was on its way. Called by every wait.
    pub(super) fn catch_up(&mut self) {
        for arriving in mem::take(&mut self.later) {
            match arriving {
                Later::Readable(file) => self.wake(file, EPOLLIN),
                Later::Writable(file) => self.room_came_free(file),
                Later::Connect(file) => self.try_to_connect(file),
            }
        }
    }

    /// The file, which the caller knows to be open.
    pub(super) fn at(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(&file).expect("whoever holds the id of a file keeps it open")
    }

    /// For people: what kind of file this is.
    pub(super) fn describe(&self, file: FileId) -> String {
        match self.files.get(&file).map(|file| &file.node) {
            Some(Node::Epoll(_)) => "epoll".into(),
            Some(Node::Socket(socket)) => {
                let name = match socket.protocol() {
                    Protocol::Tcp => "tcp socket",
                    Protocol::Udp => "udp socket",
                    Protocol::UnixStream => "unix stream socket",
                    Protocol::UnixDatagram => "unix datagram socket",
                };
                let at = socket.local.map(|local| format!(" at {local}"));
                name.to_owned() + &at.unwrap_or_default()
            }
            Some(Node::Pipe(end)) if end.is_writer => "pipe, writing end".into(),
            Some(Node::Pipe(_)) => "pipe, reading end".into(),
            Some(Node::Counter(_)) => "eventfd".into(),
            Some(Node::Signals(_)) => "signalfd".into(),
            Some(Node::Regular) => "regular file".into(),
            Some(Node::PipeBuffer(_)) | None => "nothing".into(),
        }
    }
}

/// `bit` when it `is` so.
pub(super) fn bit(is: bool, bit: u32) -> u32 {
    if is { bit } else { 0 }
}

/// Moves what `buf` has room for from the front of `bytes`; returns how much.
pub(super) fn take(bytes: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = bytes.len().min(buf.len());
    for (place, byte) in buf.iter_mut().zip(bytes.drain(..count)) {
        *place = byte;
    }
    count
}
