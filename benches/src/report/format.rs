//! Figures as text: factors, amounts, times on an axis, and the words for how a server did.

use crate::conclusion;
use crate::schema::{ResultFile, Status};
use crate::units;

/// A factor, with as many digits as matter.
pub(super) fn factor(ratio: f64) -> String {
    match ratio {
        _ if ratio < 0.095 && ratio > 0.0 => format!("{ratio:.3}"),
        _ if ratio < 9.995 => format!("{ratio:.2}"),
        _ if ratio < 99.95 => format!("{ratio:.1}"),
        _ if ratio < 1e6 => format!("{ratio:.0}"),
        _ => format!("{ratio:.1e}"),
    }
}

/// How far noise reaches: `±3.1 %`, or a factor when it is much.
pub(super) fn noise(factor: f64) -> String {
    if factor < 1.5 {
        format!("±{:.1} %", (factor - 1.0) * 100.0)
    } else {
        format!("×{}", self::factor(factor))
    }
}

/// An amount: `950`, `12.3k`, `1.5M`.
pub(super) fn amount(figure: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let fits = |unit: &&(f64, &str)| figure >= unit.0 * 0.9995;
    let &(size, unit) = units.iter().find(fits).unwrap_or(&units[3]);
    let value = figure / size;
    let digits = match value {
        _ if value >= 1e3 => return format!("{figure:.1e}"),
        _ if value >= 99.5 => 0,
        _ if value >= 9.95 => 1,
        _ if value >= 0.0995 || value <= 0.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let digits = if text.contains('.') { text.trim_end_matches('0') } else { &text };
    format!("{}{unit}", digits.trim_end_matches('.'))
}

pub(super) fn rate(figure: f64) -> String {
    amount(figure) + "/s"
}

/// A time of the result file, in nanoseconds.
pub(super) fn nanos(nanos: u64) -> String {
    units::time(nanos as f64)
}

/// What the brackets after a median contain: with few rounds there is no interval.
pub(super) fn interval_name(record: &ResultFile) -> &'static str {
    if conclusion::has_verdicts(record) { "95 % interval" } else { "range from least to greatest" }
}

/// How a server without a figure did.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Complete => "not measured",
        Status::Failed => "failed",
        Status::Absent => "did not start",
        Status::Skipped => "not supported",
    }
}

/// A text that may be part of a file name.
pub(super) fn slug(text: &str) -> String {
    const LENGTH_MAX: usize = 40;
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().take(LENGTH_MAX).map(safe).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}
