//! Progress of a run on standard error.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Prints how long a step took.
pub(crate) fn took(what: &str, start: Instant) {
    output::write_err(&format!("{what}: {:.0} s\n", start.elapsed().as_secs_f64()));
}

/// A progress bar on stderr, if that is a terminal.
pub(crate) fn bar(steps: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_prefix(what.to_owned())
}
