//! Replacing workers that have died, and killing those that hang.
//!
//! Knows the number of each worker, times and heartbeats, and no process: the caller forks,
//! kills and asks.
//!
//! ```text
//! running --exits--> waiting (50 ms, twice as long after each failure, 10 s at most) --> running
//!    |
//!    +--three heartbeats missing--> killed --exits--> waiting
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use epollite::Instant;

/// The wait before a worker is replaced after its first failure. Each further one doubles it.
const DELAY_MIN: Duration = Duration::from_millis(50);

/// The longest wait: a worker that cannot run costs a fork in this time.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// A worker that has run for so long is well: its earlier failures are forgotten.
const UPTIME_MIN: Duration = Duration::from_secs(10);

/// When no worker runs, and each has failed so often in a row, no other attempt is made: something
/// is wrong that a new process does not mend, and a service manager should know.
const FAILURES_MAX: u32 = 5;

/// Heartbeats that may be missing. The time that a worker has is divided by it.
const MISSED_MAX: u32 = 3;

/// All workers of a server.
pub(super) struct Supervisor {
    slots: Vec<Slot>,
    /// For each worker how often it has answered; shared with it.
    heartbeats: &'static [AtomicU64],
    /// How often they are asked; `None` is never.
    interval: Option<Duration>,
    next_check: Instant,
}

/// One worker.
struct Slot {
    state: State,
    /// Failures in a row.
    failures: u32,
    /// The heartbeats that were seen last.
    heartbeats: u64,
    missed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running {
        since: Instant,
    },
    /// It hangs, and has been killed.
    Killed {
        since: Instant,
    },
    Waiting {
        until: Instant,
    },
}

/// What is found out by a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// The worker is to be asked for a heartbeat.
    Ask(usize),
    /// The worker hangs, and is to be killed.
    Hangs(usize),
}

impl Supervisor {
    /// For as many workers as there are words, all of which have just been started. One that gives
    /// no heartbeat for `timeout` hangs.
    pub(super) fn new(
        heartbeats: &'static [AtomicU64],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Self {
        let slot = |_| Slot {
            state: State::Running { since: now },
            failures: 0,
            heartbeats: 0,
            missed: 0,
        };
        let interval = timeout.map(|timeout| timeout / MISSED_MAX);
        let next_check = now + interval.unwrap_or_default();
        Self { slots: heartbeats.iter().map(slot).collect(), heartbeats, interval, next_check }
    }

    /// A worker has exited, or could not be forked. Returns after how long it is replaced.
    pub(super) fn exited(&mut self, number: usize, now: Instant) -> Duration {
        let slot = &mut self.slots[number];
        if let State::Running { since } | State::Killed { since } = slot.state
            && now - since >= UPTIME_MIN
        {
            slot.failures = 0;
        }
        let doublings = slot.failures.min(16);
        slot.failures += 1;
        let delay = (DELAY_MIN * (1 << doublings)).min(DELAY_MAX);
        slot.state = State::Waiting { until: now + delay };
        delay
    }

