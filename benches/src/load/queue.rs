//! The messages of one connection: queued, being sent, sent, received. It knows numbers and
//! lengths, neither bytes nor sockets.

use std::collections::VecDeque;

use epollite::Instant;

use super::payload::MessageId;
use super::run_of_messages::MessageRun;

/// Queue of messages. Messages with the same size and send time are handled as one batch: in a
/// closed loop, those whose responses arrived together are sent together.
///
/// ```text
///   batches:  partly received | sent | being sent | to send | queued
///             first, received_of      unsent                in_flight ends here
///   bytes:    offset ends here, in_flight_bytes follow, the rest is not sent
/// ```
#[derive(Debug, Default)]
pub(super) struct Queue {
    connection: u32,
    /// Number of batches in flight (sent, or to be sent immediately), and of their messages.
    batches_in_flight: u32,
    pub(super) in_flight: u32,
    /// Number of the first message, and how many bytes of its batch were received.
    first: u64,
    received_of: usize,
    batches: VecDeque<Batch>,
    unsent: SendCursor,
    /// Bytes received, and bytes sent but not yet received.
    pub(super) offset: u64,
    pub(super) in_flight_bytes: usize,
}

/// Messages with the same intended send time and size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) intended: Instant,
    /// 0 until the batch is in flight.
    pub(super) size: u32,
    pub(super) count: u32,
}

impl Batch {
    const fn bytes(&self) -> usize {
        self.size as usize * self.count as usize
    }
}

/// Position of sending: the first batch that is not sent completely, the number of its first
/// message, and how many of its bytes are sent.
#[derive(Debug, Clone, Copy, Default)]
struct SendCursor {
    batch: u32,
    first: u64,
    batch_offset: usize,
}

