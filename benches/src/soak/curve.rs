//! The samples of a run as data: written as JSON, judged, as a table and as a plot.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::gauges::Gauges;
use crate::report::{self, Line};
use crate::table::folded;
use crate::units;

/// Memory may be this much more in the last fifth of the run than in the second: an allocator keeps
/// some of what once was needed at the same time.
const GROWTH_BYTES_MAX: u64 = 2 << 20;
const GROWTH_PERCENT_MAX: u64 = 5;

/// How the names of gauges end whose figures need not come back: what is kept to be used again.
const KEPT: &str = "_slots";

/// Such a gauge may be this many times as high in the last fifth of the run as in the second: a
/// peak that is rare comes late.
const KEPT_GROWTH_MAX: f64 = 2.0;

/// What a server uses at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start of the load.
    pub seconds: f64,
    /// Resident memory of all processes; a page that two share counts twice.
    pub resident_bytes: u64,
    /// Open descriptors of all processes.
    pub descriptors: usize,
    /// Threads of all processes.
    pub threads: usize,
    /// Processes.
    pub processes: usize,
    /// Processor time per second since the last sample.
    pub cores: f64,
    /// Exchanges per second since the last sample.
    pub exchanges_per_second: f64,
    /// What the server tells of itself; empty if it has no page, or did not answer.
    #[serde(default)]
    pub gauges: Gauges,
}

/// A figure of a curve.
type Figure<'a> = Box<dyn Fn(&Sample) -> f64 + 'a>;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Soak {
    /// When it began: RFC 3339, UTC.
    pub date: String,
    /// The kernel.
    pub kernel: String,
    /// The command of the server, with its placeholders.
    pub command: String,
    /// At rest before the load, after some first clients.
    pub before: Sample,
    /// Under load.
    pub samples: Vec<Sample>,
    /// At rest after it; `None` if the server has ended.
    pub after: Option<Sample>,
    /// How often SIGHUP was sent.
    pub reloads: u32,
    /// By the kind of client: how many exchanges were right.
    pub exchanges: Vec<(String, u64)>,
    /// What was wrong, a line each.
    pub wrong: Vec<String>,
}

impl Sample {
    /// Whether it uses more descriptors, threads or processes, or a gauge is higher.
    pub(super) fn exceeds(&self, before: &Self) -> bool {
        self.descriptors > before.descriptors
            || self.threads > before.threads
            || self.processes > before.processes
            || self.higher_gauges(before).next().is_some()
    }

    /// The gauges that should be as before and are higher, or are missing: name, before, now.
    fn higher_gauges<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a str, f64, Option<f64>)> {
        let names = before.gauges.iter().filter(|(name, _)| !is_kept(name));
        names
            .map(|(name, before)| (name.as_str(), *before, self.gauges.get(name).copied()))
            .filter(|(_, before, now)| now.is_none_or(|now| now > *before))
    }
}

impl Soak {
    pub(super) fn new(date: String, kernel: String, command: String, before: Sample) -> Self {
        let (samples, exchanges, wrong) = (Vec::new(), Vec::new(), Vec::new());
        Self { date, kernel, command, before, samples, after: None, reloads: 0, exchanges, wrong }
    }

