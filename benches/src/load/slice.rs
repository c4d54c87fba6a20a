//! One slice of a load: the event loop. It decides when messages are sent, dispatches events, and
//! detects the end of the slice; how a connection handles an event is up to the connection.

use std::time::Duration;

use epollite::event::Ready;
use epollite::{Errno, Event, Instant, Kernel};

use super::error::{LoadError, Result};
use super::pace::Schedule;
use super::tick::SliceTimers;
use super::{Length, Load, Observer, Source};

/// How long outstanding responses are waited for after a signal.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Maximum number of queued messages: at 16 bytes each, more would exhaust the memory.
const QUEUED_MAX: u64 = 1 << 26;

impl Load {
    /// Keeps the server busy for `length`, then waits for outstanding responses. Returns how long
    /// that took: from the first byte sent until time was over and every message was received or
    /// given up. All measurements are in [`Load::meter`].
    ///
    /// # Errors
    /// The first [`LoadError`]; the load is unusable after it, but the measurements are kept in
    /// [`Load::meter`].
    pub fn slice(&mut self, length: Length, observer: &mut dyn Observer) -> Result<Duration> {
        let start = self.reactor.kernel().now();
        let mut times = SliceTimers::new(start, observer);
        self.slices += 1;
        self.shared.begin(start, length);
        if self.is_interrupted {
            // Outstanding responses were waited for already.
            self.skip_drain = true;
            self.shared.remaining = 0;
        }
        let mut schedule = Schedule::new(self.config.pace, start, self.config.seed + self.slices);
        let result = self.run_loop(&mut schedule, &mut times);
        let shared = &mut self.shared;
        let elapsed = shared.now - start;
        shared.meter.record_progress(elapsed);
        let rest = shared.now - times.interval;
        shared.meter.end_interval(|latencies| times.observer.interval(rest, latencies));
        result.map(|()| elapsed).map_err(|failure| self.simplify_error(failure))
    }

    fn run_loop(&mut self, schedule: &mut Schedule, times: &mut SliceTimers<'_>) -> Result<()> {
        if self.shared.closed_loop {
            self.send_initial()?;
        }
        loop {
            if let Some(event) = self.reactor.try_next() {
                self.on_event(event)?;
                continue;
            }
            self.shared.now = self.reactor.kernel().now();
            if self.shared.now >= times.tick {
                self.tick(times)?;
            }
            let next = self.send_due(schedule)?;
            if self.is_finished(times) {
                return self.final_receive();
            }
            if let Some(event) = self.wait_event(next.min(times.tick))? {
                self.on_event(event)?;
            }
        }
    }

    /// Waits for the next event. At the deadline returns `None` or, in a closed loop, the event of
    /// the timerfd.
    fn wait_event(&mut self, deadline: Instant) -> Result<Option<Event>> {
        let timeout = if self.shared.closed_loop {
            self.timer.set(deadline).map_err(LoadError::call("timerfd_settime"))?;
            None
        } else {
            Some(deadline)
        };
        self.reactor.next(timeout).map_err(LoadError::call("epoll_wait"))
    }

