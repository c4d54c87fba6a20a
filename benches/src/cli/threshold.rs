//! `--fail-if p99>2ms`: thresholds that make a run fail although every echo was correct. Pure.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;

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
    /// Another figure of the latencies, in nanoseconds.
    Latency(fn(&Histogram<u64>) -> f64),
    Other(fn(&Report) -> f64),
}

type Operator = fn(&f64, &f64) -> bool;

/// The longer ones first.
const OPERATORS: [(&str, Operator); 4] =
    [(">=", f64::ge), ("<=", f64::le), (">", f64::gt), ("<", f64::lt)];

const KNOWN: &str = "p50, p99.9 and so on, min, mean, max (2ms); rate (100k); \
                     messages, errors, lost, late, refused, unsent (0)";

impl Threshold {
    /// Whether the report fails this threshold. A threshold on latencies fails if there are none: a
    /// server that never responds must not pass.
    pub(super) fn is_violated(&self, report: &Report) -> bool {
        self.has_no_data(report) || (self.compare)(&self.figure.of(report), &self.bound)
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
        self.figure.is_time() && report.meter.latencies.is_empty()
    }
}

impl Figure {
    fn of(self, report: &Report) -> f64 {
        match self {
            Self::Percentile(percent) => report.meter.latencies.value_at_percentile(percent) as f64,
            Self::Latency(figure) => figure(&report.meter.latencies),
            Self::Other(figure) => figure(report),
        }
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Percentile(_) | Self::Latency(_))
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "min" => Self::Latency(|latencies| latencies.min() as f64),
            "mean" => Self::Latency(Histogram::mean),
            "max" => Self::Latency(|latencies| latencies.max() as f64),
            "rate" => Self::Other(|report| report.rate),
            "messages" => Self::Other(|report| report.counts.messages as f64),
            "errors" => Self::Other(|report| report.counts.errors() as f64),
            "lost" => Self::Other(|report| report.counts.lost as f64),
            "late" => Self::Other(|report| report.counts.late as f64),
            "refused" => Self::Other(|report| report.counts.refused as f64),
            "unsent" => Self::Other(|report| report.counts.unsent as f64),
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
        let form = "expected FIGURE>BOUND or FIGURE<BOUND";
        let (name, rest) = compact.split_at(compact.find(['<', '>']).ok_or(form)?);
        let figure = Figure::named(name).ok_or_else(|| format!("the figures are {KNOWN}"))?;
        let mut operators = OPERATORS.into_iter();
        let parse = |(sign, compare)| Some((compare, rest.strip_prefix(sign)?));
        let (compare, bound) = operators.find_map(parse).ok_or(form)?;
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
