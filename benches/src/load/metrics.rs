//! Measurements of a load: latencies, counts and mismatches. It has no clock.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::mismatch::{Mismatch, MismatchKind};

/// Upper bound of recorded latencies, in nanoseconds: one minute. Longer ones are recorded as one
/// minute.
const LATENCY_NANOS_MAX: u64 = 60_000_000_000;

/// Significant digits of a recorded latency.
const SIGNIFICANT_DIGITS: u8 = 3;

/// How many mismatches are kept with details; all are counted.
const MISMATCHES_KEPT_MAX: usize = 16;

/// Counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Messages received; for datagrams including altered ones, which `altered` counts too.
    pub messages: u64,
    /// Their bytes, in one direction.
    pub bytes: u64,
    /// Datagrams not received within the loss timeout.
    pub lost: u64,
    /// Lost datagrams that arrived later.
    pub late: u64,
    /// Datagrams that this machine refused to send. They count as lost, and never reached the
    /// server.
    #[serde(default)]
    pub refused: u64,
    /// Messages that were altered, belong to another connection, or were never sent.
    pub altered: u64,
    /// Messages received more than once.
    pub duplicated: u64,
    /// Messages received out of order.
    pub reordered: u64,
    /// Messages of a stream that were not received while later ones were.
    pub missing: u64,
    /// Messages that were due but never sent, because the server was too slow. They are included in
    /// the latencies, with the time they had waited.
    pub unsent: u64,
}

impl Counts {
    /// Number of wrong echoes. Lost datagrams are not errors.
    pub const fn errors(&self) -> u64 {
        self.altered + self.duplicated + self.reordered + self.missing
    }

    /// The largest of the message counters.
    pub(crate) fn largest(&self) -> u64 {
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

/// Progress of a load at some time; used to sum rates over a common window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Time since the start.
    pub nanos: u64,
    /// Messages received so far.
    pub messages: u64,
}

/// All measurements.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The counters.
    pub counts: Counts,
    /// The first mismatches.
    pub wrong: Vec<Mismatch>,
    /// Progress, recorded about ten times per second.
    pub progress: Vec<Progress>,
    /// Latencies of all finished intervals; after a slice, of the whole slice.
    pub latencies: Histogram<u64>,
    /// Latencies of the current interval.
    pub interval: Histogram<u64>,
    /// Send lag: how late messages were sent that were delayed by the generator only. Recorded with
    /// a rate only.
    pub lags: Histogram<u64>,
}

impl Metrics {
    /// Clears everything but keeps the memory: allocating it again for each short slice would
    /// compete with the server under measurement.
    pub(super) fn reset(&mut self) {
        self.counts = Counts::default();
        self.wrong.clear();
        self.progress.clear();
        for histogram in [&mut self.latencies, &mut self.interval, &mut self.lags] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
    }

    /// Records messages received, all with this latency and size.
    pub(super) fn record_response(&mut self, count: u64, latency_nanos: u64, bytes: u32) {
        self.counts.messages += count;
        self.counts.bytes += count * u64::from(bytes);
        self.interval.saturating_record_n(latency_nanos, count);
    }

    /// Records a message that waited this long and is never sent.
    pub(super) fn record_unsent(&mut self, latency_nanos: u64) {
        self.counts.unsent += 1;
        self.interval.saturating_record(latency_nanos);
    }

    /// Records messages that were sent this long after they were due.
    pub(super) fn record_sender_lag(&mut self, count: u64, lag_nanos: u64) {
        self.lags.saturating_record_n(lag_nanos, count);
    }

    /// Records a mismatch.
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

    /// Ends an interval: passes its latencies to `show`, adds them to the total and clears them.
    ///
    /// # Panics
    /// Never: both have the same bounds.
    pub(super) fn end_interval(&mut self, show: impl FnOnce(&Histogram<u64>)) {
        show(&self.interval);
        self.latencies.add(&self.interval).expect("both have the same bounds");
        self.interval.reset();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            wrong: Vec::new(),
            progress: Vec::new(),
            latencies: histogram(),
            interval: histogram(),
            lags: histogram(),
        }
    }
}

/// An empty histogram from 1 ns to 60 s.
///
/// # Panics
/// Never: the bounds are valid.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, SIGNIFICANT_DIGITS)
        .expect("the bounds are valid")
}
