//! Earlier figures and how they have changed: a text file, and a comparison for each figure. It
//! knows no servers and no valgrind.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Tolerated relative change. A count is exact to a per mille, but compilers may lay out a function
/// differently; one additional call is 20 instructions of 80.
const TOLERANCE: f64 = 0.05;

/// Header of the file.
const HEADER: &str = "\
# User-space instructions of the server per echo, counted by callgrind. Checked by
# `make instructions`, updated by `make instructions BLESS=1`; see benches/README.md.
";

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The name of the case.
    pub case: String,
    /// The name of the server.
    pub server: String,
    /// Instructions per echo.
    pub instructions: f64,
}

/// Figures, and the tools they were counted with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    /// Names and versions of the tools that the figures depend on.
    pub tools: Vec<(String, String)>,
    /// The figures, in the order of the file.
    pub figures: Vec<Figure>,
}

/// How a figure has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Within 5 %.
    Same,
    /// More than 5 % higher: a failure.
    Regressed,
    /// More than 5 % lower: the baseline may be updated.
    Improved,
    /// It is not in the baseline.
    New,
    /// It is in the baseline and was not counted.
    Missing,
}

/// One case of one server, compared with the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The name of the case.
    pub case: String,
    /// The name of the server.
    pub server: String,
    /// The figure of the baseline.
    pub was: Option<f64>,
    /// The figure that was counted.
    pub is: Option<f64>,
    /// The result of the comparison.
    pub change: Change,
}

impl Change {
    /// Whether the check fails.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Regressed | Self::New | Self::Missing)
    }
}

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// If it does not exist, or a line of it is invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the baseline {}", path.display()))?;
        Self::parse(&text).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Which line is invalid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for (at, line) in text.lines().enumerate() {
            let wrong = || format!("line {} is not a figure: '{line}'", at + 1);
            if let Some(tool) = line.strip_prefix("# with ") {
                let (name, version) = tool.split_once(": ").ok_or_else(wrong)?;
                found.tools.push((name.to_owned(), version.to_owned()));
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                found.figures.push(figure(line).ok_or_else(wrong)?);
            }
        }
        Ok(found)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// These figures, updated with those counted now.
    pub fn updated(mut self, now: Self) -> Self {
        for figure in now.figures {
            let is_it = |it: &&mut Figure| it.case == figure.case && it.server == figure.server;
            match self.figures.iter_mut().find(is_it) {
                Some(before) => *before = figure,
                None => self.figures.push(figure),
            }
        }
        Self { tools: now.tools, ..self }
    }

    /// Tools whose version differs: the name, the earlier version, the current version.
    pub(crate) fn tool_changes(&self, now: &Self) -> Vec<(String, String, String)> {
        let change = |(name, is): &(String, String)| {
            let before = self.tools.iter().find(|(known, _)| known == name);
            let was = before.map_or("unknown", |(_, version)| version);
            (was != is).then(|| (name.clone(), was.to_owned(), is.clone()))
        };
        now.tools.iter().filter_map(change).collect()
    }

    /// Compares each figure. Unless `is_everything`, figures that were not counted are not missing.
    pub fn compare(&self, now: &Self, is_everything: bool) -> Vec<Finding> {
        let find = |all: &[Figure], figure: &Figure| {
            let is_it = |it: &&Figure| it.case == figure.case && it.server == figure.server;
            all.iter().find(is_it).map(|it| it.instructions)
        };
        let here = now.figures.iter().map(|figure| {
            let (was, is) = (find(&self.figures, figure), figure.instructions);
            Finding::of(figure, was, Some(is))
        });
        let gone = self.figures.iter().filter(|figure| find(&now.figures, figure).is_none());
        let gone = gone.map(|figure| Finding::of(figure, Some(figure.instructions), None));
        if is_everything { here.chain(gone).collect() } else { here.collect() }
    }
}

/// The file format: the case, the figure, and the server's name, which may contain spaces.
impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        for (name, version) in &self.tools {
            writeln!(f, "# with {name}: {version}")?;
        }
        for figure in &self.figures {
            let Figure { case, server, instructions } = figure;
            writeln!(f, "{case:8}{instructions:>10.1}  {server}")?;
        }
        Ok(())
    }
}

fn figure(line: &str) -> Option<Figure> {
    let (case, rest) = line.split_once(' ')?;
    let (instructions, server) = rest.trim_start().split_once(' ')?;
    let instructions: f64 = instructions.parse().ok()?;
    let is_one = instructions.is_finite() && instructions > 0.0;
    let (case, server) = (case.to_owned(), server.trim().to_owned());
    is_one.then_some(Figure { case, server, instructions })
}

