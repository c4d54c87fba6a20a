//! Faults of a process's epolls, found by comparing their interest lists with its open
//! descriptors.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::entry::{EpollEntry, FileId};
use crate::event::EPOLLOUT;

/// Descriptors 0 to 2 may be sockets, which another program opened.
const STANDARD_STREAMS: u32 = 3;

/// An open descriptor of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenFile {
    /// Its number.
    pub fd: u32,
    /// Its file.
    pub file: FileId,
    /// What kind of file it is.
    pub kind: FileKind,
    /// Of an established connection: the bytes that wait in its send queue, if they are known.
    pub send_queue_bytes: Option<u64>,
}

/// A kind of file, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A socket: it has an inode of its own.
    Socket,
    /// A pipe, a regular file, a device: with an inode of its own.
    Other,
    /// An epoll, an eventfd, a signalfd or the like: they share one inode.
    Anonymous,
}

/// What the descriptor number of an entry stands for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The file that is watched.
    Watched,
    /// Nothing: it is closed.
    Closed,
    /// Another file: it was closed, and the number was reused.
    Reused,
}

/// An epoll of the process, with what each entry's number stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchedEpoll {
    /// The descriptor of the epoll.
    pub fd: u32,
    /// Its interest list.
    pub entries: Vec<(EpollEntry, Target)>,
}

/// A fault. `epoll` is the descriptor of the epoll that has the entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The descriptor that was registered is closed, and a duplicate keeps its file open, here or
    /// in another process: it is still reported, and `EPOLL_CTL_DEL` by its number fails.
    Ghost {
        /// The epoll.
        epoll: u32,
        /// The entry.
        entry: EpollEntry,
        /// What the number stands for.
        target: Target,
        /// An open descriptor of the same file, if this process has one.
        duplicate: Option<u32>,
    },
    /// A socket is open and in no epoll, although the process has one.
    NotWatched {
        /// The descriptor.
        fd: u32,
    },
    /// Level-triggered without any interest: `EPOLLERR` and `EPOLLHUP` are reported all the same,
    /// and endlessly.
    NoInterest {
        /// The epoll.
        epoll: u32,
        /// The entry.
        entry: EpollEntry,
    },
    /// Level-triggered, waits for room in a send queue that is empty: reported endlessly.
    NothingToSend {
        /// The epoll.
        epoll: u32,
        /// The entry.
        entry: EpollEntry,
    },
}

/// What the number of `entry` stands for, given the open descriptor of that number, if there is
/// one. An entry without a file, and one with an inode that several files share, is taken for
/// watched when its number is open. Cost: O(1).
#[must_use]
pub fn target_of(entry: &EpollEntry, open: Option<&OpenFile>) -> Target {
    match open {
        None => Target::Closed,
        Some(open) if entry.file.is_none_or(|file| file == open.file) => Target::Watched,
        Some(_) => Target::Reused,
    }
}

/// The faults, those of the epolls first, in their order. Cost: O(n log n) of entries and open
/// descriptors together, a few allocations.
#[must_use]
pub fn find_faults(epolls: &[WatchedEpoll], open: &[OpenFile]) -> Vec<Fault> {
    let by_fd: BTreeMap<u32, &OpenFile> = open.iter().map(|open| (open.fd, open)).collect();
    // The first descriptor of each file that has an inode of its own.
    let own = open.iter().rev().filter(|open| open.kind != FileKind::Anonymous);
    let by_file: BTreeMap<FileId, u32> = own.map(|open| (open.file, open.fd)).collect();
    let mut faults = Vec::new();
    let (mut watched_fds, mut watched_files) = (BTreeSet::new(), BTreeSet::new());
    for WatchedEpoll { fd: epoll, entries } in epolls {
        for (entry, target) in entries {
            watched_files.extend(entry.file);
            if *target == Target::Watched {
                watched_fds.insert(entry.fd);
            }
            let duplicate = entry.file.and_then(|file| by_file.get(&file)).copied();
            let unsent = by_fd.get(&entry.fd).and_then(|open| open.send_queue_bytes);
            faults.extend(fault_of(*epoll, *entry, *target, duplicate, unsent));
        }
    }
    if !epolls.is_empty() {
        let is_missing = |open: &&OpenFile| {
            open.kind == FileKind::Socket
                && open.fd >= STANDARD_STREAMS
                && !watched_fds.contains(&open.fd)
                && !watched_files.contains(&open.file)
        };
        faults.extend(open.iter().filter(is_missing).map(|open| Fault::NotWatched { fd: open.fd }));
    }
    faults
}