    /// Reads a file of `soak --json`.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no result of soak", path.display()))
    }

    /// Everything that must not be: wrong bytes, growth, what is kept at the end.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.wrong.clone();
        if let Some([early, late]) = self.resident() {
            let most = early + GROWTH_BYTES_MAX.max(early * GROWTH_PERCENT_MAX / 100);
            if late > most {
                let [early, late] = [early, late].map(|bytes| units::size(bytes as f64));
                failures.push(format!("resident memory grew from {early} to {late}"));
            }
        }
        failures.extend(self.kept_growth());
        let silent = self.samples.iter().filter(|it| it.gauges.len() < self.before.gauges.len());
        match silent.count() {
            0 => {}
            count => failures.push(format!("{count} times the page of figures was not answered")),
        }
        let Some(after) = &self.after else { return failures };
        let kept = [
            ("descriptors", self.before.descriptors, after.descriptors),
            ("threads", self.before.threads, after.threads),
            ("processes", self.before.processes, after.processes),
        ];
        let more = kept.into_iter().filter(|(_, before, after)| after > before);
        failures.extend(more.map(|(what, before, after)| {
            format!("{what}: {before} before the load, {after} after it")
        }));
        failures.extend(after.higher_gauges(&self.before).map(
            |(name, before, after)| match after {
                Some(after) => format!("{name}: {before} before the load, {after} after it"),
                None => format!("{name}: {before} before the load, and unknown after it"),
            },
        ));
        failures
    }

    /// The gauges of what is kept that are much higher at the end than early.
    fn kept_growth(&self) -> Vec<String> {
        let fifth = self.samples.len() / 5;
        let (early, late) = (&self.samples[fifth..2 * fifth], &self.samples[4 * fifth..]);
        let grown = |name: &str| {
            let of = |part: &[Sample]| -> Vec<f64> {
                part.iter().filter_map(|it| it.gauges.get(name).copied()).collect()
            };
            let most = of(early).into_iter().reduce(f64::max)?;
            let least = of(late).into_iter().reduce(f64::min)?;
            (least > most * KEPT_GROWTH_MAX).then(|| format!("{name} grew from {most} to {least}"))
        };
        let names = self.before.gauges.keys();
        names.filter(|name| is_kept(name)).filter_map(|name| grown(name)).collect()
    }

    /// The median of resident memory in the second fifth of the run, and in the last; `None` with
    /// too few samples to tell.
    fn resident(&self) -> Option<[u64; 2]> {
        let fifth = self.samples.len() / 5;
        let median = |part: &[Sample]| {
            let mut bytes: Vec<u64> = part.iter().map(|it| it.resident_bytes).collect();
            bytes.sort_unstable();
            bytes.get(bytes.len() / 2).copied()
        };
        let early = median(self.samples.get(fifth..2 * fifth)?)?;
        let late = median(&self.samples[self.samples.len() - fifth..])?;
        Some([early, late])
    }

    /// The result for a terminal.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{}\n", self.command);
        let row = |sample: &Sample| {
            format!(
                "{:>12}  {:>11}  {:>7}  {:>9}",
                units::size(sample.resident_bytes as f64),
                sample.descriptors,
                sample.threads,
                sample.processes
            )
        };
        let head = ["memory", "descriptors", "threads", "processes"];
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:8}{:>12}  {}  {}  {}", "", head[0], head[1], head[2], head[3]);
        let mut line = |when: &str, sample: Option<&Sample>| {
            let _ = sample.map(|sample| writeln!(text, "{when:8}{}", row(sample)));
        };
        line("before", Some(&self.before));
        line("early", self.samples.get(self.samples.len() / 5));
        line("late", self.samples.last());
        line("after", self.after.as_ref());
        for name in self.before.gauges.keys() {
            let of = |sample: Option<&Sample>| {
                sample.and_then(|it| it.gauges.get(name)).map_or("-".to_owned(), f64::to_string)
            };
            let [before, after] = [Some(&self.before), self.after.as_ref()].map(of);
            let [early, late] =
                [self.samples.get(self.samples.len() / 5), self.samples.last()].map(of);
            let _ = writeln!(
                text,
                "{name}: before {before}, early {early}, late {late}, after {after}"
            );
        }
        let seconds = self.samples.last().map_or(0.0, |last| last.seconds);
        let counts: Vec<String> =
            self.exchanges.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let (counts, reloads) = (counts.join(", "), self.reloads);
        let _ = writeln!(text, "{seconds:.0} s; right: {counts}; reloads {reloads}");
        for failure in self.failures() {
            let _ = writeln!(text, "FAIL: {failure}");
        }
        folded(&text)
    }

    /// The curves as SVG files: their names, their texts.
    ///
    /// # Errors
    /// When the template of the page fails.
    pub fn svgs(&self) -> Result<Vec<(String, String)>> {
        let mut curves: Vec<(&str, &'static str, Figure<'_>)> = vec![
            ("memory", "ours", Box::new(|it| it.resident_bytes as f64)),
            ("descriptors", "rust", Box::new(|it| it.descriptors as f64)),
            ("exchanges", "c", Box::new(|it| it.exchanges_per_second)),
        ];
        curves.extend(self.before.gauges.keys().filter(|name| !name.contains('{')).map(|name| {
            let figure = |it: &Sample| it.gauges.get(name).copied().unwrap_or(f64::NAN);
            (name.as_str(), "ours", Box::new(figure) as Figure<'_>)
        }));
        let file = |(name, class, figure): (&str, _, Figure<'_>)| {
            let points = self.samples.iter().map(|it| (it.seconds / 60.0, figure(it))).collect();
            let svg = report::soak(&Line { name: name.to_owned(), class, points })?;
            Ok((format!("{name}.svg"), svg))
        };
        curves.into_iter().map(file).collect()
    }
}

fn is_kept(gauge: &str) -> bool {
    gauge.split('{').next().is_some_and(|family| family.ends_with(KEPT))
}
