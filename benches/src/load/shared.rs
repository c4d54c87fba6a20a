//! What all connections share: the clock of the slice, the budget of messages, buffers, the meter.
//! It knows no connection.

use epollite::{Errno, Instant};

use super::config::{Config, Length};
use super::metrics::Metrics;
use super::payload::{CHUNK_BYTES, MessageId, Payload};
use super::run_of_messages::stride;
use super::sizes::Sizes;

/// Bytes of messages that leave together in one call, copied beside each other.
pub(super) const OUT_BYTES: usize = 64 * 1024;

/// The desk.
#[derive(Debug)]
pub(super) struct LoadState {
    pub(super) payload: Payload,
    pub(super) sizes: Sizes,
    pub(super) seed: u64,
    /// Messages that may be under way in each connection.
    pub(super) window: usize,
    /// Whether an answer makes the next message leave.
    pub(super) closed_loop: bool,
    /// Whether a connection has but one message.
    pub(super) churn: bool,
    /// Whether a short read means that nothing more is there: of TCP, not of a Unix socket.
    pub(super) short_read_drains: bool,
    pub(super) gso: bool,
    /// When the clock was last looked at.
    pub(super) now: Instant,
    /// No message begins after this.
    pub(super) end: Instant,
    /// So many may still begin.
    pub(super) remaining: u64,
    /// Begun, waiting or under way, and not answered.
    pub(super) outstanding: u64,
    /// Of those, not yet on their way.
    pub(super) queued: u64,
    pub(super) last_answer: Instant,
    /// Whether any answer came since the load was opened.
    pub(super) has_answers: bool,
    /// Why this machine last refused to send a datagram, in the slice that runs.
    pub(super) refusal: Option<Errno>,
    pub(super) meter: Metrics,
    pub(super) recv_buffer: Vec<u8>,
    pub(super) send_buffer: Vec<u8>,
}

impl LoadState {
    pub(super) fn new(config: &Config, run: u32) -> Self {
        Self {
            payload: Payload::new(run, stride(&config.sizes)),
            sizes: config.sizes.clone(),
            seed: config.seed,
            window: config.window(),
            closed_loop: config.pace.rate().is_none(),
            churn: config.churn,
            short_read_drains: matches!(config.target, super::Target::Tcp(_)),
            gso: config.gso,
            now: Instant::ZERO,
            end: Instant::ZERO,
            remaining: 0,
            outstanding: 0,
            queued: 0,
            last_answer: Instant::ZERO,
            has_answers: false,
            refusal: None,
            meter: Metrics::new(),
            recv_buffer: vec![0; CHUNK_BYTES],
            send_buffer: vec![0; OUT_BYTES],
        }
    }

    /// A slice begins: nothing is measured yet.
    pub(super) fn begin(&mut self, now: Instant, length: Length) {
        (self.end, self.remaining) = match length {
            Length::For(time) => (now + time, u64::MAX),
            Length::Count(count) => (Instant::MAX, count),
        };
        (self.now, self.last_answer) = (now, now);
        self.refusal = None;
        self.meter.reset();
    }

    /// Takes one message off the budget; says whether there was one, and time for it.
    pub(super) fn try_start(&mut self, at: Instant) -> bool {
        self.try_start_many(at, 1) == 1
    }

    /// Takes so many messages off the budget, or as many as there are; none when time is over.
    pub(super) fn try_start_many(&mut self, at: Instant, wanted: u32) -> u32 {
        if at >= self.end {
            return 0;
        }
        let count = wanted.min(u32::try_from(self.remaining).unwrap_or(u32::MAX));
        self.remaining -= u64::from(count);
        self.outstanding += u64::from(count);
        self.queued += u64::from(count);
        count
    }

    /// Whether no message begins any more: all have, or time is over.
    pub(super) fn is_exhausted(&self) -> bool {
        self.remaining == 0 || self.now >= self.end
    }

    /// So many messages that waited are now on their way. `due` is when they were meant to leave,
    /// or, if they had to wait for an earlier one's answer, when that came.
    pub(super) fn record_sent(&mut self, count: u64, due: Instant) {
        self.queued -= count;
        if !self.closed_loop {
            self.meter.record_sender_lag(count, self.nanos_since(due));
        }
    }

    /// So long ago. An answer that needs a `Duration` divides twice for it.
    pub(super) fn nanos_since(&self, then: Instant) -> u64 {
        self.now.as_nanos().saturating_sub(then.as_nanos())
    }

    /// So many messages are back that were meant to leave at the same time and are equally long.
    pub(super) fn record_response(&mut self, count: u64, intended: Instant, size: u32) {
        self.outstanding -= count;
        self.has_answers = true;
        self.last_answer = self.now;
        self.meter.record_response(count, self.nanos_since(intended), size);
    }

    /// So many datagrams were not sent: the call failed. They count as lost when their time is over.
    pub(super) fn refused(&mut self, count: u64, errno: Errno) {
        self.refusal = Some(errno);
        self.meter.counts.refused += count;
    }

    /// The size of a message, and how many from it on are known to have the same.
    pub(super) fn size(&self, id: MessageId) -> (u32, u32) {
        let alike = if matches!(self.sizes, Sizes::Fixed(_)) { u32::MAX } else { 1 };
        (self.sizes.size_of_message(self.seed, id), alike)
    }

    /// No message begins any more.
    pub(super) fn close(&mut self) {
        self.remaining = 0;
    }
}
