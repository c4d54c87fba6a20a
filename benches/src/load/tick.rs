//! Periodic checks while a slice runs, ten times per second: observers, losses, stalls. It sends
//! only the messages that a loss makes room for.

use std::time::Duration;

use epollite::Instant;

use super::error::{LoadError, Result};
use super::{Load, Observer, Source};

/// Interval of the periodic checks.
const TICK: Duration = Duration::from_millis(100);

/// How often an interval of latencies is reported.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long unsent messages are kept after the end of the sending time: at too high a rate, sending
/// the rest would take as long as the slice itself.
const UNSENT_MAX: Duration = Duration::from_secs(2);

/// UDP: number of consecutive losses before missing responses count as a stall; one or two losses
/// are normal.
const LOST_IN_A_ROW: u64 = 3;

/// Timers of the running slice.
pub(super) struct SliceTimers<'a> {
    pub(super) start: Instant,
    pub(super) tick: Instant,
    pub(super) interval: Instant,
    /// Since when no further message starts.
    pub(super) finished_since: Option<Instant>,
    /// Time of the last response, and the counts of lost and refused datagrams at that time.
    lost_before: (Instant, u64, u64),
    pub(super) observer: &'a mut dyn Observer,
}

impl<'a> SliceTimers<'a> {
    /// Timers of a slice starting now.
    pub(super) fn new(start: Instant, observer: &'a mut dyn Observer) -> Self {
        let (tick, lost_before) = (start + TICK, (start, 0, 0));
        Self { start, tick, interval: start, finished_since: None, lost_before, observer }
    }
}

impl Load {
    /// Runs the periodic checks, ten times per second.
    pub(super) fn tick(&mut self, times: &mut SliceTimers<'_>) -> Result<()> {
        let now = self.shared.now;
        // Missed ticks are skipped.
        times.tick = now + TICK;
        self.shared.meter.record_progress(now - times.start);
        if now - times.interval >= INTERVAL {
            let (observer, length) = (&mut times.observer, now - times.interval);
            self.shared.meter.end_interval(|latencies| observer.interval(length, latencies));
            times.interval = now;
        }
        times.observer.tick(now - times.start, &self.shared.meter);
        if self.shared.is_exhausted() && times.finished_since.is_none() {
            times.finished_since = Some(now);
        }
        if times.finished_since.is_some_and(|end| now - end > UNSENT_MAX || self.is_interrupted) {
            self.drop_unsent();
        }
        if self.config.target.is_datagrams() {
            self.check_losses(times)
        } else {
            self.check_stall()
        }
    }

    /// Drops unsent messages; the time they have waited is recorded as their latency.
    fn drop_unsent(&mut self) {
        let (shared, mut dropped): (_, Vec<Instant>) =
            (&mut self.shared, self.pending_connects.drain(..).collect());
        for token in self.tokens.iter().flatten() {
            match self.reactor.get_mut(*token).map(|(state, _)| state) {
                Some(Source::Stream(stream)) => dropped.extend(stream.queue.drop_queued()),
                Some(Source::Socket(socket)) => dropped.extend(socket.drop_queued()),
                _ => {}
            }
        }
        for intended in dropped {
            shared.queued -= 1;
            shared.outstanding -= 1;
            shared.meter.record_unsent(shared.nanos_since(intended));
        }
    }

    /// Streams: fails if a connection has waited longer than the stall timeout.
    fn check_stall(&mut self) -> Result<()> {
        let (now, stall) = (self.shared.now, self.config.stall);
        let mut longest: Option<(Instant, u32)> = None;
        for (token, at) in self.tokens.iter().zip(0..) {
            let since = match token.and_then(|it| self.reactor.get_mut(it)).map(|(state, _)| state)
            {
                Some(Source::Stream(stream)) => {
                    stream.diagnose(&mut self.shared, false)?;
                    stream.waiting_since()
                }
                Some(Source::ShortLived { connection, .. }) => {
                    connection.stream.diagnose(&mut self.shared, false)?;
                    connection.waiting_since()
                }
                _ => None,
            };
            if let Some(since) = since
                && longest.is_none_or(|(before, _)| since < before)
            {
                longest = Some((since, at));
            }
        }
        let Some((since, connection)) = longest.filter(|(since, _)| now - *since > stall) else {
            return Ok(());
        };
        let quiet = now - self.shared.last_response.max(since);
        let token = self.tokens[connection as usize];
        let (quiet, outstanding) =
            match token.and_then(|it| self.reactor.get_mut(it)).map(|(state, _)| state) {
                Some(Source::Stream(stream)) if quiet < stall / 2 => {
                    return Err(stream.missing_message().into());
                }
                // Other connections may have received responses: a short-lived connection is timed
                // alone.
                Some(Source::ShortLived { connection, .. }) => {
                    (now - since, connection.stream.queue.outstanding())
                }
                _ => (quiet, self.shared.outstanding),
            };
        Err(LoadError::Stalled { seconds: quiet.as_secs_f64(), outstanding, connection })
    }

    /// Datagrams: counts overdue ones as lost, and fails if no response arrives at all.
    fn check_losses(&mut self, times: &mut SliceTimers<'_>) -> Result<()> {
        for token in self.tokens.iter().flatten() {
            if let Some((state, mut io)) = self.reactor.get_mut(*token)
                && let Source::Socket(socket) = state
            {
                // Datagrams that arrived while nothing was outstanding are unread, and no further
                // edge reports them.
                socket.receive(&mut io, &mut self.shared, false)?;
                socket.expire(self.config.loss_after, &mut self.shared);
                socket.send(&mut io, &mut self.shared)?;
            }
        }
        let (last, counts) = (self.shared.last_response, &self.shared.meter.counts);
        let (lost, refused) = (counts.lost, counts.refused);
        if times.lost_before.0 != last {
            times.lost_before = (last, lost, refused);
        }
        let quiet = self.shared.now - last;
        if quiet > self.config.stall && lost - times.lost_before.1 >= LOST_IN_A_ROW {
            let (_, lost_before, refused_before) = times.lost_before;
            let (lost, refused) = (lost - lost_before, refused - refused_before);
            if let Some(errno) = self.shared.refusal.filter(|_| refused >= lost) {
                return Err(LoadError::Unsendable { refused, errno });
            }
            let (seconds, outstanding) = (quiet.as_secs_f64(), self.shared.outstanding);
            return Err(LoadError::Stalled { seconds, outstanding, connection: 0 });
        }
        Ok(())
    }
}