    /// The workers that are to be forked now.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        let is_due = |slot: &Slot| matches!(slot.state, State::Waiting { until } if until <= now);
        (0..self.slots.len()).filter(|&number| is_due(&self.slots[number])).collect()
    }

    /// A worker has been forked again.
    pub(super) fn started(&mut self, number: usize, now: Instant) {
        let heartbeats = self.heartbeats[number].load(Ordering::Relaxed);
        let slot = &mut self.slots[number];
        (slot.state, slot.heartbeats, slot.missed) = (State::Running { since: now }, heartbeats, 0);
    }

    /// Whether no worker runs, and none can.
    pub(super) fn is_hopeless(&self) -> bool {
        self.slots.iter().all(|slot| {
            matches!(slot.state, State::Waiting { .. }) && slot.failures >= FAILURES_MAX
        })
    }

    /// Looks for heartbeats, if it is time to. Only checks count that were made, not time: a
    /// server that was stopped as a whole has not missed any.
    pub(super) fn check(&mut self, now: Instant) -> Vec<Finding> {
        let Some(interval) = self.interval.filter(|_| self.next_check <= now) else {
            return Vec::new();
        };
        self.next_check = now + interval;
        let mut findings = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let State::Running { since } = slot.state else { continue };
            let heartbeats = self.heartbeats[number].load(Ordering::Relaxed);
            // Before the first question there is no heartbeat.
            slot.missed = if heartbeats == slot.heartbeats { slot.missed + 1 } else { 1 };
            slot.heartbeats = heartbeats;
            if slot.missed > MISSED_MAX {
                slot.state = State::Killed { since };
                findings.push(Finding::Hangs(number));
            } else {
                findings.push(Finding::Ask(number));
            }
        }
        findings
    }

    /// How long nothing is to be done.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let forks = self.slots.iter().filter_map(|slot| match slot.state {
            State::Waiting { until } => Some(until),
            _ => None,
        });
        let check = self.interval.map(|_| self.next_check);
        forks.chain(check).min().map(|deadline| deadline - now)
    }

    /// How long a worker may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.interval.unwrap_or_default() * MISSED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> &'static [AtomicU64] {
        (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn each_failure_doubles_the_delay_up_to_a_bound() {
        let mut supervisor = Supervisor::new(words(2), None, at(0));
        let mut now = at(1);
        let mut delays = Vec::new();
        for _ in 0..40 {
            let delay = supervisor.exited(1, now);
            let early = now + (delay - Duration::from_nanos(1));
            assert!(supervisor.due(early).is_empty(), "invariant: never early");
            assert_eq!(supervisor.timeout(now), Some(delay));
            now = now + delay;
            assert_eq!(supervisor.due(now), [1], "the other one runs");
            supervisor.started(1, now);
            assert!(supervisor.due(now).is_empty());
            delays.push(delay.as_millis());
        }
        assert_eq!(delays[..9], [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert!(delays[9..].iter().all(|&delay| delay == 10_000), "bounded: {delays:?}");
        // It runs for long enough.
        now = now + (UPTIME_MIN - Duration::from_nanos(1));
        assert_eq!(supervisor.exited(1, now), DELAY_MAX, "nothing is forgotten early");
        now = now + DELAY_MAX;
        supervisor.started(1, now);
        now = now + UPTIME_MIN;
        assert_eq!(supervisor.exited(1, now), DELAY_MIN, "what was earlier is forgotten");
        assert!(!supervisor.is_hopeless(), "the other one runs");
    }

    /// It served for long before it hung: its earlier failures are forgotten too.
    #[test]
    fn a_worker_that_hangs_after_a_long_time_is_replaced_at_once() {
        let timeout = Duration::from_secs(3);
        let mut supervisor = Supervisor::new(words(1), Some(timeout), at(0));
        supervisor.exited(0, at(1));
        supervisor.exited(0, at(1));
        supervisor.started(0, at(1000));
        let mut now = at(1000) + UPTIME_MIN;
        while !supervisor.check(now).contains(&Finding::Hangs(0)) {
            now = now + timeout;
        }
        assert_eq!(supervisor.exited(0, now), DELAY_MIN);
    }

    #[test]
    fn without_any_worker_it_ends_after_some_attempts() {
        let mut supervisor = Supervisor::new(words(2), None, at(0));
        for round in 1..=FAILURES_MAX {
            for number in 0..2 {
                assert!(!supervisor.is_hopeless(), "round {round}: an attempt is left");
                supervisor.started(number, at(0));
                supervisor.exited(number, at(0));
            }
        }
        assert!(supervisor.is_hopeless());
        supervisor.started(0, at(0));
        assert!(!supervisor.is_hopeless(), "one runs");
    }

    #[test]
    fn a_worker_hangs_after_three_questions_without_an_answer() {
        let (words, timeout) = (words(2), Duration::from_secs(3));
        let mut supervisor = Supervisor::new(words, Some(timeout), at(0));
        assert_eq!(supervisor.patience(), timeout);
        let early = Instant::from_nanos(at(1000).as_nanos() - 1);
        assert!(supervisor.check(early).is_empty(), "invariant: never early");
        let mut hangs_at = None;
        for second in 1..=20 {
            words[0].fetch_add(1, Ordering::Relaxed);
            for finding in supervisor.check(at(1000 * second)) {
                match finding {
                    Finding::Hangs(number) => {
                        assert_eq!((number, hangs_at), (1, None), "once, and not the other one");
                        hangs_at = Some(second);
                    }
                    Finding::Ask(number) => {
                        assert!(number == 0 || hangs_at.is_none(), "a killed one is not asked");
                    }
                }
            }
        }
        assert_eq!(hangs_at, Some(4), "asked at 1, 2 and 3");
        supervisor.exited(1, at(21_000));
        supervisor.started(1, at(22_000));
        assert_eq!(supervisor.check(at(22_000)), [Finding::Ask(0), Finding::Ask(1)]);
    }

    #[test]
    fn a_server_that_was_stopped_as_a_whole_kills_no_worker() {
        let mut supervisor = Supervisor::new(words(1), Some(Duration::from_secs(3)), at(0));
        assert_eq!(supervisor.check(at(1000)), [Finding::Ask(0)]);
        assert_eq!(supervisor.check(at(1_000_000)), [Finding::Ask(0)], "a single check");
        assert!(supervisor.check(at(1_000_001)).is_empty());
    }
}
