//! One UDP socket: datagrams out, and back in whatever order, every byte checked. It does not know
//! when its messages are meant to leave.

use std::collections::VecDeque;
use std::time::Duration;

use epollite::reactor::Io;
use epollite::{Errno, Instant, Kernel, Linux};

use super::desk::{Desk, OUT_BYTES};
use super::failure::{Failure, is_ours};
use super::mismatch::{Mismatch, Wrong};
use super::noise::Name;
use super::room;
use super::row::Row;

/// Datagrams that are over and done with are remembered so far back, to know a duplicate.
const REMEMBERED: usize = 256;

/// Datagrams in one call, at most: the kernel's own bound (`UDP_MAX_SEGMENTS`, once 64).
const SEGMENTS_MAX: usize = 64;

/// Bytes in one call, at most: one IP packet's worth before it is cut.
const SEGMENTED_BYTES_MAX: usize = 65_000;
const _: () = assert!(SEGMENTED_BYTES_MAX <= OUT_BYTES);

/// Whether another datagram may be sent although this one was not: a firewall of this machine drops
/// some, a route comes back, memory becomes free.
const fn may_pass(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EPERM
            | Errno::EACCES
            | Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::ENETDOWN
            | Errno::EHOSTDOWN
            | Errno::EADDRNOTAVAIL
            | Errno::ENOMEM
            | Errno::ENOBUFS
    )
}

/// One socket, connected to the server.
#[derive(Debug)]
pub(super) struct Socket {
    index: u32,
    /// The number of the message at the front of `slots`.
    first: u64,
    slots: VecDeque<Slot>,
    /// Of the slots, those whose answer is waited for.
    out: usize,
    /// Of those that are forgotten, so many were lost, and have not come late.
    forgotten_lost: u64,
    /// The highest number that came back.
    newest: Option<u64>,
    /// Since when another message may be under way.
    free: Instant,
    waiting: VecDeque<Instant>,
    is_full: bool,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    intended: Instant,
    sent: Instant,
    size: u32,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Out,
    Back,
    Lost,
}

impl Socket {
    pub(super) fn new(index: u32) -> Self {
        let (slots, waiting) = (VecDeque::new(), VecDeque::new());
        let free = Instant::ZERO;
        let (out, forgotten_lost, newest, is_full) = (0, 0, None, false);
        Self { index, first: 0, slots, out, forgotten_lost, newest, free, waiting, is_full }
    }

    /// One more message, which is meant to leave at `intended`.
    pub(super) fn begin(&mut self, intended: Instant) {
        self.waiting.push_back(intended);
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Instant> {
        self.waiting.drain(..)
    }

    /// There is room again.
    pub(super) fn writable(&mut self, desk: &Desk) {
        if self.is_full {
            (self.is_full, self.free) = (false, desk.now);
        }
    }

    /// Sends what may be sent; with segmentation, many in a call.
    pub(super) fn send(&mut self, io: &mut Io<'_, Linux>, desk: &mut Desk) -> Result<(), Failure> {
        while !self.is_full {
            let may = self.waiting.len().min(desk.window.saturating_sub(self.out));
            if may == 0 {
                return Ok(());
            }
            let (count, length) = self.compose(may, desk);
            match io.send(&desk.outbox[..length]) {
                Ok(epollite::Sent::Bytes(_)) => {}
                Ok(epollite::Sent::Nothing) => {
                    self.is_full = true;
                    return room::await_room(io);
                }
                // Thrown away on this machine: lost, and found to be in due time.
                Err(errno) if may_pass(errno) => desk.refused(count as u64, errno),
                // Linux before 6.14 says EINVAL where a segment does not fit into a packet.
                Err(errno) if errno == Errno::EMSGSIZE || desk.gso && errno == Errno::EINVAL => {
                    let bytes = length / count;
                    return Err(Failure::TooLong { bytes, is_segmented: desk.gso });
                }
                Err(errno) if is_ours(errno) => {
                    return Err(Failure::Call { call: "sendto", errno });
                }
                Err(errno) => return Err(self.closed(errno)),
            }
            for _ in 0..count {
                self.commit(desk);
            }
        }
        Ok(())
    }

    /// Takes and checks what has come. It stops when nothing more is owed, which saves the call
    /// that would say so; or, to find duplicates, only when the socket is empty.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_, Linux>,
        desk: &mut Desk,
        until_empty: bool,
    ) -> Result<(), Failure> {
        let mut inbox = std::mem::take(&mut desk.inbox);
        let mut result = Ok(());
        while self.out > 0 || until_empty {
            match io.kernel.recv(io.fd, &mut inbox) {
                Ok(count) => {
                    desk.now = io.kernel.now();
                    self.take(&inbox[..count], desk);
                }
                Err(errno) if errno.would_block() => break,
                Err(errno) if errno.interrupted() => {}
                Err(errno) => {
                    result = Err(if is_ours(errno) {
                        Failure::Call { call: "recvfrom", errno }
                    } else {
                        self.closed(errno)
                    });
                    break;
                }
            }
        }
        desk.inbox = inbox;
        result
    }