    /// Sends the first messages of a closed loop.
    fn send_initial(&mut self) -> Result<()> {
        let (now, depth) = (self.shared.now, self.shared.window);
        for index in 0..self.config.connections {
            for _ in 0..depth {
                if self.shared.try_start(now) {
                    self.dispatch_message(index, now)?;
                }
            }
            if !self.config.churn {
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Starts all messages that are due. Returns when the next one is due, or the end of the
    /// sending time; never, when no further message starts.
    fn send_due(&mut self, schedule: &mut Schedule) -> Result<Instant> {
        let connections = u64::from(self.config.connections);
        let (first, mut count) = (self.started, 0);
        while schedule.next() <= self.shared.now && self.shared.try_start(schedule.next()) {
            // Round-robin over the connections.
            let index = u32::try_from((first + count) % connections).unwrap_or(0);
            self.dispatch_message(index, schedule.next())?;
            count += 1;
            schedule.advance();
        }
        if !self.config.churn {
            for number in first..first + count.min(connections) {
                self.flush(u32::try_from(number % connections).unwrap_or(0))?;
            }
            self.started += count;
        }
        if self.shared.queued > QUEUED_MAX {
            return Err(LoadError::Backlog { waiting: self.shared.queued });
        }
        Ok(if self.shared.is_exhausted() {
            Instant::MAX
        } else {
            schedule.next().min(self.shared.end)
        })
    }

    /// Assigns a message to a connection; with churn, to a new one.
    fn dispatch_message(&mut self, index: u32, intended: Instant) -> Result<()> {
        if self.config.churn {
            return match self.idle_slots.pop() {
                Some(free) => self.open_connection(free, intended),
                None => {
                    self.pending_connects.push_back(intended);
                    Ok(())
                }
            };
        }
        if let Some((state, _)) =
            self.tokens[index as usize].and_then(|it| self.reactor.get_mut(it))
        {
            match state {
                Source::Stream(stream) => stream.queue.enqueue(intended, 1),
                Source::Socket(socket) => socket.enqueue(intended),
                Source::ShortLived { .. } | Source::Timer | Source::Signals => {}
            }
        }
        Ok(())
    }

    /// Sends the queued messages of a connection.
    pub(super) fn flush(&mut self, index: u32) -> Result<()> {
        let token = self.tokens[index as usize];
        let Some((state, mut io)) = token.and_then(|token| self.reactor.get_mut(token)) else {
            return Ok(());
        };
        match state {
            Source::Stream(stream) => stream.send(&mut io, &mut self.shared),
            Source::Socket(socket) => socket.send(&mut io, &mut self.shared),
            Source::ShortLived { connection, .. } => {
                connection.stream.send(&mut io, &mut self.shared)
            }
            Source::Timer | Source::Signals => Ok(()),
        }
    }

    fn on_event(&mut self, event: Event) -> Result<()> {
        let Event::Io { token, ready } = event else {
            return Ok(());
        };
        let Some((state, mut io)) = self.reactor.get_mut(token) else {
            return Ok(());
        };
        let (io, shared) = (&mut io, &mut self.shared);
        let has_input = ready != Ready::WRITABLE;
        match state {
            Source::Stream(stream) => {
                if ready.is_writable() {
                    stream.writable(shared);
                }
                if has_input && stream.receive(io, ready, shared)? {
                    // EOF is an error only if responses are outstanding or further messages may
                    // follow.
                    let is_done = stream.queue.outstanding() == 0 && shared.is_exhausted();
                    return if is_done { Ok(()) } else { Err(stream.closed_error(None)) };
                }
                stream.send(io, shared)
            }
            Source::Socket(socket) => {
                if ready.is_writable() {
                    socket.writable(shared);
                }
                if has_input {
                    socket.receive(io, shared, ready.is_error())?;
                }
                socket.send(io, shared)
            }
            Source::ShortLived { index, connection } => {
                let index = *index;
                if connection.advance(io, ready, shared)? {
                    self.finish_connection(token, index)?;
                }
                Ok(())
            }
            // The timer only wakes the loop, which reads the clock.
            Source::Timer => Ok(()),
            Source::Signals => {
                self.on_signal(token);
                Ok(())
            }
        }
    }

    fn is_finished(&self, times: &SliceTimers<'_>) -> bool {
        let shared = &self.shared;
        let has_open_connections = self.config.churn && self.idle_slots.len() < self.tokens.len();
        let drain_timed_out = times.finished_since.is_some_and(|end| shared.now - end > DRAIN_MAX);
        let gives_up = self.skip_drain || self.is_interrupted && drain_timed_out;
        shared.is_exhausted() && (shared.outstanding == 0 && !has_open_connections || gives_up)
    }

    /// Checks data that is not waited for: further datagrams, which may be duplicates, and bytes
    /// received after the last response of a stream.
    fn final_receive(&mut self) -> Result<()> {
        let end = self.shared.now;
        for token in self.tokens.iter().flatten() {
            let Some((state, mut io)) = self.reactor.get_mut(*token) else { continue };
            match state {
                Source::Socket(socket) => socket.receive(&mut io, &mut self.shared, true)?,
                Source::Stream(stream) => stream.diagnose(&mut self.shared, true)?,
                Source::ShortLived { .. } | Source::Timer | Source::Signals => {}
            }
        }
        self.shared.now = end;
        Ok(())
    }

    /// Reports a connection refused before any response as a missing server.
    fn simplify_error(&self, failure: LoadError) -> LoadError {
        match failure {
            LoadError::Closed { errno: Some(errno), .. }
                if !self.shared.has_response
                    && matches!(
                        errno,
                        Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH
                    ) =>
            {
                LoadError::ConnectFailed { target: self.config.target, errno }
            }
            other => other,
        }
    }
}
