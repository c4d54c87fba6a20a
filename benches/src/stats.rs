//! Paired statistics: ratios within a round, the interval of their median, and its significance.
//! Pure arithmetic.
//!
//! A ratio is taken between two slices of the same round, so whatever the machine was doing in that
//! half-second affects both. The spread of the ratios over the rounds is the only source of
//! uncertainty, and no distribution is assumed: the interval of the median is read from the sorted
//! ratios (an inverted sign test), so one disturbed slice in twelve hardly changes it.

use serde::{Deserialize, Serialize};

/// The significance level: how often an interval may miss the true median.
const ALPHA: f64 = 0.05;

/// A median and the interval that contains the true median in 95 of 100 runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median over the rounds.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Estimate {
    /// Estimates from the figures of all rounds. With fewer than six rounds no interval contains
    /// the median in 95 of 100 runs; then it is the range from the least to the greatest.
    ///
    /// # Panics
    /// If there are no figures, or one is NaN.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        assert!(!sorted.is_empty(), "no rounds, no estimate");
        assert!(sorted.iter().all(|figure| !figure.is_nan()), "0 / 0 is not a ratio");
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let cut = trim_count(sorted.len());
        let median = f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
        Self { median, low: sorted[cut], high: sorted[last - cut] }
    }

    /// The larger distance of the interval from 1, as a factor of at least 1.
    pub(crate) fn noise_factor(&self) -> f64 {
        self.high.max(1.0 / self.low).max(1.0)
    }

    /// Compares a ratio with the noise, given the same ratio of the reference's copy to the
    /// reference.
    ///
    /// The interval of the copy shows how far a ratio deviates from 1 without any difference; an
    /// interval that touches that band is not significant.
    pub fn verdict(&self, control: &Self) -> Verdict {
        let noise = control.noise_factor();
        if self.low > noise {
            Verdict::Higher
        } else if self.high < 1.0 / noise {
            Verdict::Lower
        } else {
            Verdict::NoDifference
        }
    }
}

/// Significance of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Significantly above 1.
    Higher,
    /// Significantly below 1.
    Lower,
    /// Not significant; a smaller difference may exist.
    NoDifference,
}

/// How many of `count` sorted figures may be cut off at each end so that the rest still contains
/// the true median in 95 of 100 runs. Each figure is below it with probability 1/2, so the interval
/// misses if at most this many of `count` coins show one side.
fn trim_count(count: usize) -> usize {
    let coins = i32::try_from(count).unwrap_or(i32::MAX);
    let mut chance = 0.5_f64.powi(coins);
    let mut missed = 0.0;
    for heads in 0..count {
        missed += 2.0 * chance;
        if missed > ALPHA {
            return heads.saturating_sub(1);
        }
        chance *= (count - heads) as f64 / (heads + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_is_the_one_in_the_tables_of_the_sign_test() {
        // n, and the rank of the lower end: the tables count from 1, we from 0.
        for (count, rank) in [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (36, 12), (50, 18)] {
            assert_eq!(trim_count(count) + 1, rank, "of {count} rounds");
        }
        for count in 1..6 {
            assert_eq!(trim_count(count), 0, "with {count} rounds nothing may be cut off");
        }
    }

    #[test]
    fn the_count_is_right_for_many_rounds() {
        // 1000 coins: 500 - 1.96 * sqrt(1000) / 2 = 469.
        assert!((465..=472).contains(&trim_count(1000)), "{}", trim_count(1000));
    }

    #[test]
    fn one_outlier_does_not_change_the_estimate() {
        let calm = Estimate::of([0.98, 0.99, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.01, 1.01, 1.02]);
        let rough = Estimate::of([0.1, 0.99, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.01, 1.01, 9.0]);
        assert_eq!(calm, rough);
        assert_eq!((calm.low, calm.median, calm.high), (0.99, 1.0, 1.01));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_midpoint() {
        assert_eq!(Estimate::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Estimate::of([3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Estimate::of([7.0]), Estimate { median: 7.0, low: 7.0, high: 7.0 });
    }

    #[test]
    fn a_ratio_within_the_noise_is_no_difference() {
        let estimate = |low, high| Estimate { median: f64::midpoint(low, high), low, high };
        let control = estimate(0.95, 1.01);
        // The control deviates by 5 % downwards, so 5 % upwards is noise too.
        for (low, high, verdict) in [
            (1.01, 1.04, Verdict::NoDifference),
            (1.04, 1.20, Verdict::NoDifference),
            (1.06, 1.20, Verdict::Higher),
            (0.90, 0.96, Verdict::NoDifference),
            (0.90, 0.94, Verdict::Lower),
            (0.50, 2.00, Verdict::NoDifference),
        ] {
            assert_eq!(estimate(low, high).verdict(&control), verdict, "{low}..{high}");
        }
        assert_eq!(control.verdict(&control), Verdict::NoDifference);
    }
}
