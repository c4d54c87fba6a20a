//! One slice of a load: the loop. It knows when messages are meant to leave, whom events are for,
//! and when it is over; what a connection does with an event is its own affair.

use std::time::Duration;

use epollite::{Errno, Event, Instant, Kernel, Ready};

use super::failure::Failure;
use super::pace::Schedule;
use super::watch::Times;
use super::{Guest, Length, Load, Observer};

/// How long after a signal answers are waited for.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// More messages than this do not wait to be sent: at 16 bytes each it is memory that ends.
const WAITING_MAX: u64 = 1 << 26;

/// What a slice of load brought. All of it is in [`Load::meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Messages that came back; of datagrams also those that were altered, which are counted apart.
    pub messages: u64,
    /// From the first byte sent until time was over and every message answered or given up.
    pub elapsed: Duration,
}

impl Load {
    /// Keeps the server busy for `length`, then waits for the answers still owed.
    ///
    /// # Errors
    /// The first [`Failure`]; the load is of no use after it, but what was measured is kept in
    /// [`Load::meter`].
    pub fn slice(&mut self, length: Length, observer: &mut dyn Observer) -> Result<Slice, Failure> {
        let start = self.reactor.kernel().now();
        let mut times = Times::new(start, observer);
        self.slices += 1;
        self.desk.begin(start, length);
        if self.is_interrupted {
            // What is owed was waited for already.
            self.is_hurried = true;
            self.desk.close();
        }
        let mut schedule = Schedule::new(self.config.pace, start, self.config.seed + self.slices);
        let result = self.turns(&mut schedule, &mut times);
        let desk = &mut self.desk;
        let elapsed = desk.now - start;
        desk.meter.reached(elapsed);
        let rest = (times.interval - start, desk.now - times.interval);
        desk.meter.turn(|latencies| times.observer.interval(rest.0, rest.1, latencies));
        result.map_err(|failure| self.plain(failure))?;
        Ok(Slice { messages: self.desk.meter.counts.messages, elapsed })
    }

    fn turns(&mut self, schedule: &mut Schedule, times: &mut Times<'_>) -> Result<(), Failure> {
        if self.desk.answers_pace {
            self.prime()?;
        }
        loop {
            if let Some(event) = self.reactor.pending() {
                self.heed(event)?;
                continue;
            }
            self.desk.now = self.reactor.kernel().now();
            if self.desk.now >= times.tick {
                self.look_around(times)?;
            }
            let next = self.release(schedule)?;
            if self.is_over(times) {
                return self.listen_once_more();
            }
            if let Some(event) = self.wait(next.min(times.tick))? {
                self.heed(event)?;
            }
        }
    }

    /// The next event. When it is time, that is `None`, or, where answers pace the load, the
    /// alarm's.
    fn wait(&mut self, deadline: Instant) -> Result<Option<Event>, Failure> {
        let timeout = if self.desk.answers_pace {
            self.alarm.set(deadline).map_err(Failure::call("timerfd_settime"))?;
            None
        } else {
            Some(deadline)
        };
        self.reactor.next(timeout).map_err(Failure::call("epoll_wait"))
    }

