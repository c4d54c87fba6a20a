//! State shared by all connections of a load: clock, message budget, buffers, metrics. It knows no
//! connection.

use epollite::collections::RecvBuffer;
use epollite::{Errno, Instant};

use super::config::{Config, Length};
use super::metrics::Metrics;
use super::payload::{CHUNK_BYTES, MessageId, Payload};
use super::run_of_messages::stride;
use super::sizes::Sizes;

/// Size of the send buffer: messages sent in one call are copied into it.
pub(super) const OUT_BYTES: usize = 64 * 1024;

/// State shared by all connections of a load: clock, message budget, buffers, metrics.
#[derive(Debug)]
pub(super) struct LoadState {
    pub(super) payload: Payload,
    pub(super) sizes: Sizes,
    pub(super) seed: u64,
    /// Maximum number of messages in flight per connection.
    pub(super) window: usize,
    /// Whether a response triggers the next message.
    pub(super) closed_loop: bool,
    /// Whether each connection carries a single message.
    pub(super) churn: bool,
    /// Whether a short read means that the socket is empty: true for TCP, not for a Unix socket.
    pub(super) short_read_drains: bool,
    pub(super) gso: bool,
    /// The last clock reading.
    pub(super) now: Instant,
    /// No message starts after this time.
    pub(super) end: Instant,
    /// Number of messages that may still start; 0 ends the budget.
    pub(super) remaining: u64,
    /// Messages started, queued or in flight, without a response.
    pub(super) outstanding: u64,
    /// Of those, the queued ones.
    pub(super) queued: u64,
    pub(super) last_response: Instant,
    /// Whether any response was received since the load was opened.
    pub(super) has_response: bool,
    /// Error of the last datagram that this machine refused to send in the current slice.
    pub(super) refusal: Option<Errno>,
    pub(super) meter: Metrics,
    pub(super) recv_buffer: RecvBuffer,
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
            last_response: Instant::ZERO,
            has_response: false,
            refusal: None,
            meter: Metrics::default(),
            recv_buffer: RecvBuffer::new(CHUNK_BYTES),
            send_buffer: vec![0; OUT_BYTES],
        }
    }

    /// Starts a slice: clears the measurements.
    pub(super) fn begin(&mut self, now: Instant, length: Length) {
        (self.end, self.remaining) = match length {
            Length::For(time) => (now + time, u64::MAX),
            Length::Count(count) => (Instant::MAX, count),
        };
        (self.now, self.last_response) = (now, now);
        self.refusal = None;
        self.meter.reset();
    }

    /// Takes one message from the budget; returns false if it is used up or time is over.
    pub(super) fn try_start(&mut self, at: Instant) -> bool {
        self.try_start_many(at, 1) == 1
    }

    /// Takes up to `wanted` messages from the budget, none when time is over; returns how many.
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

    /// Whether no further message starts: the budget is used up, or time is over.
    pub(super) fn is_exhausted(&self) -> bool {
        self.remaining == 0 || self.now >= self.end
    }

    /// Records queued messages that were sent. `due` is their intended send time or, if the window
    /// was full then, when it had room again.
    pub(super) fn record_sent(&mut self, count: u64, due: Instant) {
        self.queued -= count;
        if !self.closed_loop {
            self.meter.record_sender_lag(count, self.nanos_since(due));
        }
    }

    /// Nanoseconds since `then`. A `Duration` would cost two divisions per response.
    pub(super) fn nanos_since(&self, then: Instant) -> u64 {
        self.now.as_nanos().saturating_sub(then.as_nanos())
    }

    /// Records received messages with the same intended send time and size.
    pub(super) fn record_response(&mut self, count: u64, intended: Instant, size: u32) {
        self.outstanding -= count;
        self.has_response = true;
        self.last_response = self.now;
        self.meter.record_response(count, self.nanos_since(intended), size);
    }

    /// Records datagrams whose send call failed. They count as lost after the loss timeout.
    pub(super) fn refused(&mut self, count: u64, errno: Errno) {
        self.refusal = Some(errno);
        self.meter.counts.refused += count;
    }

    /// The size of a message, and how many messages from it on are known to have the same size.
    pub(super) fn size(&self, id: MessageId) -> (u32, u32) {
        let alike = if matches!(self.sizes, Sizes::Fixed(_)) { u32::MAX } else { 1 };
        (self.sizes.size_of_message(self.seed, id), alike)
    }
}
