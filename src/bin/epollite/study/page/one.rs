//! One experiment: its question, its timeline, people beside model and kernel, its lesson.

use epollite::study::Experiment;

use super::super::kernels::{Machine, Observation};
use super::super::script::Script;
use super::super::timeline::{Row, actors, micros, observed, timeline};
use super::super::verdict::verdict;
use super::next;
use crate::output::columns::{COLUMNS, columns, labelled, one_line, wrap};

/// One experiment, with what was observed.
pub(crate) fn experiment(script: &Script, machine: &Machine, seen: &Observation) -> String {
    let mut page = heading(script);
    if let Some(report) = seen.shown().filter(|report| !report.is_skipped()) {
        page += &match seen.linux {
            Some(_) => labelled("", &format!("Timeline, on Linux {}:", machine.release)),
            None => "Timeline, on the model:\n".to_owned(),
        };
        let rows = timeline(&script.experiment, report);
        page += &head(&rows);
        for row in &rows {
            page += &step(&rows, row, &model_result(seen, row));
        }
        page.push('\n');
        page += &comparison(&script.experiment, seen);
    }
    page + "\n" + &explanation(script, machine, seen) + &next(script)
}

/// The name, the question and the wiring.
pub(crate) fn heading(script: &Script) -> String {
    let mut page = format!("{}\n", script.name);
    page += &labelled("  ", &script.experiment.question);
    page.push('\n');
    for line in script.experiment.wiring.lines() {
        page += &labelled("      ", line);
    }
    page.push('\n');
    page
}

/// What to take away.
pub(crate) fn explanation(script: &Script, machine: &Machine, seen: &Observation) -> String {
    let experiment = &script.experiment;
    let mut page = labelled("Verdict:  ", &verdict(experiment, machine, seen, "your kernel"));
    page += &labelled("People:   ", &experiment.people);
    page += &labelled("Because:  ", &experiment.because);
    page += &labelled("Lesson:   ", &experiment.lesson);
    if let Some(place) = &experiment.depends {
        page += &labelled("Used in:  ", place);
    }
    page
}

/// What the model returned, where that is not as expected and Linux is what is shown.
pub(crate) fn model_result(seen: &Observation, row: &Row) -> Option<String> {
    let model = seen.model.as_ref().filter(|_| seen.linux.is_some())?;
    let step = model.steps.get(row.number - 1)?;
    (!step.agrees).then(|| observed(Some(step)))
}

/// The widths of step, time, actor, call, result and note. Where one actor makes all calls, it has
/// no column, and neither has the time where it stands still: on the model.
fn widths(rows: &[Row]) -> [usize; 6] {
    let has_times = rows.iter().any(|row| !row.time.is_zero());
    match (has_times, actors(rows).len() > 1) {
        (true, true) => [4, 8, 7, 24, 20, 17],
        (true, false) => [4, 8, 0, 27, 22, 19],
        (false, true) => [4, 0, 7, 27, 22, 20],
        (false, false) => [4, 0, 0, 30, 24, 22],
    }
}

fn line(rows: &[Row], cells: [&str; 6]) -> String {
    let widths = widths(rows);
    let cells: Vec<(&str, usize)> = cells.into_iter().zip(widths).collect();
    columns(&cells.into_iter().filter(|(_, width)| *width > 0).collect::<Vec<_>>())
}

fn head(rows: &[Row]) -> String {
    line(rows, ["", "time", "actor", "call", "result", "note"])
}

/// A step: the call in the notation, its result and the note; below them, the calls as strace
/// prints them.
pub(crate) fn step(rows: &[Row], row: &Row, model: &Option<String>) -> String {
    let (number, time) = (format!("{:>3}", row.number), micros(row.time));
    let mut page = line(rows, [&number, &time, &row.actor, &row.call, &row.result, &row.note]);
    page += &calls(row);
    if !row.agrees {
        page += &labelled("      !! expected: ", &row.expected);
    }
    if let Some(model) = model {
        page += &labelled("      !! model: ", model);
    }
    page
}

/// The calls of a step. A connection is more calls than would be read: only their names.
fn calls(row: &Row) -> String {
    /// More are summed up.
    const CALLS_MAX: usize = 2;
    /// Below the call of the notation.
    const INDENT: &str = "        ";
    if row.calls.len() > CALLS_MAX {
        return labelled(INDENT, &row.summary());
    }
    let width = COLUMNS - INDENT.len();
    let mut page = String::new();
    for call in &row.calls {
        for (at, line) in wrap(&one_line(call), width - 2).iter().enumerate() {
            page += &format!("{INDENT}{}{line}\n", if at == 0 { "" } else { "  " });
        }
    }
    page
}

/// What people expect beside what was observed, for the steps that ask.
fn comparison(experiment: &Experiment, seen: &Observation) -> String {
    const CELLS: [usize; 4] = [20, 20, 20, 20];
    let row =
        |cells: [&str; 4]| columns(&std::array::from_fn::<_, 4, _>(|at| (cells[at], CELLS[at])));
    let mut page = row(["", "people expect", "model", "your kernel"]);
    for (at, step) in experiment.steps.iter().enumerate() {
        let Some(people) = &step.people else { continue };
        let of = |report: &Option<epollite::study::ExperimentReport>| match report {
            None => "-".to_owned(),
            Some(report) => observed(report.steps.get(at)),
        };
        let call = format!("{}. {}", at + 1, step.call);
        page += &row([&call, &people.to_string(), &of(&seen.model), &of(&seen.linux)]);
    }
    page
}
