//! `--fail-if p99>2ms`: what makes a run fail although every byte was right. Pure.

use std::fmt;
use std::str::FromStr;

use crate::load::Report;
use crate::units;

/// A figure of a report, compared with a bound.
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
    /// Whether it holds of that. A bound on latencies is not kept when there were none: a server
    /// that answers nothing must not pass.
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

    /// What it holds of, for the reader.
    pub(super) fn figure(&self, report: &Report) -> String {
        if self.has_no_data(report) {
            return "not known: nothing came back".to_owned();
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
        let squeezed: String = text.split_whitespace().collect();
        let at = squeezed.find(['<', '>']).ok_or("it takes FIGURE>BOUND or FIGURE<BOUND")?;
        let (name, rest) = squeezed.split_at(at);
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
        Ok(Self { figure, compare, bound, text: squeezed })
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
    fn conditions_are_read() {
        for text in ["p99>2ms", "p99.9 >= 1.5s", "max<10us", "rate<100k", "errors>0", "lost<=3"] {
            let condition = text.parse::<Threshold>();
            assert!(condition.is_ok(), "{text}: {condition:?}");
        }
        for text in ["", "p99", "p101>1ms", "p>1ms", "x>1", "rate>", "p99>5x", "p99=1ms", ">1"] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        let condition: Threshold = "p50>2ms".parse().expect("it is one");
        assert!((condition.bound - 2e6).abs() < 1e-3);
    }
}
