//! The figures of before and what has become of them: a file of plain lines, and a verdict on each.
//! It knows no server and no valgrind.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What is no difference. A count is exact to a per mille; but a compiler that lays out one
/// function differently is nobody's fault, and a call more is 20 instructions of 80.
const TOLERANCE: f64 = 0.05;

/// What stands above the figures in the file.
const HEADER: &str = "\
# User-space instructions of the server for each echo, counted by callgrind. Held by
# `make instructions`, written by `make instructions BLESS=1`; see benches/README.md.
";

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The name of the case.
    pub case: String,
    /// The name of the server.
    pub server: String,
    /// For each echo.
    pub instructions: f64,
}

/// Figures, and what they were counted with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline {
    /// Names and versions of what they depend on.
    pub tools: Vec<(String, String)>,
    /// In the order of the file.
    pub figures: Vec<Figure>,
}

/// What has become of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within 5 %.
    Same,
    /// More: that fails.
    Regressed,
    /// Less: the baseline may be renewed.
    Improved,
    /// It is not in the baseline.
    New,
    /// It is in the baseline and was not counted.
    Missing,
}

/// One case of one server, before and now.
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
    /// What to make of it.
    pub verdict: Verdict,
}

impl Verdict {
    /// Whether the check fails by it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Regressed | Self::New | Self::Missing)
    }
}

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, or a line of it is not understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the baseline {}", path.display()))?;
        Self::parse(&text).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Which line is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for (at, line) in text.lines().enumerate() {
            let wrong = || format!("line {} is no figure: '{line}'", at + 1);
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
    /// When that cannot be done.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// These figures, those counted now in their places.
    #[must_use]
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

    /// What was counted with another version: the name, the version then, the version now.
    #[must_use]
    pub fn tool_changes(&self, now: &Self) -> Vec<(String, String, String)> {
        let unknown = "unknown".to_owned();
        let before = |name: &String| {
            self.tools.iter().find(|(known, _)| known == name).map_or(&unknown, |(_, it)| it)
        };
        let pairs = now.tools.iter().map(|(name, is)| (name.clone(), before(name).clone(), is));
        pairs
            .filter(|(_, was, is)| was != *is)
            .map(|(name, was, is)| (name, was, is.clone()))
            .collect()
    }

    /// What has become of each figure. Unless `is_everything`, what was not counted is not missed.
    #[must_use]
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

/// As the file has it: the case, the figure, and the server's name, which may have spaces.
impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = HEADER.to_owned();
        for (name, version) in &self.tools {
            writeln!(text, "# with {name}: {version}")?;
        }
        for figure in &self.figures {
            let Figure { case, server, instructions } = figure;
            writeln!(text, "{case:8}{instructions:>10.1}  {server}")?;
        }
        f.write_str(&text)
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
        let verdict = match (was, is) {
            (None, _) => Verdict::New,
            (_, None) => Verdict::Missing,
            (Some(was), Some(is)) if is > was * (1.0 + TOLERANCE) => Verdict::Regressed,
            (Some(was), Some(is)) if is < was * (1.0 - TOLERANCE) => Verdict::Improved,
            _ => Verdict::Same,
        };
        Self { case: figure.case.clone(), server: figure.server.clone(), was, is, verdict }
    }

    /// By how much it has changed, as a share of what it was.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        Some(self.is? / self.was? - 1.0)
    }
}

/// One line for one finding.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, server, .. } = self;
        let (was, is) = (self.was.unwrap_or_default(), self.is.unwrap_or_default());
        let change = self.change().unwrap_or_default() * 100.0;
        let renew = "make instructions BLESS=1";
        match self.verdict {
            Verdict::Same => write!(f, "{case}, {server}: {is:.1} instructions for each echo"),
            Verdict::Regressed => write!(
                f,
                "{case}, {server}: it was {was:.1} instructions for each echo and is {is:.1}, \
                 {change:+.1} %"
            ),
            Verdict::Improved => write!(
                f,
                "{case}, {server}: it was {was:.1} instructions for each echo and is {is:.1}, \
                 {change:+.1} %: the baseline may be renewed ({renew})"
            ),
            Verdict::New => {
                write!(f, "{case}, {server}: {is:.1} instructions; not in the baseline ({renew})")
            }
            Verdict::Missing => {
                write!(f, "{case}, {server}: in the baseline, and not counted ({renew})")
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
    fn what_is_written_is_read() {
        let written = baseline(&[("ping", "C edge", 82.5), ("busy64", "epoll-level", 1234.0)]);
        assert_eq!(Baseline::parse(&written.to_string()), Ok(written));
    }

    #[test]
    fn a_line_that_is_no_figure_is_named() {
        for line in ["ping", "ping 12", "ping twelve C", "ping -1 C", "ping inf C", "# with rustc"]
        {
            let error = Baseline::parse(&format!("# a head\n{line}\n")).expect_err(line);
            assert_eq!(error, format!("line 2 is no figure: '{line}'"));
        }
    }

    #[test]
    fn five_in_a_hundred_is_the_bound_on_both_sides() {
        let before = baseline(&[("ping", "x", 100.0)]);
        for (is, verdict) in [
            (105.0, Verdict::Same),
            (105.1, Verdict::Regressed),
            (95.0, Verdict::Same),
            (94.9, Verdict::Improved),
        ] {
            let findings = before.compare(&baseline(&[("ping", "x", is)]), true);
            assert_eq!(findings[0].verdict, verdict, "{is}");
        }
    }

    #[test]
    fn a_line_shows_old_new_and_change() {
        let before = baseline(&[("ping", "C edge", 80.0)]);
        let findings = before.compare(&baseline(&[("ping", "C edge", 100.0)]), true);
        let line = "ping, C edge: it was 80.0 instructions for each echo and is 100.0, +25.0 %";
        assert_eq!(findings[0].to_string(), line);
    }

    #[test]
    fn added_and_removed_cases_are_found() {
        let before = baseline(&[("ping", "x", 100.0), ("udp", "x", 100.0)]);
        let now = baseline(&[("ping", "x", 100.0), ("ping", "y", 100.0)]);
        let verdicts = |is_everything| {
            let findings = before.compare(&now, is_everything);
            findings.iter().map(|finding| finding.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(true), [Verdict::Same, Verdict::New, Verdict::Missing]);
        assert_eq!(verdicts(false), [Verdict::Same, Verdict::New]);
    }

    #[test]
    fn a_part_is_renewed_and_the_rest_stays() {
        let before = baseline(&[("ping", "x", 1.0), ("udp", "x", 2.0)]);
        let after = before.updated(baseline(&[("udp", "x", 3.0), ("udp", "y", 4.0)]));
        assert_eq!(after, baseline(&[("ping", "x", 1.0), ("udp", "x", 3.0), ("udp", "y", 4.0)]));
    }

    #[test]
    fn another_compiler_is_noticed() {
        let (before, mut now) = (baseline(&[]), baseline(&[]));
        assert_eq!(before.tool_changes(&now), []);
        now.tools[0].1 = "rustc 1.96.0".to_owned();
        assert_eq!(before.tool_changes(&now).len(), 1);
        assert_eq!(Baseline::default().tool_changes(&now)[0].1, "unknown");
    }
}
