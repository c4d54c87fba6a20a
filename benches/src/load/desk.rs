//! What all connections share: the clock of the slice, the budget of messages, buffers, the meter.
//! It knows no connection.

use epollite::{Errno, Instant};

use super::config::{Config, Length};
use super::meter::Meter;
use super::noise::{Name, Noise, PIECE_BYTES};
use super::row::stride;
use super::sizes::Sizes;

/// Bytes of messages that leave together in one call, copied beside each other.
pub(super) const OUT_BYTES: usize = 64 * 1024;

/// The desk.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) noise: Noise,
    pub(super) sizes: Sizes,
    pub(super) seed: u64,
    /// Messages that may be under way in each connection.
    pub(super) window: usize,
    /// Whether an answer makes the next message leave.
    pub(super) answers_pace: bool,
    /// Whether a connection has but one message.
    pub(super) churn: bool,
    /// Whether a short read means that nothing more is there: of TCP, not of a Unix socket.
    pub(super) short_means_empty: bool,
    pub(super) gso: bool,
    /// When the clock was last looked at.
    pub(super) now: Instant,
    /// No message begins after this.
    pub(super) end: Instant,
    /// So many may still begin.
    pub(super) left: u64,
    /// Begun, waiting or under way, and not answered.
    pub(super) owed: u64,
    /// Of those, not yet on their way.
    pub(super) waiting: u64,
    pub(super) last_answer: Instant,
    /// Whether any answer came since the load was opened.
    pub(super) has_answers: bool,
    /// Why this machine last refused to send a datagram, in the slice that runs.
    pub(super) refusal: Option<Errno>,
    pub(super) meter: Meter,
    pub(super) inbox: Vec<u8>,
    pub(super) outbox: Vec<u8>,
}

impl Desk {
    pub(super) fn new(config: &Config, run: u32) -> Self {
        Self {
            noise: Noise::new(run, stride(&config.sizes)),
            sizes: config.sizes.clone(),
            seed: config.seed,
            window: config.window(),
            answers_pace: config.pace.rate().is_none(),
            churn: config.churn,
            short_means_empty: matches!(config.target, super::Target::Tcp(_)),
            gso: config.gso,
            now: Instant::ZERO,
            end: Instant::ZERO,
            left: 0,
            owed: 0,
            waiting: 0,
            last_answer: Instant::ZERO,
            has_answers: false,
            refusal: None,
            meter: Meter::new(),
            inbox: vec![0; PIECE_BYTES],
            outbox: vec![0; OUT_BYTES],
        }
    }

    /// A slice begins: nothing is measured yet.
    pub(super) fn begin(&mut self, now: Instant, length: Length) {
        (self.end, self.left) = match length {
            Length::For(time) => (now + time, u64::MAX),
            Length::Count(count) => (Instant::NEVER, count),
        };
        (self.now, self.last_answer) = (now, now);
        self.refusal = None;
        self.meter.forget();
    }

    /// Takes one message off the budget; says whether there was one, and time for it.
    pub(super) fn may_begin(&mut self, at: Instant) -> bool {
        self.may_begin_some(at, 1) == 1
    }

    /// Takes so many messages off the budget, or as many as there are; none when time is over.
    pub(super) fn may_begin_some(&mut self, at: Instant, wanted: u32) -> u32 {
        if at >= self.end {
            return 0;
        }
        let count = wanted.min(u32::try_from(self.left).unwrap_or(u32::MAX));
        self.left -= u64::from(count);
        self.owed += u64::from(count);
        self.waiting += u64::from(count);
        count
    }

    /// Whether no message begins any more: all have, or time is over.
    pub(super) fn none_begins(&self) -> bool {
        self.left == 0 || self.now >= self.end
    }

    /// So many messages that waited are now on their way. `due` is when they were meant to leave,
    /// or, if they had to wait for an earlier one's answer, when that came.
    pub(super) fn leaves(&mut self, count: u64, due: Instant) {
        self.waiting -= count;
        if !self.answers_pace {
            self.meter.lagged(count, self.nanos_since(due));
        }
    }

    /// So long ago. An answer that needs a `Duration` divides twice for it.
    pub(super) fn nanos_since(&self, then: Instant) -> u64 {
        self.now.nanos().saturating_sub(then.nanos())
    }

    /// So many messages are back that were meant to leave at the same time and are equally long.
    pub(super) fn answered(&mut self, count: u64, intended: Instant, size: u32) {
        self.owed -= count;
        self.has_answers = true;
        self.last_answer = self.now;
        self.meter.answered(count, self.nanos_since(intended), size);
    }

    /// So many datagrams were not sent: the call failed. They count as lost when their time is over.
    pub(super) fn refused(&mut self, count: u64, errno: Errno) {
        self.refusal = Some(errno);
        self.meter.counts.refused += count;
    }

    /// The size of a message, and how many from it on are known to have the same.
    pub(super) fn size(&self, name: Name) -> (u32, u32) {
        let alike = if matches!(self.sizes, Sizes::Fixed(_)) { u32::MAX } else { 1 };
        (self.sizes.of(self.seed, name), alike)
    }

    /// No message begins any more.
    pub(super) fn close(&mut self) {
        self.left = 0;
    }
}