/// A range of bytes of a run of messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) run: MessageRun,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl Queue {
    /// An empty queue; the first message of this connection will have the number `first`.
    pub(super) fn new(connection: u32, first: u64) -> Self {
        let unsent = SendCursor { first, ..SendCursor::default() };
        Self { connection, first, unsent, ..Self::default() }
    }

    /// Enqueues `count` messages with the given intended send time; 0 adds no batch.
    pub(super) fn enqueue(&mut self, intended: Instant, count: u32) {
        if count == 0 {
            return;
        }
        let is_queued = (self.batches_in_flight as usize) < self.batches.len();
        match self.batches.back_mut() {
            Some(last) if is_queued && last.intended == intended => last.count += count,
            _ => self.batches.push_back(Batch { intended, size: 0, count }),
        }
    }

    /// Drops the queued messages; returns their intended send times.
    pub(super) fn drop_queued(&mut self) -> impl Iterator<Item = Instant> {
        let waiting = self.batches.drain(self.batches_in_flight as usize..);
        waiting.flat_map(|Batch { intended, count, .. }| (0..count).map(move |_| intended))
    }

    /// Moves the next batch into flight, or as much of it as fits into the window and has one size:
    /// `size` returns the size of a message and how many messages from it on have that size.
    pub(super) fn start_batch(
        &mut self,
        window: usize,
        size: impl FnOnce(MessageId) -> (u32, u32),
    ) -> Option<Batch> {
        let room = window.checked_sub(self.in_flight as usize).filter(|&room| room > 0)?;
        let at = self.batches_in_flight as usize;
        let batch = self.batches.get_mut(at)?;
        let number = self.first + u64::from(self.in_flight);
        let (size, alike) = size(MessageId { connection: self.connection, number });
        let count = batch.count.min(alike).min(u32::try_from(room).unwrap_or(u32::MAX));
        let rest = Batch { count: batch.count - count, ..*batch };
        *batch = Batch { size, count, ..*batch };
        let started = *batch;
        self.batches_in_flight += 1;
        self.in_flight += count;
        if rest.count > 0 {
            self.batches.insert(at + 1, rest);
        }
        Some(started)
    }

    /// The segments to send, in order.
    pub(super) fn sendable(&self) -> impl Iterator<Item = Segment> {
        let SendCursor { batch, mut first, batch_offset: of } = self.unsent;
        let mut offset = of;
        self.batches.range(batch as usize..self.batches_in_flight as usize).map(move |batch| {
            let run = self.run(first, batch);
            let part = Segment { run, offset, bytes: batch.bytes() - offset };
            first += u64::from(batch.count);
            offset = 0;
            part
        })
    }

    /// The first segment to send, and whether it is the last one.
    #[inline]
    pub(super) fn next_to_send(&self) -> Option<(Segment, bool)> {
        let SendCursor { batch: at, first, batch_offset: of } = self.unsent;
        let batch = self.batches.get(at as usize).filter(|_| at < self.batches_in_flight)?;
        let part = Segment { run: self.run(first, batch), offset: of, bytes: batch.bytes() - of };
        Some((part, at + 1 == self.batches_in_flight))
    }

    /// Advances by bytes sent.
    #[inline]
    pub(super) fn sent(&mut self, bytes: usize) {
        self.in_flight_bytes += bytes;
        let SendCursor { batch, first, batch_offset: of } = &mut self.unsent;
        *of += bytes;
        while *batch < self.batches_in_flight
            && let Some(of_next) = of.checked_sub(self.batches[*batch as usize].bytes())
        {
            *of = of_next;
            *first += u64::from(self.batches[*batch as usize].count);
            *batch += 1;
        }
    }

    /// The segment expected next. Only its first [`in_flight_bytes`](Self::in_flight_bytes) can be
    /// a response.
    #[inline]
    pub(super) fn expected(&self) -> Option<Segment> {
        let batch = self.batches.front()?;
        let (run, offset) = (self.run(self.first, batch), self.received_of);
        Some(Segment { run, offset, bytes: batch.bytes() - offset })
    }

    /// Advances by received bytes of the first batch. Returns the messages completed by them, if
    /// any.
    #[inline]
    pub(super) fn received(&mut self, bytes: usize) -> Option<Batch> {
        let due = self.expected().map_or(0, |due| due.bytes);
        debug_assert!(
            bytes <= self.in_flight_bytes && bytes <= due,
            "the bytes were sent, and belong to that batch"
        );
        self.offset += bytes as u64;
        self.in_flight_bytes -= bytes;
        self.received_of += bytes;
        let batch = self.batches.front_mut()?;
        let size = batch.size as usize;
        if self.received_of < size {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "not more than the batch has")]
        let count = (self.received_of / size) as u32;
        let whole = Batch { count, ..*batch };
        batch.count -= count;
        self.first += u64::from(count);
        self.in_flight -= count;
        self.received_of -= whole.bytes();
        if batch.count == 0 {
            self.batches.pop_front();
            self.batches_in_flight -= 1;
            self.unsent.batch -= 1;
        } else if self.unsent.batch == 0 {
            self.unsent.first += u64::from(count);
            self.unsent.batch_offset -= whole.bytes();
        }
        Some(whole)
    }

    /// Number of messages queued or in flight.
    pub(super) fn outstanding(&self) -> u64 {
        self.batches.iter().map(|batch| u64::from(batch.count)).sum()
    }

    /// The message expected next, and how many bytes of it were received.
    pub(super) fn expected_message(&self) -> (MessageId, usize) {
        let not_started = (MessageId { connection: self.connection, number: self.first }, 0);
        self.expected().map_or(not_started, |due| due.run.at(due.offset))
    }

    /// The first message that is not sent completely, and how many bytes of it are sent. It may
    /// still be queued, or not exist yet.
    pub(super) fn send_position(&self) -> (MessageId, usize) {
        let not_started = (MessageId { connection: self.connection, number: self.unsent.first }, 0);
        self.sendable().next().map_or(not_started, |part| part.run.at(part.offset))
    }

    fn run(&self, first: u64, batch: &Batch) -> MessageRun {
        let first = MessageId { connection: self.connection, number: first };
        MessageRun { first, size: batch.size as usize }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Reference model that handles each message separately.
    #[derive(Debug, Default)]
    struct Model {
        first: u64,
        /// Intended send time of each message.
        messages: VecDeque<Instant>,
        in_flight: usize,
        /// Of the bytes in flight, how many are sent, and how many were received.
        sent: usize,
        received: usize,
        offset: u64,
    }

    impl Model {
        /// The message containing this byte of those in flight, and the offset in it.
        fn at(&self, byte: usize, size: impl Fn(u64) -> u32) -> (u64, usize) {
            let (mut number, mut rest) = (self.first, byte);
            while rest >= size(number) as usize && number < self.first + self.in_flight as u64 {
                rest -= size(number) as usize;
                number += 1;
            }
            (number, rest)
        }

        fn bytes(&self, size: impl Fn(u64) -> u32) -> usize {
            let numbers = self.first..self.first + self.in_flight as u64;
            numbers.map(|number| size(number) as usize).sum()
        }
    }

    #[track_caller]
    fn agree(queue: &Queue, model: &Model, size: impl Fn(u64) -> u32 + Copy) {
        assert_eq!(queue.outstanding(), model.messages.len() as u64);
        assert_eq!(queue.in_flight as usize, model.in_flight);
        assert_eq!(
            (queue.offset, queue.in_flight_bytes),
            (model.offset, model.sent - model.received)
        );
        let place = |(id, of): (MessageId, usize)| (id.number, of);
        assert_eq!(place(queue.expected_message()), model.at(model.received, size));
        assert_eq!(place(queue.send_position()), model.at(model.sent, size));
        let mut byte = model.sent;
        for Segment { run, offset, bytes } in queue.sendable() {
            assert_eq!(place(run.at(offset)), model.at(byte, size));
            byte += bytes;
        }
        assert_eq!(byte, model.bytes(size), "everything in flight and not sent is sendable");
        let parts = queue.sendable().count();
        assert_eq!(
            queue.next_to_send().map(|(_, is_last)| is_last),
            (parts > 0).then_some(parts == 1)
        );
    }

    #[test]
    fn the_queue_matches_a_model_of_single_messages() {
        for seed in 0..400 {
            let mut random = StdRng::seed_from_u64(seed);
            let is_fixed = seed % 2 == 0;
            let size = |number: u64| if is_fixed { 10 } else { 1 + (number * 7 % 23) as u32 };
            let alike = if is_fixed { u32::MAX } else { 1 };
            let window = random.random_range(1..20);
            let (mut queue, mut model) = (Queue::new(5, 3), Model { first: 3, ..Model::default() });
            for step in 0..400 {
                match random.random_range(0..4) {
                    0 => {
                        let intended = Instant::from_nanos(step / 3);
                        let count = random.random_range(1..8);
                        queue.enqueue(intended, count);
                        model.messages.extend((0..count).map(|_| intended));
                    }
                    1 => {
                        while let Some(batch) =
                            queue.start_batch(window, |id| (size(id.number), alike))
                        {
                            let end = model.in_flight + batch.count as usize;
                            for at in model.in_flight..end {
                                assert_eq!(model.messages[at], batch.intended);
                                assert_eq!(size(model.first + at as u64), batch.size);
                            }
                            model.in_flight = end;
                        }
                        assert_eq!(model.in_flight, window.min(model.messages.len()));
                    }
                    2 => {
                        let bytes = random.random_range(0..=model.bytes(size) - model.sent);
                        queue.sent(bytes);
                        model.sent += bytes;
                    }
                    _ => {
                        let mut bytes = random.random_range(0..=queue.in_flight_bytes);
                        while bytes > 0 {
                            let due = queue.expected().expect("bytes are in flight");
                            let mine = bytes.min(due.bytes);
                            bytes -= mine;
                            (model.received, model.offset) =
                                (model.received + mine, model.offset + mine as u64);
                            let whole = queue.received(mine);
                            let (number, back) = model.at(model.received, size);
                            let count = number - model.first;
                            assert_eq!(whole.map_or(0, |batch| u64::from(batch.count)), count);
                            let gone = model.received - back;
                            for _ in 0..count {
                                let intended = model.messages.pop_front();
                                assert_eq!(intended, whole.map(|batch| batch.intended));
                            }
                            model.first = number;
                            model.in_flight -= usize::try_from(count).expect("they were in flight");
                            (model.sent, model.received) = (model.sent - gone, back);
                        }
                    }
                }
                agree(&queue, &model, size);
            }
            let waiting: Vec<Instant> = queue.drop_queued().collect();
            assert_eq!(waiting, model.messages.make_contiguous()[model.in_flight..]);
        }
    }
}
