//! One UDP socket: datagrams out, and back in whatever order, every byte checked. It does not know
//! when its messages are meant to leave.

use std::collections::VecDeque;
use std::time::Duration;

use epollite::reactor::Io;
use epollite::{Errno, Instant, Kernel, Linux};

use super::error::{LoadError, is_ours};
use super::mismatch::{Mismatch, MismatchKind};
use super::payload::MessageId;
use super::run_of_messages::MessageRun;
use super::shared::{LoadState, OUT_BYTES};
use super::write_interest;

/// Datagrams that are over and done with are remembered so far back, to know a duplicate.
const DEDUP_WINDOW: usize = 256;

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
    expired_lost: u64,
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
    fate: SlotState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    InFlight,
    Received,
    Lost,
}

impl Socket {
    pub(super) fn new(index: u32) -> Self {
        let (slots, waiting) = (VecDeque::new(), VecDeque::new());
        let free = Instant::ZERO;
        let (out, expired_lost, newest, is_full) = (0, 0, None, false);
        Self { index, first: 0, slots, out, expired_lost, newest, free, waiting, is_full }
    }

    /// One more message, which is meant to leave at `intended`.
    pub(super) fn enqueue(&mut self, intended: Instant) {
        self.waiting.push_back(intended);
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn drop_queued(&mut self) -> impl Iterator<Item = Instant> {
        self.waiting.drain(..)
    }

    /// There is room again.
    pub(super) fn writable(&mut self, desk: &LoadState) {
        if self.is_full {
            (self.is_full, self.free) = (false, desk.now);
        }
    }

    /// Sends what may be sent; with segmentation, many in a call.
    pub(super) fn send(
        &mut self,
        io: &mut Io<'_, Linux>,
        desk: &mut LoadState,
    ) -> Result<(), LoadError> {
        while !self.is_full {
            let may = self.waiting.len().min(desk.window.saturating_sub(self.out));
            if may == 0 {
                return Ok(());
            }
            let (count, length) = self.fill_send_buffer(may, desk);
            match io.send(&desk.send_buffer[..length]) {
                Ok(epollite::Sent::Bytes(_)) => {}
                Ok(epollite::Sent::WouldBlock) => {
                    self.is_full = true;
                    return write_interest::enable_write_interest(io);
                }
                // Thrown away on this machine: lost, and found to be in due time.
                Err(errno) if may_pass(errno) => desk.refused(count as u64, errno),
                // Linux before 6.14 says EINVAL where a segment does not fit into a packet.
                Err(errno) if errno == Errno::EMSGSIZE || desk.gso && errno == Errno::EINVAL => {
                    let bytes = length / count;
                    return Err(LoadError::TooLong { bytes, is_segmented: desk.gso });
                }
                Err(errno) if is_ours(errno) => {
                    return Err(LoadError::Call { call: "sendto", errno });
                }
                Err(errno) => return Err(self.closed(errno)),
            }
            for _ in 0..count {
                self.mark_in_flight(desk);
            }
        }
        Ok(())
    }

    /// Takes and checks what has come. It stops when nothing more is owed, which saves the call
    /// that would say so; or, to find duplicates, only when the socket is empty.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_, Linux>,
        desk: &mut LoadState,
        until_empty: bool,
    ) -> Result<(), LoadError> {
        let mut inbox = std::mem::take(&mut desk.recv_buffer);
        let mut result = Ok(());
        while self.out > 0 || until_empty {
            match io.kernel.recv(io.fd, &mut inbox) {
                Ok(count) => {
                    desk.now = io.kernel.now();
                    self.check(&inbox[..count], desk);
                }
                Err(errno) if errno.is_would_block() => break,
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) => {
                    result = Err(if is_ours(errno) {
                        LoadError::Call { call: "recvfrom", errno }
                    } else {
                        self.closed(errno)
                    });
                    break;
                }
            }
        }
        desk.recv_buffer = inbox;
        result
    }

    /// Gives up what has been waited for too long. In a closed loop the next ones may leave.
    pub(super) fn expire(&mut self, loss_after: Duration, desk: &mut LoadState) {
        if self.out == 0 {
            return;
        }
        for slot in &mut self.slots {
            if desk.now - slot.sent < loss_after {
                break;
            }
            if slot.fate == SlotState::InFlight {
                slot.fate = SlotState::Lost;
                if self.out == desk.window {
                    self.free = desk.now;
                }
                self.out -= 1;
                desk.outstanding -= 1;
                desk.meter.counts.lost += 1;
                if desk.closed_loop && desk.try_start(desk.now) {
                    self.waiting.push_back(desk.now);
                }
            }
        }
        self.evict();
    }

    /// Checks one datagram.
    fn check(&mut self, got: &[u8], desk: &mut LoadState) {
        let note = |desk: &mut LoadState, message, wrong| {
            let connection = self.index;
            desk.meter.record_mismatch(Mismatch { connection, offset: None, message, wrong });
        };
        let name = match desk.noise.read_header(got) {
            Some(name) if name.connection == self.index => name,
            Some(name) => {
                return note(desk, name.number, MismatchKind::WrongConnection(name.connection));
            }
            None => return note(desk, self.first, self.classify_bad_header(got, desk)),
        };
        let Some(at) = name.number.checked_sub(self.first) else {
            // Who it was is not known any more: as long as one of those is missed, it is that one.
            if self.expired_lost == 0 {
                return note(desk, name.number, MismatchKind::Duplicated);
            }
            self.expired_lost -= 1;
            desk.meter.counts.late += 1;
            return;
        };
        let slots = self.slots.len() as u64;
        let Some(at) = usize::try_from(at).ok().filter(|_| at < slots) else {
            return note(desk, self.first, self.classify_bad_header(got, desk));
        };
        let slot = &mut self.slots[at];
        if got.len() != slot.size as usize {
            let wrong = MismatchKind::Length(got.len() as u64, u64::from(slot.size));
            note(desk, name.number, wrong);
        } else if let Some(place) = desk.noise.first_difference(name, 0, got) {
            let mut expected = [0];
            desk.noise.write(name, place, &mut expected);
            let wrong = MismatchKind::Altered { expected: expected[0], got: got[place] };
            note(desk, name.number, wrong);
        }
        match std::mem::replace(&mut slot.fate, SlotState::Received) {
            SlotState::Received => return note(desk, name.number, MismatchKind::Duplicated),
            SlotState::Lost => {
                desk.meter.counts.late += 1;
                return;
            }
            SlotState::InFlight => {}
        }
        if let Some(newest) = self.newest.filter(|&newest| newest > name.number) {
            note(desk, name.number, MismatchKind::Reordered(newest));
        }
        let Slot { intended, size, .. } = *slot;
        self.newest = self.newest.max(Some(name.number));
        if self.out == desk.window {
            self.free = desk.now;
        }
        self.out -= 1;
        desk.record_response(1, intended, size);
        if desk.closed_loop && desk.try_start(desk.now) {
            self.waiting.push_back(desk.now);
        }
        self.evict();
    }

    /// What is wrong with a datagram that does not say who it is: the first byte that is not that
    /// of the oldest one owed, which it most likely is.
    fn classify_bad_header(&self, got: &[u8], desk: &LoadState) -> MismatchKind {
        let Some(at) = self.slots.iter().position(|slot| slot.fate == SlotState::InFlight) else {
            return MismatchKind::Extra(got.len() as u64);
        };
        let name = MessageId { connection: self.index, number: self.first + at as u64 };
        let place = desk.noise.first_difference(name, 0, got);
        let mut expected = [0];
        match place {
            Some(place) => {
                desk.noise.write(name, place, &mut expected);
                MismatchKind::Altered { expected: expected[0], got: got[place] }
            }
            None => MismatchKind::Length(got.len() as u64, u64::from(self.slots[at].size)),
        }
    }

    fn closed(&self, errno: Errno) -> LoadError {
        let owed = (self.out + self.waiting.len()) as u64;
        LoadError::Closed { connection: self.index, offset: 0, owed, errno: Some(errno) }
    }

    /// Writes the next datagrams into the outbox: one, or with segmentation as many as one call
    /// takes.
    fn fill_send_buffer(&self, may: usize, desk: &mut LoadState) -> (usize, usize) {
        let next = self.first + self.slots.len() as u64;
        let name = |at: usize| MessageId { connection: self.index, number: next + at as u64 };
        let size = desk.size(name(0)).0 as usize;
        let count =
            if desk.gso { may.min(SEGMENTS_MAX).min(SEGMENTED_BYTES_MAX / size).max(1) } else { 1 };
        if desk.send_buffer.len() < size {
            desk.send_buffer.resize(size, 0);
        }
        let row = MessageRun { first: name(0), size };
        desk.noise.write_row(row, 0, &mut desk.send_buffer[..count * size]);
        (count, count * size)
    }

    fn mark_in_flight(&mut self, desk: &mut LoadState) {
        let Some(intended) = self.waiting.pop_front() else {
            return;
        };
        desk.record_sent(1, intended.max(self.free));
        let number = self.first + self.slots.len() as u64;
        let (size, _) = desk.size(MessageId { connection: self.index, number });
        self.slots.push_back(Slot { intended, sent: desk.now, size, fate: SlotState::InFlight });
        self.out += 1;
    }

    fn evict(&mut self) {
        while self.slots.len() > DEDUP_WINDOW && self.slots[0].fate != SlotState::InFlight {
            let gone = self.slots.pop_front();
            self.expired_lost += u64::from(gone.is_some_and(|slot| slot.fate == SlotState::Lost));
            self.first += 1;
        }
    }
}