/// The fault of one entry: `duplicate` is an open descriptor of its file, `unsent` the length of
/// its send queue, if they are known.
fn fault_of(
    epoll: u32,
    entry: EpollEntry,
    target: Target,
    duplicate: Option<u32>,
    unsent: Option<u64>,
) -> Option<Fault> {
    match () {
        () if target != Target::Watched => Some(Fault::Ghost { epoll, entry, target, duplicate }),
        () if !entry.is_level() => None,
        () if entry.requested() == 0 && !entry.is_disarmed() => {
            Some(Fault::NoInterest { epoll, entry })
        }
        () if entry.events & EPOLLOUT != 0 && unsent == Some(0) => {
            Some(Fault::NothingToSend { epoll, entry })
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT};
    use alloc::vec;

    const ALWAYS: u32 = EPOLLERR | EPOLLHUP;

    const fn file(inode: u64) -> FileId {
        FileId { inode, device: 9 }
    }

    const fn socket(fd: u32, inode: u64) -> OpenFile {
        let (file, kind) = (file(inode), FileKind::Socket);
        OpenFile { fd, file, kind, send_queue_bytes: Some(0) }
    }

    const fn entry(fd: u32, inode: u64, events: u32) -> EpollEntry {
        EpollEntry { fd, events: events | ALWAYS, data: fd as u64, file: Some(file(inode)) }
    }

    fn faults(entries: &[EpollEntry], open: &[OpenFile]) -> Vec<Fault> {
        let of = |entry: &EpollEntry| open.iter().find(|open| open.fd == entry.fd);
        let entries = entries.iter().map(|entry| (*entry, target_of(entry, of(entry)))).collect();
        find_faults(&[WatchedEpoll { fd: 3, entries }], open)
    }

    #[test]
    fn sockets_that_are_watched_are_no_fault() {
        let open = [socket(4, 40), socket(5, 50)];
        assert_eq!(faults(&[entry(4, 40, EPOLLIN), entry(5, 50, EPOLLIN | EPOLLET)], &open), []);
    }

    #[test]
    fn a_closed_descriptor_with_a_duplicate_is_a_ghost() {
        let ghost = entry(4, 40, EPOLLIN);
        let fault = |target, duplicate| Fault::Ghost { epoll: 3, entry: ghost, target, duplicate };
        assert_eq!(faults(&[ghost], &[]), [fault(Target::Closed, None)]);
        // Its duplicate is in this process.
        assert_eq!(faults(&[ghost], &[socket(9, 40)]), [fault(Target::Closed, Some(9))]);
        let reused = faults(&[ghost], &[socket(4, 44)]);
        let not_watched = Fault::NotWatched { fd: 4 };
        assert_eq!(reused, [fault(Target::Reused, None), not_watched], "by its number only");
    }

    #[test]
    fn a_socket_in_no_epoll_is_found_unless_it_is_a_standard_stream() {
        let open = [socket(0, 10), socket(4, 40), socket(6, 60)];
        assert_eq!(faults(&[entry(4, 40, EPOLLIN)], &open), [Fault::NotWatched { fd: 6 }]);
        assert_eq!(find_faults(&[], &open), [], "a program without an epoll uses none");
    }

    #[test]
    fn masks_that_spin_are_found() {
        let open = [socket(4, 40)];
        let nothing = entry(4, 40, 0);
        assert_eq!(faults(&[nothing], &open), [Fault::NoInterest { epoll: 3, entry: nothing }]);
        let writable = entry(4, 40, EPOLLOUT | EPOLLIN);
        let fault = Fault::NothingToSend { epoll: 3, entry: writable };
        assert_eq!(faults(&[writable], &open), [fault]);
    }

    #[test]
    fn masks_that_do_not_spin_are_not_faults() {
        let open = [socket(4, 40)];
        let disarmed = EpollEntry { events: EPOLLONESHOT, ..entry(4, 40, 0) };
        let full = [OpenFile { send_queue_bytes: Some(312), ..open[0] }];
        let unknown = [OpenFile { send_queue_bytes: None, ..open[0] }];
        assert_eq!(faults(&[disarmed], &open), []);
        assert_eq!(faults(&[entry(4, 40, EPOLLET)], &open), [], "an edge comes once");
        assert_eq!(faults(&[entry(4, 40, EPOLLOUT | EPOLLET)], &open), []);
        assert_eq!(faults(&[entry(4, 40, EPOLLOUT)], &full), []);
        assert_eq!(faults(&[entry(4, 40, EPOLLOUT)], &unknown), []);
    }

    #[test]
    fn files_that_share_an_inode_are_not_told_apart() {
        let eventfd = OpenFile { kind: FileKind::Anonymous, ..socket(9, 7) };
        let ghost = entry(4, 7, EPOLLIN);
        let expected =
            Fault::Ghost { epoll: 3, entry: ghost, target: Target::Closed, duplicate: None };
        assert_eq!(faults(&[ghost], &[eventfd]), vec![expected]);
    }
}
