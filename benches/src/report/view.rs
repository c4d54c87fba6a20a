//! What every plot asks of a record: who is who, in which look, and figures as people read them. It
//! draws nothing.

use super::labels;
use super::palette::Styles;
use super::plot::TEXT;
use super::svg::Canvas;
use crate::conclusion;
use crate::schema::{Case, Measured, Origin, Outcome, ResultFile, Status};
use crate::stats::{Estimate, Verdict};

/// A record and its looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordView<'a> {
    pub(super) record: &'a ResultFile,
    pub(super) palette: &'a Styles,
}

impl<'a> RecordView<'a> {
    /// Begins a group that belongs to a server.
    pub(super) fn open(&self, canvas: &mut Canvas, class: &str, server: &str) {
        let number = self.record.servers.iter().position(|it| it.name == server);
        canvas.open(&format!("{class} {}", self.palette.class(server)), number);
    }

    /// What was measured in a case, by server.
    pub(super) fn measured(&self, case: &'a Case) -> Vec<(&'a str, &'a Measured)> {
        let of = |it: &'a Outcome| Some((it.server.as_str(), it.measured.as_ref()?));
        case.results.iter().filter_map(of).collect()
    }

    /// Whether a server is the one that ratios are taken to.
    pub(super) fn is_reference(&self, server: &str) -> bool {
        self.record.reference == server
    }

    /// Whether it is the reader's own: it stands out in every plot.
    pub(super) fn is_own(&self, server: &str) -> bool {
        let mut servers = self.record.servers.iter();
        servers.any(|it| it.name == server && it.origin == Origin::Extra)
    }

    /// What a verdict is called, given the words for more and for less.
    pub(super) fn verdict(&self, verdict: Verdict, higher: &str, lower: &str) -> String {
        match verdict {
            _ if !conclusion::has_verdicts(self.record) => "too few rounds".to_owned(),
            Verdict::Higher => higher.to_owned(),
            Verdict::Lower => lower.to_owned(),
            Verdict::NoDifference => "no difference shown".to_owned(),
        }
    }

    /// What stands in brackets behind a median.
    pub(super) fn interval_name(&self) -> &'static str {
        interval_name(self.record)
    }

    /// Whether it is that one's second copy.
    pub(super) fn is_control(&self, server: &str) -> bool {
        self.record.control == server
    }
}

/// The room that names need at the left, at most `most`.
pub(super) fn names_width<'a>(names: impl IntoIterator<Item = &'a str>, most: f64) -> f64 {
    let widest = names.into_iter().map(|name| labels::width(name, TEXT)).fold(0.0, f64::max);
    (widest + 12.0).min(most)
}

/// A factor, with as many digits as matter.
pub(super) fn format_factor(ratio: f64) -> String {
    match ratio {
        _ if ratio < 0.095 && ratio > 0.0 => format!("{ratio:.3}"),
        _ if ratio < 9.995 => format!("{ratio:.2}"),
        _ if ratio < 99.95 => format!("{ratio:.1}"),
        _ if ratio < 1e6 => format!("{ratio:.0}"),
        _ => format!("{ratio:.1e}"),
    }
}

/// A ratio and its interval.
pub(super) fn interval(estimate: &Estimate) -> String {
    let Estimate { median, low, high } = *estimate;
    format!("{} [{}, {}]", format_factor(median), format_factor(low), format_factor(high))
}

/// How far noise reaches: `±3.1 %`, or a factor when it is much.
pub(super) fn noise(factor: f64) -> String {
    if factor < 1.5 {
        format!("±{:.1} %", (factor - 1.0) * 100.0)
    } else {
        format!("×{}", self::format_factor(factor))
    }
}

/// An amount: `950`, `12.3k`, `1.50M`.
pub(super) fn format_amount(figure: f64) -> String {
    let (value, unit) = match figure {
        _ if figure < 999.5 => (figure, ""),
        _ if figure < 999.5e3 => (figure / 1e3, "k"),
        _ if figure < 999.5e6 => (figure / 1e6, "M"),
        _ if figure < 1e12 => (figure / 1e9, "G"),
        _ => return format!("{figure:.1e}"),
    };
    let digits = match value {
        _ if value >= 99.5 => 0,
        _ if value >= 9.95 => 1,
        _ if value >= 0.0995 || value <= 0.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// What stands in brackets behind a median: with few rounds there is no interval.
pub(super) fn interval_name(record: &ResultFile) -> &'static str {
    if conclusion::has_verdicts(record) { "95 % interval" } else { "range from least to greatest" }
}

/// How it went, in a word, where there is no figure.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Complete => "not measured",
        Status::Failed => "broke",
        Status::Absent => "did not come up",
        Status::Skipped => "not asked",
    }
}

/// A round time beside an axis: `10 µs`.
pub(super) fn tick_time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        _ if nanos < 999.5 => (nanos, "ns"),
        _ if nanos < 999.5e3 => (nanos / 1e3, "µs"),
        _ if nanos < 999.5e6 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", format_amount(value))
}

/// A count or a time of the record, to draw with: so near to it as a plot cannot show.
pub(super) fn number(figure: u64) -> f64 {
    figure as f64
}

/// How many, to reckon with.
pub(super) fn count(things: usize) -> f64 {
    u32::try_from(things).map_or(f64::from(u32::MAX), f64::from)
}
