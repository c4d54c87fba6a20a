//! Whether to poll before blocking, and for how long: pure policy.
//!
//! Knows no clock and no kernel: the reactor asks before it waits, and reports what came of it.

use core::time::Duration;

/// Whether a reactor polls for events before it blocks ([`Reactor::set_spin`]).
///
/// Blocking puts the processor to sleep; waking it up again takes longer than an echo. A reactor
/// that polls has the event at once, at the price of a busy processor.
///
/// [`Reactor::set_spin`]: crate::Reactor::set_spin
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Spin {
    /// Never: blocks at once.
    #[default]
    Off,
    /// For at most this long before every wait. A server without events blocks too, after this
    /// time.
    For(Duration),
    /// While it pays: tries it now and then, and goes on as long as events come within 20
    /// microseconds. It stays off for a peer that sends at its own pace, and when nothing comes.
    Auto,
}

/// How long [`Spin::Auto`] polls before it blocks.
const LIMIT: Duration = Duration::from_micros(40);

/// An event that comes later than this does not reward polling: it saves some 30 microseconds of
/// latency, and must not cost more processor time than that. A client that waits for each reply
/// answers in 11 to 18 microseconds, one that sends 20,000 messages a second in 20 to 50.
const REWARDED_WITHIN: Duration = Duration::from_micros(20);

/// Waits that a trial polls before, and how many of them must be rewarded.
const TRIAL_WAITS: u32 = 16;
const TRIAL_REWARDS_MIN: u32 = 12;

/// Waits without polling before the first trial. The number doubles with every trial that fails.
const PAUSE_WAITS_MIN: u32 = 32;
const PAUSE_WAITS_MAX: u32 = 1 << 16;

/// Polling ends when the score is used up: a reward adds 1, anything else takes
/// [`SCORE_PENALTY`].
const SCORE_MAX: u32 = 16;
const SCORE_PENALTY: u32 = 3;

/// The policy of one reactor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SpinPolicy {
    spin: Spin,
    state: State,
    /// The length of the next pause, in waits.
    pause_waits: u32,
}

/// The state of [`Spin::Auto`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Blocks; so many waits are left until the next trial.
    Pausing {
        waits: u32,
    },
    Trying {
        waits: u32,
        rewards: u32,
    },
    Spinning {
        score: u32,
    },
}

impl SpinPolicy {
    pub(super) const fn new(spin: Spin) -> Self {
        let state = State::Pausing { waits: PAUSE_WAITS_MIN };
        Self { spin, state, pause_waits: PAUSE_WAITS_MIN }
    }

    #[inline]
    pub(super) const fn is_off(&self) -> bool {
        matches!(self.spin, Spin::Off)
    }

    /// How long to poll before the next wait; `None` for not at all.
    pub(super) const fn limit(&mut self) -> Option<Duration> {
        match (self.spin, &mut self.state) {
            (Spin::Off, _) => None,
            (Spin::For(limit), _) => Some(limit),
            (Spin::Auto, State::Pausing { waits: 0 }) => {
                self.state = State::Trying { waits: TRIAL_WAITS, rewards: 0 };
                Some(LIMIT)
            }
            (Spin::Auto, State::Pausing { waits }) => {
                *waits -= 1;
                None
            }
            (Spin::Auto, State::Trying { .. } | State::Spinning { .. }) => Some(LIMIT),
        }
    }