impl Finding {
    fn of(figure: &Figure, was: Option<f64>, is: Option<f64>) -> Self {
        let change = match (was, is) {
            (None, _) => Change::New,
            (_, None) => Change::Missing,
            (Some(was), Some(is)) if is > was * (1.0 + TOLERANCE) => Change::Regressed,
            (Some(was), Some(is)) if is < was * (1.0 - TOLERANCE) => Change::Improved,
            _ => Change::Same,
        };
        Self { case: figure.case.clone(), server: figure.server.clone(), was, is, change }
    }

    /// The relative change.
    pub(crate) fn relative_change(&self) -> Option<f64> {
        Some(self.is? / self.was? - 1.0)
    }
}

/// One line per finding.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, server, .. } = self;
        let (was, is) = (self.was.unwrap_or_default(), self.is.unwrap_or_default());
        let change = self.relative_change().unwrap_or_default() * 100.0;
        let update = "make instructions BLESS=1";
        write!(f, "{case}, {server}: ")?;
        match self.change {
            Change::Same => write!(f, "{is:.1} instructions per echo"),
            Change::New => write!(f, "{is:.1} instructions; not in the baseline ({update})"),
            Change::Missing => write!(f, "in the baseline, and not counted ({update})"),
            Change::Regressed | Change::Improved => {
                write!(f, "it was {was:.1} instructions per echo and is {is:.1}, {change:+.1} %")?;
                if self.change == Change::Improved {
                    write!(f, ": the baseline may be updated ({update})")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(figures: &[(&str, &str, f64)]) -> Baseline {
        let figure = |&(case, server, instructions): &(&str, &str, f64)| Figure {
            case: case.to_owned(),
            server: server.to_owned(),
            instructions,
        };
        let tools = vec![("rustc".to_owned(), "rustc 1.95.0 (abc 2026-04-14)".to_owned())];
        Baseline { tools, figures: figures.iter().map(figure).collect() }
    }

    #[test]
    fn a_written_baseline_is_read_back() {
        let written = baseline(&[("ping", "C edge", 82.5), ("busy64", "epoll-level", 1234.0)]);
        assert_eq!(Baseline::parse(&written.to_string()), Ok(written));
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        for line in ["ping", "ping 12", "ping twelve C", "ping -1 C", "ping inf C", "# with rustc"]
        {
            let error = Baseline::parse(&format!("# a head\n{line}\n")).expect_err(line);
            assert_eq!(error, format!("line 2 is not a figure: '{line}'"));
        }
    }

    #[test]
    fn the_tolerance_is_five_percent_in_both_directions() {
        let before = baseline(&[("ping", "x", 100.0)]);
        for (is, change) in [
            (105.0, Change::Same),
            (105.1, Change::Regressed),
            (95.0, Change::Same),
            (94.9, Change::Improved),
        ] {
            let findings = before.compare(&baseline(&[("ping", "x", is)]), true);
            assert_eq!(findings[0].change, change, "{is}");
        }
    }

    #[test]
    fn a_line_shows_old_new_and_change() {
        let before = baseline(&[("ping", "C edge", 80.0)]);
        let findings = before.compare(&baseline(&[("ping", "C edge", 100.0)]), true);
        let line = "ping, C edge: it was 80.0 instructions per echo and is 100.0, +25.0 %";
        assert_eq!(findings[0].to_string(), line);
    }

    #[test]
    fn added_and_removed_cases_are_found() {
        let before = baseline(&[("ping", "x", 100.0), ("udp", "x", 100.0)]);
        let now = baseline(&[("ping", "x", 100.0), ("ping", "y", 100.0)]);
        let changes = |is_everything| {
            let findings = before.compare(&now, is_everything);
            findings.iter().map(|finding| finding.change).collect::<Vec<_>>()
        };
        assert_eq!(changes(true), [Change::Same, Change::New, Change::Missing]);
        assert_eq!(changes(false), [Change::Same, Change::New]);
    }

    #[test]
    fn a_partial_update_keeps_the_rest() {
        let before = baseline(&[("ping", "x", 1.0), ("udp", "x", 2.0)]);
        let after = before.updated(baseline(&[("udp", "x", 3.0), ("udp", "y", 4.0)]));
        assert_eq!(after, baseline(&[("ping", "x", 1.0), ("udp", "x", 3.0), ("udp", "y", 4.0)]));
    }

    #[test]
    fn another_compiler_version_is_detected() {
        let (before, mut now) = (baseline(&[]), baseline(&[]));
        assert_eq!(before.tool_changes(&now), []);
        now.tools[0].1 = "rustc 1.96.0".to_owned();
        assert_eq!(before.tool_changes(&now).len(), 1);
        assert_eq!(Baseline::default().tool_changes(&now)[0].1, "unknown");
    }
}