    /// In a closed loop the first messages leave by themselves.
    fn prime(&mut self) -> Result<(), Failure> {
        let (now, depth) = (self.desk.now, self.desk.window);
        for index in 0..self.config.connections {
            for _ in 0..depth {
                if self.desk.may_begin(now) {
                    self.assign(index, now)?;
                }
            }
            if !self.config.churn {
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Begins all messages whose time has come. Returns when the next one is due, or the
    /// end of those; never, when that is over.
    fn release(&mut self, schedule: &mut Schedule) -> Result<Instant, Failure> {
        let connections = u64::from(self.config.connections);
        let (first, mut count) = (self.born, 0);
        while schedule.next() <= self.desk.now && self.desk.may_begin(schedule.next()) {
            // Each connection in its turn.
            let index = u32::try_from((first + count) % connections).unwrap_or(0);
            self.assign(index, schedule.next())?;
            count += 1;
            schedule.advance();
        }
        if !self.config.churn {
            for turn in first..first + count.min(connections) {
                self.flush(u32::try_from(turn % connections).unwrap_or(0))?;
            }
            self.born += count;
        }
        if self.desk.waiting > WAITING_MAX {
            return Err(Failure::Backlog { waiting: self.desk.waiting });
        }
        Ok(if self.desk.none_begins() {
            Instant::NEVER
        } else {
            schedule.next().min(self.desk.end)
        })
    }

    /// Hands a message to a connection; with churn, to a new one.
    fn assign(&mut self, index: u32, intended: Instant) -> Result<(), Failure> {
        if self.config.churn {
            return match self.free.pop() {
                Some(free) => self.bear(free, intended),
                None => {
                    self.unborn.push_back(intended);
                    Ok(())
                }
            };
        }
        if let Some(source) = self.tokens[index as usize].and_then(|it| self.reactor.source(it)) {
            match source.state {
                Guest::Stream(stream) => stream.begin(intended, 1),
                Guest::Socket(socket) => socket.begin(intended),
                Guest::Life { .. } | Guest::Alarm | Guest::Signals => {}
            }
        }
        Ok(())
    }

    /// Sends what a connection has to send.
    pub(super) fn flush(&mut self, index: u32) -> Result<(), Failure> {
        let token = self.tokens[index as usize];
        let Some(mut source) = token.and_then(|token| self.reactor.source(token)) else {
            return Ok(());
        };
        match source.state {
            Guest::Stream(stream) => stream.send(&mut source.io, &mut self.desk),
            Guest::Socket(socket) => socket.send(&mut source.io, &mut self.desk),
            Guest::Life { life, .. } => life.stream.send(&mut source.io, &mut self.desk),
            Guest::Alarm | Guest::Signals => Ok(()),
        }
    }

    fn heed(&mut self, event: Event) -> Result<(), Failure> {
        let Event::Io { token, ready } = event else {
            return Ok(());
        };
        let Some(mut source) = self.reactor.source(token) else {
            return Ok(());
        };
        let (io, desk) = (&mut source.io, &mut self.desk);
        let has_news = ready != Ready::WRITABLE;
        match source.state {
            Guest::Stream(stream) => {
                if ready.is_writable() {
                    stream.writable(desk);
                }
                if has_news && stream.receive(io, ready, desk)? {
                    // Who has all answers and will not ask again has lost nothing.
                    let is_done = stream.owed() == 0 && desk.none_begins();
                    return if is_done { Ok(()) } else { Err(stream.closed(None)) };
                }
                stream.send(io, desk)
            }
            Guest::Socket(socket) => {
                if ready.is_writable() {
                    socket.writable(desk);
                }
                if has_news {
                    socket.receive(io, desk, ready.is_error())?;
                }
                socket.send(io, desk)
            }
            Guest::Life { index, life } => {
                let index = *index;
                if life.advance(io, ready, desk)? {
                    self.bury(token, index)?;
                }
                Ok(())
            }
            // It has woken the loop, which looks at the clock: no more was wanted.
            Guest::Alarm => Ok(()),
            Guest::Signals => {
                self.hear_signals(token);
                Ok(())
            }
        }
    }

    fn is_over(&self, times: &Times<'_>) -> bool {
        let desk = &self.desk;
        let lives_on = self.config.churn && self.free.len() < self.tokens.len();
        let left_long_ago = times.over.is_some_and(|over| desk.now - over > LEAVE_MAX);
        let is_impatient = self.is_hurried || self.is_interrupted && left_long_ago;
        desk.none_begins() && (desk.owed == 0 && !lives_on || is_impatient)
    }

    /// What nobody waits for has its say too: datagrams, which may be duplicates, and what came
    /// behind the last answer of a stream.
    fn listen_once_more(&mut self) -> Result<(), Failure> {
        let end = self.desk.now;
        for token in self.tokens.iter().flatten() {
            let Some(mut source) = self.reactor.source(*token) else { continue };
            match source.state {
                Guest::Socket(socket) => socket.receive(&mut source.io, &mut self.desk, true)?,
                Guest::Stream(stream) => stream.conclude(&mut self.desk, true)?,
                Guest::Life { .. } | Guest::Alarm | Guest::Signals => {}
            }
        }
        self.desk.now = end;
        Ok(())
    }

    /// Calls a connection that was refused before anything came back what it is.
    fn plain(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Closed { errno: Some(errno), .. }
                if !self.desk.has_answers
                    && matches!(
                        errno,
                        Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH
                    ) =>
            {
                Failure::Absent { target: self.config.target, errno }
            }
            other => other,
        }
    }
}
