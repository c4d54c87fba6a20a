//! The messages of one connection on their way: waiting, to be sent, sent, back. It knows numbers
//! and lengths, and neither bytes nor sockets.

use std::collections::VecDeque;

use epollite::Instant;

use super::noise::Name;
use super::row::Row;

/// The queue. Messages that are alike go through it together: where answers pace the load, those
/// that came back together leave together.
///
/// ```text
///   batches:  back in part | sent | being sent | to send | waiting
///             first, back_of        unsent                under_way ends here
///   bytes:    offset ends here, outside follows, of the rest none is sent
/// ```
#[derive(Debug)]
pub(super) struct Queue {
    connection: u32,
    /// Of the batches, so many are under way: sent, or to be sent at once; and their messages.
    batches_under_way: u32,
    under_way: u32,
    /// The number of the first message, and how much of its batch is back.
    first: u64,
    back_of: usize,
    batches: VecDeque<Batch>,
    unsent: Unsent,
    /// Bytes that have come back, and bytes that were sent and have not.
    offset: u64,
    outside: usize,
}

/// Messages that were meant to leave at the same time, and are equally long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) intended: Instant,
    /// Known once it is under way.
    pub(super) size: u32,
    pub(super) count: u32,
}

impl Batch {
    const fn bytes(&self) -> usize {
        self.size as usize * self.count as usize
    }
}

/// How far we are with sending: the first batch that is not sent whole, the number of its first
/// message, and how many of its bytes are sent.
#[derive(Debug, Clone, Copy)]
struct Unsent {
    batch: u32,
    first: u64,
    of: usize,
}

/// So many bytes of a row, from an offset on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) row: Row,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl Queue {
    /// Nothing yet; the first message of this connection will have this number.
    pub(super) fn new(connection: u32, first: u64) -> Self {
        Self {
            connection,
            batches_under_way: 0,
            under_way: 0,
            first,
            back_of: 0,
            batches: VecDeque::new(),
            unsent: Unsent { batch: 0, first, of: 0 },
            offset: 0,
            outside: 0,
        }
    }

    /// So many messages more, which are meant to leave at `intended`. They wait.
    pub(super) fn begin(&mut self, intended: Instant, count: u32) {
        let waits = (self.batches_under_way as usize) < self.batches.len();
        match self.batches.back_mut() {
            Some(last) if waits && last.intended == intended => last.count += count,
            _ => self.batches.push_back(Batch { intended, size: 0, count }),
        }
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Instant> {
        let waiting = self.batches.drain(self.batches_under_way as usize..);
        waiting.flat_map(|Batch { intended, count, .. }| (0..count).map(move |_| intended))
    }

    /// Lets the next batch out, or as many of it as there is room for in the window, and as are
    /// of one size: `size` says how long a message is and how many from it on are as long.
    pub(super) fn commit(
        &mut self,
        window: usize,
        size: impl FnOnce(Name) -> (u32, u32),
    ) -> Option<Batch> {
        let room = window.checked_sub(self.under_way as usize).filter(|&room| room > 0)?;
        let at = self.batches_under_way as usize;
        let batch = self.batches.get_mut(at)?;
        let number = self.first + u64::from(self.under_way);
        let (size, alike) = size(Name { connection: self.connection, number });
        let count = batch.count.min(alike).min(u32::try_from(room).unwrap_or(u32::MAX));
        let rest = Batch { count: batch.count - count, ..*batch };
        *batch = Batch { size, count, ..*batch };
        let committed = *batch;
        self.batches_under_way += 1;
        self.under_way += count;
        if rest.count > 0 {
            self.batches.insert(at + 1, rest);
        }
        Some(committed)
    }

    /// What is to be sent, in order.
    pub(super) fn to_send(&self) -> impl Iterator<Item = Part> {
        let Unsent { batch, mut first, of } = self.unsent;
        let mut offset = of;
        self.batches.range(batch as usize..self.batches_under_way as usize).map(move |batch| {
            let row = self.row(first, batch);
            let part = Part { row, offset, bytes: batch.bytes() - offset };
            first += u64::from(batch.count);
            offset = 0;
            part
        })
    }

    /// The first part of that, and whether it is all.
    #[inline]
    pub(super) fn next_to_send(&self) -> Option<(Part, bool)> {
        let Unsent { batch: at, first, of } = self.unsent;
        let batch = self.batches.get(at as usize).filter(|_| at < self.batches_under_way)?;
        let part = Part { row: self.row(first, batch), offset: of, bytes: batch.bytes() - of };
        Some((part, at + 1 == self.batches_under_way))
    }

    /// So many bytes more are sent.
    #[inline]
    pub(super) fn sent(&mut self, bytes: usize) {
        self.outside += bytes;
        let Unsent { batch, first, of } = &mut self.unsent;
        *of += bytes;
        while *batch < self.batches_under_way
            && let Some(of_next) = of.checked_sub(self.batches[*batch as usize].bytes())
        {
            *of = of_next;
            *first += u64::from(self.batches[*batch as usize].count);
            *batch += 1;
        }
    }

    /// What is to come back next. Of it, only [`outside`](Self::outside) can be an answer.
    #[inline]
    pub(super) fn due(&self) -> Option<Part> {
        let batch = self.batches.front()?;
        let (row, offset) = (self.row(self.first, batch), self.back_of);
        Some(Part { row, offset, bytes: batch.bytes() - offset })
    }

    /// So many bytes more of the first batch are back. Returns the messages that this makes whole,
    /// if it does.
    #[inline]
    pub(super) fn back(&mut self, bytes: usize) -> Option<Batch> {
        self.offset += bytes as u64;
        self.outside -= bytes;
        self.back_of += bytes;
        let batch = self.batches.front_mut()?;
        let size = batch.size as usize;
        if self.back_of < size {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than the batch has")]
        let count = (self.back_of / size) as u32;
        let whole = Batch { count, ..*batch };
        batch.count -= count;
        self.first += u64::from(count);
        self.under_way -= count;
        self.back_of -= whole.bytes();
        if batch.count == 0 {
            self.batches.pop_front();
            self.batches_under_way -= 1;
            self.unsent.batch -= 1;
        } else if self.unsent.batch == 0 {
            self.unsent.first += u64::from(count);
            self.unsent.of -= whole.bytes();
        }
        Some(whole)
    }

    /// Messages that wait, or are under way.
    pub(super) fn owed(&self) -> u64 {
        self.batches.iter().map(|batch| u64::from(batch.count)).sum()
    }

    /// Messages under way.
    pub(super) const fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Bytes that have come back.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that were sent and have not come back.
    pub(super) const fn outside(&self) -> usize {
        self.outside
    }

    /// The message that is due next, and how much of it is back.
    pub(super) fn next(&self) -> (Name, usize) {
        let nobody = (Name { connection: self.connection, number: self.first }, 0);
        self.due().map_or(nobody, |due| due.row.at(due.offset))
    }

    /// The first message that is not sent whole, and how much of it is sent.
    pub(super) fn next_unsent(&self) -> (Name, usize) {
        let nobody = (Name { connection: self.connection, number: self.unsent.first }, 0);
        self.to_send().next().map_or(nobody, |part| part.row.at(part.offset))
    }

    fn row(&self, first: u64, batch: &Batch) -> Row {
        let first = Name { connection: self.connection, number: first };
        Row { first, size: batch.size as usize }
    }
}
