//! The figures of a run as data: written as JSON, judged, as tables.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::polite::Slice;
use crate::schema::Machine;
use crate::stats::Estimate;
use crate::table::{Grid, folded};

/// Latencies of the polite client, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// How many there were.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// 99 of 100 were not longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// The same under attack, and before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Before and after.
    pub quiet: Latencies,
    /// Under attack.
    pub attacked: Latencies,
}

/// One attack on one server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// One message on a connection that stays.
    pub echo: Pair,
    /// A new connection, to its first echo.
    pub connect: Pair,
    /// How often the attackers did what they do.
    pub actions: u64,
}

/// All rounds of an attack on one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The rounds.
    pub rounds: Vec<Round>,
    /// Why there are no more: the server failed.
    pub why: Option<String>,
}

/// An attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub attack: String,
    /// One line.
    pub what: String,
    /// In the order of [`Attacks::servers`].
    pub servers: Vec<Measured>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attacks {
    /// When it began: RFC 3339, UTC.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// The length of a slice.
    pub slice_seconds: f64,
    /// The servers; the second is a copy of the first.
    pub servers: Vec<String>,
    /// Those that `--fail-if` is about.
    pub judged: Vec<String>,
    /// The attacks.
    pub rows: Vec<Row>,
}

impl Latencies {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            max_ns: histogram.max(),
        }
    }
}

impl Pair {
    fn of(quiet: &Histogram<u64>, attacked: &Histogram<u64>) -> Self {
        Self { quiet: Latencies::of(quiet), attacked: Latencies::of(attacked) }
    }

    /// A figure under attack by the quiet one.
    fn ratio(&self, figure: fn(&Latencies) -> u64) -> f64 {
        figure(&self.attacked).max(1) as f64 / figure(&self.quiet).max(1) as f64
    }
}

impl Measured {
    pub(super) fn add(&mut self, quiet: &Slice, attacked: &Slice, actions: u64) {
        let echo = Pair::of(&quiet.echo, &attacked.echo);
        let connect = Pair::of(&quiet.connect, &attacked.connect);
        self.rounds.push(Round { echo, connect, actions });
    }

    /// The median over the rounds; `None` if the server failed, or nothing was measured.
    fn ratio(&self, figure: fn(&Round) -> f64) -> Option<f64> {
        let is_known = self.why.is_none() && !self.rounds.is_empty();
        is_known.then(|| Estimate::of(self.rounds.iter().map(figure)).median)
    }

    /// The ratio of p99 of an echo, the median over the rounds; `None` if the server failed.
    #[must_use]
    pub fn echo_p99_ratio(&self) -> Option<f64> {
        self.ratio(FIGURES[1].1)
    }
}

impl Row {
    pub(super) fn new(attack: &str, what: &str, servers: usize) -> Self {
        let (attack, what) = (attack.to_owned(), what.to_owned());
        Self { attack, what, servers: vec![Measured::default(); servers] }
    }
}

