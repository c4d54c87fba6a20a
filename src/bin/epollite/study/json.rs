//! Experiments as JSON: one object on one line, without whitespace.
//!
//! Makes text from reports; runs nothing.

use epollite::study::{ExperimentReport, ExperimentStep, StepReport};

use super::kernels::{Machine, Observation};
use super::script::Script;
use super::timeline::{expected, observed, timeline};
use super::verdict::{key_step, people_agree, skipped, state};
use crate::output::columns::one_line;
use crate::output::json::{array, json_string, object, optional};

/// One experiment with every system call.
pub(super) fn experiment(script: &Script, machine: &Machine, seen: &Observation) -> String {
    object(&[
        ("kernel", json_string(&machine.release)),
        ("version", json_string(&machine.version.to_string())),
        ("experiment", body(script, machine, seen, Detail::Calls)),
    ]) + "\n"
}

/// Every experiment, without system calls.
pub(super) fn facts(machine: &Machine, rows: &[(Script, Observation)]) -> String {
    let bodies = rows.iter().map(|(script, seen)| body(script, machine, seen, Detail::Results));
    object(&[
        ("kernel", json_string(&machine.release)),
        ("version", json_string(&machine.version.to_string())),
        ("experiments", array(bodies)),
    ]) + "\n"
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Results,
    Calls,
}

fn body(script: &Script, machine: &Machine, seen: &Observation, detail: Detail) -> String {
    let experiment = &script.experiment;
    let step = |(at, step): (usize, &ExperimentStep)| {
        let people = step.people.as_ref().map(ToString::to_string);
        let mut fields = vec![
            ("step", (at + 1).to_string()),
            ("call", json_string(&step.call)),
            ("expected", json_string(&expected(step))),
            ("people", optional(people.as_deref())),
            ("people_agree", people_agree(step, machine.version).to_string()),
            ("note", optional(Some(&*step.note).filter(|note| !note.is_empty()))),
        ];
        for (name, report) in [("model", &seen.model), ("linux", &seen.linux)] {
            if let Some(report) = report {
                fields.push((name, result(script, report, at, detail)));
            }
        }
        object(&fields)
    };
    let key = key_step(experiment, machine.version).map_or(0, |at| at + 1);
    object(&[
        ("name", json_string(&one_line(&script.name))),
        ("question", json_string(&experiment.question)),
        ("wiring", json_string(&experiment.wiring)),
        ("people", json_string(&experiment.people)),
        ("because", json_string(&experiment.because)),
        ("lesson", json_string(&experiment.lesson)),
        ("state", json_string(&state(machine, seen).to_lowercase())),
        ("reason", optional(skipped(seen.shown()).as_deref())),
        ("key_step", key.to_string()),
        ("steps", array(experiment.steps.iter().enumerate().map(step))),
    ])
}

/// What one kernel returned in a step; `null` if it did not make it.
fn result(script: &Script, report: &ExperimentReport, at: usize, detail: Detail) -> String {
    let Some(seen) = report.steps.get(at) else { return "null".to_owned() };
    let mut fields =
        vec![("result", json_string(&observed(Some(seen)))), ("agrees", seen.agrees.to_string())];
    if detail == Detail::Calls {
        let rows = timeline(&script.experiment, report);
        fields.push(("actor", json_string(&rows[at].actor)));
        fields.push(("start_ns", rows[at].time.as_nanos().to_string()));
        fields.push(("duration_ns", rows[at].took.as_nanos().to_string()));
        fields.push(("calls", calls(seen)));
    }
    object(&fields)
}

fn calls(seen: &StepReport) -> String {
    array(seen.calls.iter().map(|call| json_string(&call.to_string())))
}
