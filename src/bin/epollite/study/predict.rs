//! `--predict`: shows an experiment step by step, and asks before each result that people guess.

use std::ffi::OsStr;

use epollite::study::Value;

use super::answer::Answer;
use super::choices::{LETTERS, choices};
use super::input;
use super::kernels::{Machine, Observation};
use super::page;
use super::score::{Count, Score};
use super::script::Script;
use super::timeline::{Row, descriptors, timeline};
use super::verdict::skipped;
use crate::exit::CliError;
use crate::output::columns::{labelled, one_line};
use crate::output::log::write_result;

/// How often an answer that is no result may be typed again.
const TRIES: usize = 3;

const HINT: &str = "a letter, or a result as in: s0 IN RDHUP, nothing, EAGAIN, 5, \"ab\", ok";

/// Asks about experiments until all are shown or the input ends. Returns those that were shown.
pub(super) fn predict<'s>(
    scripts: &'s [Script],
    machine: &Machine,
    file: Option<&OsStr>,
    observe: impl Fn(&Script) -> Result<Observation, CliError>,
) -> Result<Vec<(&'s Script, Observation)>, CliError> {
    let mut score = Score::open(file)?;
    let mut shown = Vec::new();
    for script in scripts {
        let seen = observe(script)?;
        let is_over = ask_about(script, machine, &seen, &mut score)?;
        shown.push((script, seen));
        if is_over {
            write_result("\nThe input has ended.\n")?;
            break;
        }
    }
    write_result(&score.summary())?;
    if let ([_], [(script, _)]) = (scripts, &shown[..]) {
        write_result(&page::next(script))?;
    }
    Ok(shown)
}

/// Shows one experiment. Returns whether the input has ended.
fn ask_about(
    script: &Script,
    machine: &Machine,
    seen: &Observation,
    score: &mut Score,
) -> Result<bool, CliError> {
    let experiment = &script.experiment;
    let report = seen.shown();
    let (Some(report), None) = (report, skipped(report)) else {
        let reason = skipped(report).unwrap_or_default();
        write_result(&labelled("", &format!("{}: {reason}", script.name)))?;
        return Ok(false);
    };
    write_result(&page::heading(script))?;
    let rows = timeline(experiment, report);
    let mut count = Count::default();
    for (row, step) in rows.iter().zip(&report.steps) {
        if let (Some(people), Some(value)) = (&row.people, &step.observed) {
            let Some(is_right) = ask(script, &rows, row, value)? else {
                score.keep(&script.name, count)?;
                return Ok(true);
            };
            count.add(is_right);
            score.total.add(is_right);
            score.people.add(*people == row.result);
        }
        write_result(&page::step(&rows, row, &None))?;
    }
    score.keep(&script.name, count)?;
    write_result(&format!(
        "\n{}{}: {} of {}\n\n",
        page::explanation(script, machine, seen),
        script.name,
        count.right,
        count.asked
    ))?;
    Ok(false)
}

/// Asks for one result. `None` at the end of the input.
fn ask(script: &Script, rows: &[Row], row: &Row, value: &Value) -> Result<Option<bool>, CliError> {
    let choices = choices(&script.name, rows, row);
    let mut question = format!("\n{:>3} {}\n", row.number, row.call);
    for (letter, choice) in LETTERS.iter().zip(&choices) {
        question += &labelled(&format!("      {letter}) "), choice);
    }
    write_result(&question)?;
    let last = LETTERS[..choices.len()].last().unwrap_or(&"a");
    let prompt = format!("    your prediction (a to {last}, or a result): ");
    for _ in 0..TRIES {
        let Some(line) = input::ask(&prompt)? else { return Ok(None) };
        let Some(is_right) = judge(&line, rows, row, value, &choices) else {
            let line = one_line(line.trim());
            write_result(&labelled("    ", &format!("'{line}' is no result; type {HINT}")))?;
            continue;
        };
        write_result(&labelled("    ", &reply(is_right, row)))?;
        return Ok(Some(is_right));
    }
    write_result(&labelled("    ", &reply(false, row)))?;
    Ok(Some(false))
}

/// Whether a line is right; `None` when it is no answer.
fn judge(line: &str, rows: &[Row], row: &Row, value: &Value, choices: &[String]) -> Option<bool> {
    let word = line.trim().trim_end_matches(')').to_lowercase();
    if let Some(at) = LETTERS.iter().position(|letter| *letter == word) {
        return choices.get(at).map(|choice| *choice == row.result);
    }
    // Any of the answers may be typed as it is shown.
    let is_typed = |choice: &&String| choice.eq_ignore_ascii_case(line.trim());
    if let Some(choice) = choices.iter().find(is_typed) {
        return Some(*choice == row.result);
    }
    let answer = Answer::parse(line, &descriptors(rows))?;
    // A number of events, or the number of a choice: neither says which events.
    let is_count = matches!((&answer, value), (Answer::Number(1..), Value::Events(_)));
    (!is_count).then(|| answer.is(value))
}

fn reply(is_right: bool, row: &Row) -> String {
    let people = row.people.as_deref().unwrap_or_default();
    match (is_right, people == row.result) {
        (true, false) => format!("Right. Most people expect: {people}"),
        (true, true) => "Right.".to_owned(),
        (false, _) => format!("No: {}", row.result),
    }
}