    /// Gives up what has been waited for too long. In a closed loop the next ones may leave.
    pub(super) fn expire(&mut self, loss_after: Duration, desk: &mut Desk) {
        if self.out == 0 {
            return;
        }
        for slot in &mut self.slots {
            if desk.now - slot.sent < loss_after {
                break;
            }
            if slot.fate == Fate::Out {
                slot.fate = Fate::Lost;
                if self.out == desk.window {
                    self.free = desk.now;
                }
                self.out -= 1;
                desk.owed -= 1;
                desk.meter.counts.lost += 1;
                if desk.answers_pace && desk.may_begin(desk.now) {
                    self.waiting.push_back(desk.now);
                }
            }
        }
        self.forget();
    }

    /// Checks one datagram.
    fn take(&mut self, got: &[u8], desk: &mut Desk) {
        let note = |desk: &mut Desk, message, wrong| {
            let connection = self.index;
            desk.meter.note(Mismatch { connection, offset: None, message, wrong });
        };
        let name = match desk.noise.read_header(got) {
            Some(name) if name.connection == self.index => name,
            Some(name) => return note(desk, name.number, Wrong::Foreign(name.connection)),
            None => return note(desk, self.first, self.unreadable(got, desk)),
        };
        let Some(at) = name.number.checked_sub(self.first) else {
            // Who it was is not known any more: as long as one of those is missed, it is that one.
            if self.forgotten_lost == 0 {
                return note(desk, name.number, Wrong::Duplicated);
            }
            self.forgotten_lost -= 1;
            desk.meter.counts.late += 1;
            return;
        };
        let slots = self.slots.len() as u64;
        let Some(at) = usize::try_from(at).ok().filter(|_| at < slots) else {
            return note(desk, self.first, self.unreadable(got, desk));
        };
        let slot = &mut self.slots[at];
        if got.len() != slot.size as usize {
            let wrong = Wrong::Length(got.len() as u64, u64::from(slot.size));
            note(desk, name.number, wrong);
        } else if let Some(place) = desk.noise.differs(name, 0, got) {
            let mut expected = [0];
            desk.noise.write(name, place, &mut expected);
            let wrong = Wrong::Altered { expected: expected[0], got: got[place] };
            note(desk, name.number, wrong);
        }
        match std::mem::replace(&mut slot.fate, Fate::Back) {
            Fate::Back => return note(desk, name.number, Wrong::Duplicated),
            Fate::Lost => {
                desk.meter.counts.late += 1;
                return;
            }
            Fate::Out => {}
        }
        if let Some(newest) = self.newest.filter(|&newest| newest > name.number) {
            note(desk, name.number, Wrong::Reordered(newest));
        }
        let Slot { intended, size, .. } = *slot;
        self.newest = self.newest.max(Some(name.number));
        if self.out == desk.window {
            self.free = desk.now;
        }
        self.out -= 1;
        desk.answered(1, intended, size);
        if desk.answers_pace && desk.may_begin(desk.now) {
            self.waiting.push_back(desk.now);
        }
        self.forget();
    }

    /// What is wrong with a datagram that does not say who it is: the first byte that is not that
    /// of the oldest one owed, which it most likely is.
    fn unreadable(&self, got: &[u8], desk: &Desk) -> Wrong {
        let Some(at) = self.slots.iter().position(|slot| slot.fate == Fate::Out) else {
            return Wrong::Surplus(got.len() as u64);
        };
        let name = Name { connection: self.index, number: self.first + at as u64 };
        let place = desk.noise.differs(name, 0, got);
        let mut expected = [0];
        match place {
            Some(place) => {
                desk.noise.write(name, place, &mut expected);
                Wrong::Altered { expected: expected[0], got: got[place] }
            }
            None => Wrong::Length(got.len() as u64, u64::from(self.slots[at].size)),
        }
    }

    fn closed(&self, errno: Errno) -> Failure {
        let owed = (self.out + self.waiting.len()) as u64;
        Failure::Closed { connection: self.index, offset: 0, owed, errno: Some(errno) }
    }

    /// Writes the next datagrams into the outbox: one, or with segmentation as many as one call
    /// takes.
    fn compose(&self, may: usize, desk: &mut Desk) -> (usize, usize) {
        let next = self.first + self.slots.len() as u64;
        let name = |at: usize| Name { connection: self.index, number: next + at as u64 };
        let size = desk.size(name(0)).0 as usize;
        let count =
            if desk.gso { may.min(SEGMENTS_MAX).min(SEGMENTED_BYTES_MAX / size).max(1) } else { 1 };
        if desk.outbox.len() < size {
            desk.outbox.resize(size, 0);
        }
        let row = Row { first: name(0), size };
        desk.noise.write_row(row, 0, &mut desk.outbox[..count * size]);
        (count, count * size)
    }

    fn commit(&mut self, desk: &mut Desk) {
        let Some(intended) = self.waiting.pop_front() else {
            return;
        };
        desk.leaves(1, intended.max(self.free));
        let number = self.first + self.slots.len() as u64;
        let (size, _) = desk.size(Name { connection: self.index, number });
        self.slots.push_back(Slot { intended, sent: desk.now, size, fate: Fate::Out });
        self.out += 1;
    }

    fn forget(&mut self) {
        while self.slots.len() > REMEMBERED && self.slots[0].fate != Fate::Out {
            let gone = self.slots.pop_front();
            self.forgotten_lost += u64::from(gone.is_some_and(|slot| slot.fate == Fate::Lost));
            self.first += 1;
        }
    }
}