/// The figures: a head, and the ratio of a round.
type Figure = (&'static str, fn(&Round) -> f64);
const FIGURES: [Figure; 3] = [
    ("median of an echo, under attack / quiet", |it| it.echo.ratio(|it| it.p50_ns)),
    ("p99 of an echo, under attack / quiet", |it| it.echo.ratio(|it| it.p99_ns)),
    ("p99 of a new connection and its first echo, under attack / quiet", |it| {
        it.connect.ratio(|it| it.p99_ns)
    }),
];

impl Attacks {
    pub(super) fn new(
        date: String,
        machine: Machine,
        slice: Duration,
        servers: Vec<String>,
        judged: Vec<String>,
    ) -> Self {
        let slice_seconds = slice.as_secs_f64();
        Self { date, machine, slice_seconds, servers, judged, rows: Vec::new() }
    }

    /// A table for each figure, and a line for each server that failed.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for (head, figure) in FIGURES {
            let names = self.servers.iter().map(String::as_str);
            let mut grid = Grid::new(std::iter::once("attack").chain(names));
            for row in &self.rows {
                let cells = row.servers.iter().map(|it| cell(it.ratio(figure)));
                grid.add(std::iter::once(row.attack.clone()).chain(cells).collect());
            }
            let _ = writeln!(text, "{head}\n\n{}", grid.render());
        }
        for (row, name, why) in self.failures() {
            text += &folded(&format!("{}, {name}: {why}", row.attack));
        }
        text
    }

    fn failures(&self) -> impl Iterator<Item = (&Row, &str, &str)> {
        let cells = self.rows.iter().flat_map(|row| {
            self.servers.iter().zip(&row.servers).map(move |(name, it)| (row, name, it))
        });
        cells.filter_map(|(row, name, it)| Some((row, name.as_str(), it.why.as_deref()?)))
    }

    /// A line for each judged server of which a ratio is greater than `most`, or which failed.
    #[must_use]
    pub fn above(&self, most: f64) -> Vec<String> {
        let is_judged = |name: &str| self.judged.iter().any(|it| it == name);
        let mut lines: Vec<String> = self
            .failures()
            .filter(|(_, name, _)| is_judged(name))
            .map(|(row, name, why)| format!("{}, {name}: {why}", row.attack))
            .collect();
        for row in &self.rows {
            for (name, it) in self.servers.iter().zip(&row.servers).filter(|it| is_judged(it.0)) {
                for (head, figure) in FIGURES {
                    let ratio = it.ratio(figure).filter(|&ratio| ratio > most);
                    lines.extend(ratio.map(|ratio| {
                        format!("{}, {name}: {head}: {}", row.attack, cell(Some(ratio)))
                    }));
                }
            }
        }
        lines
    }
}

fn cell(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".to_owned(),
        Some(ratio) if ratio < 9.95 => format!("{ratio:.1}"),
        Some(ratio) => format!("{ratio:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(p99_ns: u64) -> Latencies {
        Latencies { count: 1, p50_ns: p99_ns, p99_ns, max_ns: p99_ns }
    }

    fn measured(ratios: &[u64]) -> Measured {
        let round = |&ratio| {
            let pair = Pair { quiet: latencies(1000), attacked: latencies(1000 * ratio) };
            Round { echo: pair, connect: pair, actions: 1 }
        };
        Measured { rounds: ratios.iter().map(round).collect(), why: None }
    }

    fn attacks(servers: Vec<Measured>) -> Attacks {
        let names = ["epoll-edge", "A/A", "tokio"].map(str::to_owned).to_vec();
        let judged = names[..2].to_vec();
        let cores = crate::server::Cores { server: 1, load: 0 };
        let machine = crate::host::collect(cores);
        let mut attacks =
            Attacks::new(String::new(), machine, Duration::from_secs(1), names, judged);
        attacks.rows.push(Row { servers, ..Row::new("churn", "", 0) });
        attacks
    }

    #[test]
    fn a_figure_is_the_median_over_the_rounds() {
        assert_eq!(measured(&[1, 90, 3]).echo_p99_ratio(), Some(3.0));
        assert_eq!(measured(&[]).echo_p99_ratio(), None);
    }

    #[test]
    fn only_judged_servers_violate_a_threshold() {
        let failed = Measured { why: Some("no echo".to_owned()), ..measured(&[1]) };
        let attacks = attacks(vec![measured(&[11, 11, 1]), failed, measured(&[99])]);
        let lines = attacks.above(10.0);
        assert_eq!(lines[0], "churn, A/A: no echo");
        assert_eq!(lines[2], "churn, epoll-edge: p99 of an echo, under attack / quiet: 11");
        assert_eq!(lines.len(), 4, "all figures of the first: {lines:?}");
        assert_eq!(attacks.above(11.0).len(), 1, "not above it");
        let tables = attacks.tables();
        assert!(tables.contains("churn           11    -     99"), "{tables}");
        assert!(tables.contains("\nchurn, A/A: no echo\n"), "{tables}");
    }
}
