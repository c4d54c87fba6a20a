//! Looking around while a slice runs, ten times a second: at observers, at losses, at silence. It
//! sends nothing but what a loss makes room for.

use std::time::Duration;

use epollite::Instant;

use super::failure::Failure;
use super::{Guest, Load, Observer};

/// How often we look around: at watchers, at losses, at stalls.
const TICK: Duration = Duration::from_millis(100);

/// How often an interval of latencies is shown.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long after the end messages that could not even be sent are kept: at a rate that is too
/// high there would be as many as there were before.
const UNSENT_MAX: Duration = Duration::from_secs(2);

/// UDP: so many datagrams in a row are lost before silence counts as a stall; one or two may be.
const LOST_IN_A_ROW: u64 = 3;

/// The times of the slice that runs.
pub(super) struct Times<'a> {
    pub(super) start: Instant,
    pub(super) tick: Instant,
    pub(super) interval: Instant,
    /// Since when no message begins.
    pub(super) over: Option<Instant>,
    /// Datagrams that were lost when the last answer came, and those that were refused.
    lost_before: (Instant, u64, u64),
    pub(super) observer: &'a mut dyn Observer,
}

impl<'a> Times<'a> {
    /// Of a slice that begins.
    pub(super) fn new(start: Instant, observer: &'a mut dyn Observer) -> Self {
        let (tick, lost_before) = (start + TICK, (start, 0, 0));
        Self { start, tick, interval: start, over: None, lost_before, observer }
    }
}

impl Load {
    /// Ten times a second.
    pub(super) fn look_around(&mut self, times: &mut Times<'_>) -> Result<(), Failure> {
        let now = self.desk.now;
        // Missed ticks are not made up for.
        times.tick = now + TICK;
        self.desk.meter.reached(now - times.start);
        if now - times.interval >= INTERVAL {
            let (start, length) = (times.interval - times.start, now - times.interval);
            let observer = &mut times.observer;
            self.desk.meter.turn(|latencies| observer.interval(start, length, latencies));
            times.interval = now;
        }
        times.observer.tick(now - times.start, &self.desk.meter);
        if self.desk.none_begins() && times.over.is_none() {
            times.over = Some(now);
        }
        if times.over.is_some_and(|over| now - over > UNSENT_MAX || self.is_interrupted) {
            self.give_up_unsent();
        }
        if self.config.target.is_datagrams() { self.expire(times) } else { self.look_for_silence() }
    }

    /// Messages that wait to be sent are not sent any more; they have waited, and that counts.
    fn give_up_unsent(&mut self) {
        let (desk, mut gone): (_, Vec<Instant>) = (&mut self.desk, self.unborn.drain(..).collect());
        for token in self.tokens.iter().flatten() {
            match self.reactor.source(*token).map(|source| source.state) {
                Some(Guest::Stream(stream)) => gone.extend(stream.give_up()),
                Some(Guest::Socket(socket)) => gone.extend(socket.give_up()),
                _ => {}
            }
        }
        for intended in gone {
            desk.waiting -= 1;
            desk.owed -= 1;
            desk.meter.unsent(desk.nanos_since(intended));
        }
    }

    /// Streams: is anybody waiting for too long?
    fn look_for_silence(&mut self) -> Result<(), Failure> {
        let (now, stall) = (self.desk.now, self.config.stall);
        let mut longest: Option<(Instant, u32)> = None;
        for (token, at) in self.tokens.iter().zip(0..) {
            let since = match token.and_then(|it| self.reactor.source(it)).map(|it| it.state) {
                Some(Guest::Stream(stream)) => {
                    stream.conclude(&mut self.desk, false)?;
                    stream.silent_since()
                }
                Some(Guest::Life { life, .. }) => {
                    life.stream.conclude(&mut self.desk, false)?;
                    life.silent_since()
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
        let quiet = now - self.desk.last_answer.max(since);
        let token = self.tokens[connection as usize];
        let (quiet, owed) = match token.and_then(|it| self.reactor.source(it)).map(|it| it.state) {
            Some(Guest::Stream(stream)) if quiet < stall / 2 => {
                return Err(stream.missing().into());
            }
            // Others may be answered meanwhile: a life waits for itself.
            Some(Guest::Life { life, .. }) => (now - since, life.stream.owed()),
            _ => (quiet, self.desk.owed),
        };
        Err(Failure::Stalled { seconds: quiet.as_secs_f64(), owed, connection })
    }

    /// Datagrams: what has not come back by now is lost; and if nothing comes at all?
    fn expire(&mut self, times: &mut Times<'_>) -> Result<(), Failure> {
        for token in self.tokens.iter().flatten() {
            if let Some(mut source) = self.reactor.source(*token)
                && let Guest::Socket(socket) = source.state
            {
                // What came while nothing was owed is not read yet, and no edge tells of it again.
                socket.receive(&mut source.io, &mut self.desk, false)?;
                socket.expire(self.config.loss_after, &mut self.desk);
                socket.send(&mut source.io, &mut self.desk)?;
            }
        }
        let (last, counts) = (self.desk.last_answer, &self.desk.meter.counts);
        let (lost, refused) = (counts.lost, counts.refused);
        if times.lost_before.0 != last {
            times.lost_before = (last, lost, refused);
        }
        let quiet = self.desk.now - last;
        if quiet > self.config.stall && lost - times.lost_before.1 >= LOST_IN_A_ROW {
            let (_, lost_before, refused_before) = times.lost_before;
            let (lost, refused) = (lost - lost_before, refused - refused_before);
            if let Some(errno) = self.desk.refusal.filter(|_| refused >= lost) {
                return Err(Failure::Unsendable { refused, errno });
            }
            let owed = self.desk.owed;
            return Err(Failure::Stalled { seconds: quiet.as_secs_f64(), owed, connection: 0 });
        }
        Ok(())
    }
}
