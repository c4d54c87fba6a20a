//! The same experiment with other triggers, beside each other.

use epollite::study::ExperimentReport;

use super::super::script::Script;
use super::super::timeline::{Row, timeline};
use crate::output::columns::{COLUMNS, columns, labelled};

/// One column: the trigger's name, the experiment with it, and what a kernel returned.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) report: ExperimentReport,
}

/// The widths of the mark and of the step's number.
const MARK: usize = 3;
const NUMBER: usize = 4;
/// The width of the calls that are the same in every column.
const CALL: usize = 22;

/// A row for each step, with the result in every column. The first row that differs is marked.
pub(crate) fn side_by_side(kernel: &str, script: &Script, shown: &[Column]) -> String {
    let mut page = super::heading(script);
    page += &labelled("", &format!("The trigger of every registration replaced, on {kernel}:"));
    page.push('\n');
    let width = (COLUMNS - MARK - NUMBER - CALL) / shown.len();
    let cells = shown.iter().map(|column| (column.name, width));
    let head = [("", MARK + NUMBER), ("call", CALL)].into_iter().chain(cells);
    page += &columns(&head.collect::<Vec<_>>());
    let timelines: Vec<Vec<Row>> =
        shown.iter().map(|column| timeline(&column.script.experiment, &column.report)).collect();
    let mut first = None;
    for (at, step) in script.experiment.steps.iter().enumerate() {
        let results: Vec<&str> = timelines
            .iter()
            .map(|rows| rows.get(at).map_or("-", |row| row.result.as_str()))
            .collect();
        let differs = results.iter().any(|result| *result != results[0]);
        let is_first = differs && first.is_none();
        first = if is_first { Some(at + 1) } else { first };
        let mark = if is_first {
            "=>"
        } else if differs {
            " >"
        } else {
            ""
        };
        let number = format!("{:>2}", at + 1);
        let cells = results.iter().map(|result| (*result, width));
        let call = without_trigger(&step.call);
        let row = [(mark, MARK), (&*number, NUMBER), (&*call, CALL)].into_iter().chain(cells);
        page += &columns(&row.collect::<Vec<_>>());
    }
    page.push('\n');
    let names: Vec<&str> = shown.iter().map(|column| column.name).collect();
    page + &labelled(
        "",
        &match first {
            None => format!("No result differs between {}.", names.join(", ")),
            Some(step) => format!("The first difference is step {step}."),
        },
    )
}

/// A registration without its trigger, which each column has its own of.
fn without_trigger(call: &str) -> String {
    let is_registration =
        call.split_ascii_whitespace().take(2).any(|word| ["add", "mod"].contains(&word));
    if !is_registration {
        return call.to_owned();
    }
    let words = call.split_ascii_whitespace().filter(|word| !["ET", "ONESHOT"].contains(word));
    words.collect::<Vec<_>>().join(" ")
}
