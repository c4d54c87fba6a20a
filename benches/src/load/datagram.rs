//! One UDP socket: sends datagrams and checks every byte of the echoes, in whatever order they
//! arrive. It does not decide when messages are sent.

use std::collections::VecDeque;
use std::time::Duration;

use super::write_interest::Io;
use epollite::{Errno, Instant, Kernel};

use super::error::{LoadError, Result, is_local};
use super::mismatch::{Mismatch, MismatchKind};
use super::payload::MessageId;
use super::run_of_messages::MessageRun;
use super::shared::{LoadState, OUT_BYTES};
use super::write_interest;

/// Number of finished datagrams remembered, to detect duplicates.
const DEDUP_WINDOW: usize = 256;

/// Maximum number of datagrams per call: the kernel's bound (`UDP_MAX_SEGMENTS`; 64 in older
/// kernels).
const SEGMENTS_MAX: usize = 64;

/// Maximum number of bytes per call: one IP packet before segmentation.
const SEGMENTED_BYTES_MAX: usize = 65_000;
const _: () = assert!(SEGMENTED_BYTES_MAX <= OUT_BYTES);

/// Whether later datagrams may succeed although this one failed: a local firewall drops some, a
/// route returns, memory becomes free.
const fn is_transient(errno: Errno) -> bool {
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

/// Receives a message: its length, and that of its datagrams, the last of which may be shorter.
/// Several datagrams are one message if the socket receives segments.
fn receive_message(
    io: &mut Io<'_>,
    buf: &mut [u8],
    has_segments: bool,
) -> Result<(usize, usize), Errno> {
    if !has_segments {
        return io.syscall(|kernel, fd| kernel.recv(fd, buf)).map(|count| (count, count));
    }
    let message = io.syscall(|kernel, fd| kernel.recvmsg(fd, buf))?;
    let count = message.len_bytes.min(buf.len());
    Ok((count, if message.segment_bytes == 0 { count } else { message.segment_bytes.into() }))
}

/// One socket, connected to the server.
#[derive(Debug, Default)]
pub(super) struct Socket {
    index: u32,
    /// The number of the message at the front of `slots`.
    first: u64,
    slots: VecDeque<Slot>,
    /// Number of slots in flight.
    in_flight: usize,
    /// Number of evicted slots that were lost and have not arrived late.
    expired_lost: u64,
    /// The highest message number received.
    newest: Option<u64>,
    /// Since when the window has had room for another message.
    window_open_since: Instant,
    waiting: VecDeque<Instant>,
    is_full: bool,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    intended: Instant,
    sent: Instant,
    size: u32,
    state: SlotState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    InFlight,
    Received,
    Lost,
}

impl Socket {
    pub(super) fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    /// Enqueues one message with the given intended send time.
    pub(super) fn enqueue(&mut self, intended: Instant) {
        self.waiting.push_back(intended);
    }

    /// Drops the queued messages; returns their intended send times.
    pub(super) fn drop_queued(&mut self) -> impl Iterator<Item = Instant> {
        self.waiting.drain(..)
    }

    /// Handles OUT: the socket accepts data again.
    pub(super) fn writable(&mut self, shared: &LoadState) {
        if self.is_full {
            (self.is_full, self.window_open_since) = (false, shared.now);
        }
    }

    /// Sends queued messages within the window; with segmentation, many per call.
    pub(super) fn send(&mut self, io: &mut Io<'_>, shared: &mut LoadState) -> Result<()> {
        while !self.is_full {
            let allowed = self.waiting.len().min(shared.window.saturating_sub(self.in_flight));
            if allowed == 0 {
                return Ok(());
            }
            let (count, length) = self.fill_send_buffer(allowed, shared);
            match io.send(&shared.send_buffer[..length]) {
                Ok(epollite::Sent::Bytes(_)) => {}
                Ok(epollite::Sent::WouldBlock) => {
                    self.is_full = true;
                    return write_interest::enable_write_interest(io);
                }
                // Dropped on this machine: it will be counted as lost when its time is over.
                Err(errno) if is_transient(errno) => shared.refused(count as u64, errno),
                // Linux before 6.14 returns EINVAL when a segment does not fit into a packet.
                Err(errno) if errno == Errno::EMSGSIZE || shared.gso && errno == Errno::EINVAL => {
                    let bytes = length / count;
                    return Err(LoadError::TooLong { bytes, is_segmented: shared.gso });
                }
                Err(errno) if is_local(errno) => {
                    return Err(LoadError::Call { call: "sendto", errno });
                }
                Err(errno) => return Err(self.closed(errno)),
            }
            for _ in 0..count {
                self.mark_in_flight(shared);
            }
        }
        Ok(())
    }

    /// Receives and checks datagrams. Stops when nothing is outstanding, which saves the call that
    /// would return `EAGAIN`; with `until_empty`, only when the socket is empty, to find
    /// duplicates.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_>,
        shared: &mut LoadState,
        until_empty: bool,
    ) -> Result<()> {
        let mut buf = std::mem::take(&mut shared.recv_buffer);
        let mut result = Ok(());
        while self.in_flight > 0 || until_empty {
            match receive_message(io, &mut buf, shared.gso) {
                Ok((count, segment_bytes)) => {
                    shared.now = io.now();
                    // At least one, even if it is empty.
                    let (first, rest) = buf[..count].split_at(segment_bytes.min(count));
                    self.check(first, shared);
                    rest.chunks(segment_bytes.max(1)).for_each(|more| self.check(more, shared));
                }
                Err(errno) if errno.is_would_block() => break,
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) => {
                    result = Err(if is_local(errno) {
                        LoadError::Call { call: "recvfrom", errno }
                    } else {
                        self.closed(errno)
                    });
                    break;
                }
            }
        }
        shared.recv_buffer = buf;
        result
    }

    /// Counts datagrams older than `loss_after` as lost. In a closed loop the next ones may be
    /// sent.
    pub(super) fn expire(&mut self, loss_after: Duration, shared: &mut LoadState) {
        if self.in_flight == 0 {
            return;
        }
        for slot in &mut self.slots {
            if shared.now - slot.sent < loss_after {
                break;
            }
            if slot.state == SlotState::InFlight {
                slot.state = SlotState::Lost;
                if self.in_flight == shared.window {
                    self.window_open_since = shared.now;
                }
                self.in_flight -= 1;
                shared.outstanding -= 1;
                shared.meter.counts.lost += 1;
                if shared.closed_loop && shared.try_start(shared.now) {
                    self.waiting.push_back(shared.now);
                }
            }
        }
        self.evict();
    }

    /// Checks one datagram.
    fn check(&mut self, got: &[u8], shared: &mut LoadState) {
        let record = |shared: &mut LoadState, message, wrong| {
            let connection = self.index;
            shared.meter.record_mismatch(Mismatch { connection, offset: None, message, wrong });
        };
        let id = match shared.payload.read_header(got) {
            Some(id) if id.connection == self.index => id,
            Some(id) => {
                return record(shared, id.number, MismatchKind::WrongConnection(id.connection));
            }
            None => return record(shared, self.first, self.classify_bad_header(got, shared)),
        };
        let Some(at) = id.number.checked_sub(self.first) else {
            // Evicted, so its slot is unknown: while evicted datagrams are missing, it is one of
            // them.
            if self.expired_lost == 0 {
                return record(shared, id.number, MismatchKind::Duplicated);
            }
            self.expired_lost -= 1;
            shared.meter.counts.late += 1;
            return;
        };
        let slots = self.slots.len() as u64;
        let Some(at) = usize::try_from(at).ok().filter(|_| at < slots) else {
            return record(shared, self.first, self.classify_bad_header(got, shared));
        };
        let slot = &mut self.slots[at];
        if got.len() != slot.size as usize {
            let wrong = MismatchKind::Length(got.len() as u64, u64::from(slot.size));
            record(shared, id.number, wrong);
        } else if let Some(offset) = shared.payload.first_difference(id, 0, got) {
            let expected = shared.payload.byte(id, offset);
            let wrong = MismatchKind::Altered { expected, got: got[offset] };
            record(shared, id.number, wrong);
        }
        match std::mem::replace(&mut slot.state, SlotState::Received) {
            SlotState::Received => return record(shared, id.number, MismatchKind::Duplicated),
            SlotState::Lost => {
                shared.meter.counts.late += 1;
                return;
            }
            SlotState::InFlight => {}
        }
        if let Some(newest) = self.newest.filter(|&newest| newest > id.number) {
            record(shared, id.number, MismatchKind::Reordered(newest));
        }
        let Slot { intended, size, .. } = *slot;
        self.newest = self.newest.max(Some(id.number));
        if self.in_flight == shared.window {
            self.window_open_since = shared.now;
        }
        self.in_flight -= 1;
        shared.record_response(1, intended, size);
        if shared.closed_loop && shared.try_start(shared.now) {
            self.waiting.push_back(shared.now);
        }
        self.evict();
    }

    /// Classifies a datagram without a valid header: reports its first byte that differs from the
    /// oldest datagram in flight, which it most likely is.
    fn classify_bad_header(&self, got: &[u8], shared: &LoadState) -> MismatchKind {
        let Some(at) = self.slots.iter().position(|slot| slot.state == SlotState::InFlight) else {
            return MismatchKind::Extra(got.len() as u64);
        };
        let id = MessageId { connection: self.index, number: self.first + at as u64 };
        match shared.payload.first_difference(id, 0, got) {
            Some(offset) => {
                let expected = shared.payload.byte(id, offset);
                MismatchKind::Altered { expected, got: got[offset] }
            }
            None => MismatchKind::Length(got.len() as u64, u64::from(self.slots[at].size)),
        }
    }

    fn closed(&self, errno: Errno) -> LoadError {
        let outstanding = (self.in_flight + self.waiting.len()) as u64;
        LoadError::Closed { connection: self.index, offset: 0, outstanding, errno: Some(errno) }
    }

    /// Writes the next datagrams into the send buffer: one, or with segmentation as many as fit
    /// into one call.
    fn fill_send_buffer(&self, allowed: usize, shared: &mut LoadState) -> (usize, usize) {
        let next = self.first + self.slots.len() as u64;
        let id = |at: usize| MessageId { connection: self.index, number: next + at as u64 };
        let size = shared.size(id(0)).0 as usize;
        let count = if shared.gso {
            allowed.min(SEGMENTS_MAX).min(SEGMENTED_BYTES_MAX / size).max(1)
        } else {
            1
        };
        if shared.send_buffer.len() < size {
            shared.send_buffer.resize(size, 0);
        }
        let run = MessageRun { first: id(0), size };
        shared.payload.write_run(run, 0, &mut shared.send_buffer[..count * size]);
        (count, count * size)
    }

    fn mark_in_flight(&mut self, shared: &mut LoadState) {
        let Some(intended) = self.waiting.pop_front() else {
            return;
        };
        shared.record_sent(1, intended.max(self.window_open_since));
        let number = self.first + self.slots.len() as u64;
        let (size, _) = shared.size(MessageId { connection: self.index, number });
        self.slots.push_back(Slot { intended, sent: shared.now, size, state: SlotState::InFlight });
        self.in_flight += 1;
    }

    fn evict(&mut self) {
        while self.slots.len() > DEDUP_WINDOW && self.slots[0].state != SlotState::InFlight {
            let evicted = self.slots.pop_front();
            self.expired_lost +=
                u64::from(evicted.is_some_and(|slot| slot.state == SlotState::Lost));
            self.first += 1;
        }
    }
}
