//! `--fail-if p99>2ms`: thresholds that make a run fail although every echo was correct. Pure.

use std::fmt;
use std::str::FromStr;

use crate::load::Report;
use crate::units;

/// A comparison of a figure of a report with a bound.
#[derive(Debug, Clone)]
pub(super) struct Threshold {
    figure: Figure,
    compare: Operator,
    bound: f64,
    text: String,
}

#[derive(Debug, Clone, Copy)]
enum Figure {
    Percentile(f64),
    Min,
    Mean,
    Max,
    Rate,
    Count(fn(&Report) -> u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Above,
    Below,
    AtLeast,
    AtMost,
}

const KNOWN: &str = "p50, p99.9 and so on, min, mean, max (2ms); rate (100k); \
                     messages, errors, lost, late, refused, unsent (0)";

impl Threshold {
    /// Whether the report fails this threshold. A threshold on latencies fails if there are none: a
    /// server that never responds must not pass.
    pub(super) fn is_violated(&self, report: &Report) -> bool {
        if self.has_no_data(report) {
            return true;
        }
        let figure = self.figure.of(report);
        match self.compare {
            Operator::Above => figure > self.bound,
            Operator::Below => figure < self.bound,
            Operator::AtLeast => figure >= self.bound,
            Operator::AtMost => figure <= self.bound,
        }
    }

    /// The figure as text.
    pub(super) fn figure(&self, report: &Report) -> String {
        if self.has_no_data(report) {
            return "unknown: no response".to_owned();
        }
        let figure = self.figure.of(report);
        if self.figure.is_time() { units::time(figure) } else { format!("{figure:.0}") }
    }

    fn has_no_data(&self, report: &Report) -> bool {
        self.figure.is_time() && report.latencies().is_empty()
    }
}

impl Figure {
    fn of(self, report: &Report) -> f64 {
        let latencies = report.latencies();
        match self {
            Self::Percentile(percent) => latencies.value_at_percentile(percent) as f64,
            Self::Min => latencies.min() as f64,
            Self::Mean => latencies.mean(),
            Self::Max => latencies.max() as f64,
            Self::Rate => report.rate,
            Self::Count(count) => count(report) as f64,
        }
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Percentile(_) | Self::Min | Self::Mean | Self::Max)
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "min" => Self::Min,
            "mean" => Self::Mean,
            "max" => Self::Max,
            "rate" => Self::Rate,
            "messages" => Self::Count(|report| report.counts.messages),
            "errors" => Self::Count(|report| report.counts.errors()),
            "lost" => Self::Count(|report| report.counts.lost),
            "late" => Self::Count(|report| report.counts.late),
            "refused" => Self::Count(|report| report.counts.refused),
            "unsent" => Self::Count(|report| report.counts.unsent),
            _ => {
                let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
                return (0.0..=100.0).contains(&percent).then_some(Self::Percentile(percent));
            }
        })
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let compact: String = text.split_whitespace().collect();
        let at = compact.find(['<', '>']).ok_or("expected FIGURE>BOUND or FIGURE<BOUND")?;
        let (name, rest) = compact.split_at(at);
        let figure = Figure::named(name).ok_or_else(|| format!("the figures are {KNOWN}"))?;
        let (compare, bound) = match (rest.strip_prefix(">="), rest.strip_prefix("<=")) {
            (Some(bound), _) => (Operator::AtLeast, bound),
            (_, Some(bound)) => (Operator::AtMost, bound),
            _ if rest.starts_with('>') => (Operator::Above, &rest[1..]),
            _ => (Operator::Below, &rest[1..]),
        };
        let bound = if figure.is_time() {
            units::duration(bound)?.as_secs_f64() * 1e9
        } else {
            units::amount(bound)?
        };
        Ok(Self { figure, compare, bound, text: compact })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_parsed() {
        for text in ["p99>2ms", "p99.9 >= 1.5s", "max<10us", "rate<100k", "errors>0", "lost<=3"] {
            let threshold = text.parse::<Threshold>();
            assert!(threshold.is_ok(), "{text}: {threshold:?}");
        }
        for text in ["", "p99", "p101>1ms", "p>1ms", "x>1", "rate>", "p99>5x", "p99=1ms", ">1"] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        let threshold: Threshold = "p50>2ms".parse().expect("a valid threshold");
        assert!((threshold.bound - 2e6).abs() < 1e-3);
    }
}
