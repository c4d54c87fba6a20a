//! `--step`: one step of the timeline for each line of input.
//!
//! The experiment has run before: a kernel does not wait for a reader.

use super::input;
use super::kernels::{Machine, Observation};
use super::page;
use super::script::Script;
use super::timeline::timeline;
use crate::exit::CliError;
use crate::output::log::write_result;

/// Shows an experiment. When the input has ended, the rest is shown at once.
pub(super) fn stepwise(
    script: &Script,
    machine: &Machine,
    seen: &Observation,
) -> Result<(), CliError> {
    write_result(&page::heading(script))?;
    let rows = seen.shown().map_or_else(Vec::new, |it| timeline(&script.experiment, it));
    let mut has_input = true;
    for row in &rows {
        if has_input {
            let (number, count) = (row.number, rows.len());
            let prompt = format!("[{number}/{count}] {}   (Enter) ", row.call);
            has_input = input::ask(&prompt)?.is_some();
        }
        write_result(&page::step(&rows, row, &page::model_result(seen, row)))?;
    }
    let explanation = page::explanation(script, machine, seen);
    write_result(&format!("\n{explanation}{}", page::next(script)))
}
