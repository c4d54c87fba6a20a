//! What a load has seen: latencies, counts, and what was wrong. It does not know when things are.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::mismatch::{Mismatch, MismatchKind};

/// The range of latencies told apart: to the nanosecond below, a minute above; what is longer
/// counts as a minute.
pub const LATENCY_NANOS_MAX: u64 = 60_000_000_000;

/// Digits that are kept of a latency.
const SIGNIFICANT_DIGITS: u8 = 3;

/// How many mismatches are kept by name; all are counted.
const MISMATCHES_KEPT_MAX: usize = 16;

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that came back; of datagrams also those that were altered, which `altered` counts
    /// too.
    pub messages: u64,
    /// Their bytes, one way.
    pub bytes: u64,
    /// Datagrams that had not come back when their time was over.
    pub lost: u64,
    /// Of those, how many came after all.
    pub late: u64,
    /// Datagrams that this machine refused to send. They are lost, and no server has seen them.
    #[serde(default)]
    pub refused: u64,
    /// Bytes or messages that were altered, foreign, or came unasked.
    pub altered: u64,
    /// Messages that came again.
    pub duplicated: u64,
    /// Messages that came out of their order.
    pub reordered: u64,
    /// Messages of a stream that did not come while others did.
    pub missing: u64,
    /// Messages whose time had come and that the server's slowness kept from being sent at all.
    /// They are among the latencies, with the time they have waited so far.
    pub unsent: u64,
}

impl Counts {
    /// How many times the echo was wrong. Datagrams may be lost.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.altered + self.duplicated + self.reordered + self.missing
    }

    /// The largest count of messages among these.
    #[must_use]
    pub fn largest(&self) -> u64 {
        let Self { messages, lost, late, refused, altered, duplicated, .. } = *self;
        let Self { reordered, missing, unsent, .. } = *self;
        [messages, lost, late, refused, altered, duplicated, reordered, missing, unsent]
            .into_iter()
            .fold(0, u64::max)
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes.saturating_add(other.bytes),
            lost: self.lost + other.lost,
            late: self.late + other.late,
            refused: self.refused + other.refused,
            altered: self.altered + other.altered,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            missing: self.missing + other.missing,
            unsent: self.unsent + other.unsent,
        }
    }
}

/// How far a load had come at some time; for sums over a common window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the beginning.
    pub nanos: u64,
    /// Answers so far.
    pub messages: u64,
}

/// All that is measured.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// What was counted.
    pub counts: Counts,
    /// The first of what was wrong.
    pub wrong: Vec<Mismatch>,
    /// How far it had come, about ten times a second.
    pub progress: Vec<Progress>,
    total: Histogram<u64>,
    /// Latencies of the interval that runs; [`Meter::turn`] adds them to the total.
    interval: Histogram<u64>,
    lag: Histogram<u64>,
}

impl Metrics {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: Counts::default(),
            wrong: Vec::new(),
            progress: Vec::new(),
            total: histogram(),
            interval: histogram(),
            lag: histogram(),
        }
    }

    /// Nothing seen any more. What it has of memory it keeps: short slices would else pay for it
    /// again and again, beside the server that they measure.
    pub(super) fn reset(&mut self) {
        self.counts = Counts::default();
        self.wrong.clear();
        self.progress.clear();
        for histogram in [&mut self.total, &mut self.interval, &mut self.lag] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
    }

    /// So many messages are back, all of this latency and this long.
    pub(super) fn record_response(&mut self, count: u64, latency_nanos: u64, bytes: u32) {
        self.counts.messages += count;
        self.counts.bytes += count * u64::from(bytes);
        self.interval.saturating_record_n(latency_nanos, count);
    }

    /// A message has waited so long, and is not sent any more.
    pub(super) fn record_unsent(&mut self, latency_nanos: u64) {
        self.counts.unsent += 1;
        self.interval.saturating_record(latency_nanos);
    }

    /// So many messages were sent so long after their time.
    pub(super) fn record_sender_lag(&mut self, count: u64, lag_nanos: u64) {
        self.lag.saturating_record_n(lag_nanos, count);
    }

    /// Something is wrong.
    pub(super) fn record_mismatch(&mut self, mismatch: Mismatch) {
        let counts = &mut self.counts;
        match mismatch.wrong {
            MismatchKind::Duplicated => counts.duplicated += 1,
            MismatchKind::Reordered(_) => counts.reordered += 1,
            MismatchKind::Lost(count) => counts.missing += count,
            MismatchKind::BytesLost(_) => counts.missing += 1,
            _ => counts.altered += 1,
        }
        if self.wrong.len() < MISMATCHES_KEPT_MAX {
            self.wrong.push(mismatch);
        }
    }

    pub(super) fn record_progress(&mut self, since_start: Duration) {
        let nanos = u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX);
        self.progress.push(Progress { nanos, messages: self.counts.messages });
    }

    /// Ends an interval: its latencies are shown, added to the total and forgotten.
    ///
    /// # Panics
    /// Never: both have the same bounds.
    pub(super) fn end_interval(&mut self, show: impl FnOnce(&Histogram<u64>)) {
        show(&self.interval);
        self.total.add(&self.interval).expect("both have the same bounds");
        self.interval.reset();
    }

    /// Latencies of the interval that runs.
    #[must_use]
    pub const fn interval(&self) -> &Histogram<u64> {
        &self.interval
    }

    /// Latencies of all intervals that are over: when a slice is, all of them.
    #[must_use]
    pub const fn latencies(&self) -> &Histogram<u64> {
        &self.total
    }

    /// How late messages left that had nothing to wait for but us. With a rate only.
    #[must_use]
    pub const fn lags(&self) -> &Histogram<u64> {
        &self.lag
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An empty histogram from 1 ns to 60 s.
///
/// # Panics
/// Never: the bounds are good.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, SIGNIFICANT_DIGITS)
        .expect("the bounds are good")
}
