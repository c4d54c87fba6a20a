//! Schedules: when messages are sent. In an open loop the schedule does not depend on responses. It
//! knows no sockets.

use epollite::Instant;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};

/// What determines when the next message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// A response: closed loop.
    ClosedLoop,
    /// The clock, at equal intervals: this many messages per second over all connections.
    Uniform(f64),
    /// The clock, at exponentially distributed intervals, as from many independent clients.
    Poisson(f64),
}

impl Pace {
    /// Messages per second of an open loop.
    pub const fn rate(self) -> Option<f64> {
        match self {
            Self::ClosedLoop => None,
            Self::Uniform(rate) | Self::Poisson(rate) => Some(rate),
        }
    }
}

/// An infinite sequence of send times.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    start: Instant,
    /// Number of send times consumed.
    count: u64,
    /// The next send time, in nanoseconds since the start.
    next_nanos: f64,
    random: Xoshiro256PlusPlus,
}

impl Schedule {
    pub(super) fn new(pace: Pace, start: Instant, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let next_nanos = if pace.rate().is_some() { 0.0 } else { f64::INFINITY };
        Self { pace, start, count: 0, next_nanos, random }
    }

    /// The next send time.
    pub(super) fn next(&self) -> Instant {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and the cast saturates: u64::MAX means never"
        )]
        let nanos = self.next_nanos as u64;
        Instant::from_nanos(self.start.as_nanos().saturating_add(nanos))
    }

    /// Advances to the following one.
    pub(super) fn advance(&mut self) {
        self.count += 1;
        match self.pace {
            Pace::ClosedLoop => {}
            // Computed from the start each time, so that rounding errors do not accumulate.
            Pace::Uniform(rate) => self.next_nanos = self.count as f64 * 1e9 / rate,
            Pace::Poisson(rate) => {
                self.next_nanos += self.random.sample::<f64, _>(Exp1) * 1e9 / rate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(pace: Pace, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(pace, Instant::ZERO, 1);
        (0..count)
            .map(|_| {
                let next = schedule.next();
                schedule.advance();
                next.as_nanos()
            })
            .collect()
    }

    #[test]
    fn uniform_has_equal_intervals() {
        assert_eq!(times(Pace::Uniform(1000.0), 3), [0, 1_000_000, 2_000_000]);
        assert_eq!(times(Pace::Uniform(3.0), 4)[3], 1_000_000_000, "rounding does not accumulate");
    }

    #[test]
    fn poisson_has_the_mean_and_deviation_of_an_exponential() {
        let times = times(Pace::Poisson(1000.0), 100_001);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / 1e5;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "the mean is {mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.03,
            "an exponential's standard deviation equals its mean"
        );
    }

    #[test]
    fn a_closed_loop_has_no_send_times() {
        assert_eq!(times(Pace::ClosedLoop, 1), [Instant::MAX.as_nanos()]);
    }
}