    /// Reports the polling that [`limit`](Self::limit) asked for: how long it took until there was
    /// an event; `None` for no event.
    pub(super) fn record(&mut self, took: Option<Duration>) {
        let is_rewarded = took.is_some_and(|took| took <= REWARDED_WITHIN);
        match &mut self.state {
            State::Pausing { .. } => {}
            State::Trying { waits, rewards } => {
                *waits -= 1;
                *rewards += u32::from(is_rewarded);
                if *rewards + *waits < TRIAL_REWARDS_MIN {
                    self.state = State::Pausing { waits: self.pause_waits };
                    self.pause_waits = (2 * self.pause_waits).min(PAUSE_WAITS_MAX);
                } else if *waits == 0 {
                    self.state = State::Spinning { score: SCORE_MAX };
                    self.pause_waits = PAUSE_WAITS_MIN;
                }
            }
            State::Spinning { score } if is_rewarded => *score = (*score + 1).min(SCORE_MAX),
            State::Spinning { score } => match score.checked_sub(SCORE_PENALTY) {
                Some(left) => *score = left,
                None => self.state = State::Pausing { waits: self.pause_waits },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after the begin of a wait the event came, in microseconds, to a server that polls
    /// on a core of its own: TCP on loopback, one connection, on a machine that does other work too
    /// (Linux 6.18, AMD EPYC). The client waits for each reply.
    const PING_PONG: [u64; 64] = [
        12, 15, 30, 11, 21, 15, 13, 15, 12, 16, 359, 16, 13, 14, 14, 13, 13, 15, 14, 14, 13, 16,
        15, 38, 26, 17, 10, 11, 18, 17, 11, 18, 12, 14, 17, 59, 769, 17, 17, 13, 16, 18, 12, 15,
        11, 16, 17, 16, 12, 17, 11, 242, 15, 14, 14, 13, 13, 13, 13, 13, 35, 13, 24, 11,
    ];
    /// The same at 20,000 messages a second, whatever the server does.
    const PACED_20K: [u64; 64] = [
        36, 19, 29, 30, 22, 58, 14, 21, 59, 24, 14, 51, 11, 30, 29, 2, 2, 37, 10, 21, 30, 30, 30,
        42, 24, 24, 27, 22, 23, 27, 23, 29, 24, 23, 16, 2, 32, 16, 61, 1, 21, 4, 47, 15, 31, 28,
        32, 32, 36, 25, 36, 22, 48, 34, 31, 26, 28, 24, 29, 30, 27, 32, 26, 27,
    ];
    /// The same at 5,000 messages a second.
    const PACED_5K: [u64; 64] = [
        273, 199, 84, 1023, 121, 199, 221, 156, 365, 186, 179, 187, 228, 155, 189, 235, 288, 91,
        124, 183, 191, 182, 8279, 1, 634, 1, 215, 165, 172, 192, 173, 212, 154, 189, 187, 157, 204,
        149, 528, 36, 214, 144, 390, 175, 174, 156, 186, 195, 185, 209, 156, 210, 164, 2, 1461,
        162, 139, 189, 191, 158, 209, 160, 195, 196,
    ];

    /// What a trace of arrivals came to.
    struct Outcome {
        spun_micros: u64,
        /// Waits that ended while polling.
        hits: u32,
    }

    fn run(policy: &mut SpinPolicy, trace: impl IntoIterator<Item = u64>) -> Outcome {
        let mut outcome = Outcome { spun_micros: 0, hits: 0 };
        for micros in trace {
            let Some(limit) = policy.limit() else { continue };
            let after = Duration::from_micros(micros);
            let took = (after <= limit).then_some(after);
            outcome.hits += u32::from(took.is_some());
            outcome.spun_micros += u64::try_from(took.unwrap_or(limit).as_micros()).unwrap();
            policy.record(took);
        }
        outcome
    }

    fn repeated(trace: &[u64], waits: usize) -> impl Iterator<Item = u64> {
        trace.iter().copied().cycle().take(waits)
    }

    #[test]
    fn a_client_that_waits_for_replies_is_polled_for() {
        let mut policy = SpinPolicy::new(Spin::Auto);
        let outcome = run(&mut policy, repeated(&PING_PONG, 10_000));
        assert!(outcome.hits > 8_500, "{} of 10,000 waits", outcome.hits);
    }

    #[test]
    fn a_paced_client_is_not_polled_for() {
        for (trace, gap_micros) in [(PACED_20K, 50), (PACED_5K, 200)] {
            let mut policy = SpinPolicy::new(Spin::Auto);
            let outcome = run(&mut policy, repeated(&trace, 100_000));
            let (spun, whole) = (outcome.spun_micros, 100_000 * gap_micros);
            assert!(spun * 100 < whole, "invariant: below 1 % of a core, but {spun} of {whole} us");
        }
    }

    #[test]
    fn a_server_without_events_polls_a_few_times_and_then_blocks() {
        let mut policy = SpinPolicy::new(Spin::Auto);
        run(&mut policy, repeated(&PING_PONG, 1_000));
        // One event a second from here on.
        let outcome = run(&mut policy, repeated(&[1_000_000], 10_000));
        assert!(outcome.spun_micros < 10_000, "{} us in 10,000 s", outcome.spun_micros);
        assert_eq!(outcome.hits, 0);
    }

    #[test]
    fn a_change_of_load_is_followed_in_both_directions() {
        let mut policy = SpinPolicy::new(Spin::Auto);
        run(&mut policy, repeated(&PING_PONG, 256));
        assert!(matches!(policy.state, State::Spinning { .. }));
        run(&mut policy, repeated(&PACED_20K, 256));
        assert!(matches!(policy.state, State::Pausing { .. }));
        // Each trial that fails doubles the pause, up to a bound.
        run(&mut policy, repeated(&PACED_20K, 500_000));
        let waits = 2 * PAUSE_WAITS_MAX;
        let outcome = run(&mut policy, repeated(&PING_PONG, waits as usize));
        assert!(outcome.hits > waits / 4, "{} of {waits} waits", outcome.hits);
    }

    #[test]
    fn a_trial_is_won_with_twelve_rewards_of_sixteen() {
        for (rewards, is_won) in [(16, true), (12, true), (11, false), (0, false)] {
            let mut policy = SpinPolicy::new(Spin::Auto);
            run(&mut policy, core::iter::repeat_n(1, PAUSE_WAITS_MIN as usize));
            let trial = (0..16).map(|wait| if wait < rewards { 1 } else { 1_000 });
            run(&mut policy, trial);
            let is_spinning = matches!(policy.state, State::Spinning { .. });
            assert_eq!(is_spinning, is_won, "{rewards} rewards");
        }
    }

    #[test]
    fn off_and_a_fixed_time_learn_nothing() {
        let mut off = SpinPolicy::new(Spin::Off);
        assert_eq!(run(&mut off, PING_PONG).hits, 0);
        let mut fixed = SpinPolicy::new(Spin::For(Duration::from_micros(100)));
        assert_eq!(run(&mut fixed, repeated(&PACED_20K, 1_000)).hits, 1_000);
    }
}
