//! The table of facts of one kernel: a row for each experiment.

use epollite::study::{Experiment, ExperimentReport, Skipped};

use super::super::kernels::{Machine, Observation};
use super::super::script::Script;
use super::super::timeline::{expected, observed};
use super::super::verdict::{key_step, skipped, state};
use crate::output::columns::{columns, labelled};

/// What every experiment shows, with the first step at which people are wrong.
pub(crate) fn facts(machine: &Machine, rows: &[(Script, Observation)]) -> String {
    let mut page = labelled("", &format!("Facts of epoll, on Linux {}:", machine.release)) + "\n";
    page += &columns(&[("experiment", 26), ("is", 9), ("fact", 27), ("people expect", 18)]);
    for (script, seen) in rows {
        let experiment = &script.experiment;
        let report = seen.shown();
        let (mut fact, mut people) = (String::new(), String::new());
        if let (Some(at), Some(report)) = (key_step(experiment, machine.version), report) {
            let step = &experiment.steps[at];
            fact = format!("{}: {}", step.call, observed(report.steps.get(at)));
            people = step.people.as_ref().map_or_else(String::new, ToString::to_string);
        }
        let state = state(machine, seen);
        page += &columns(&[(&script.name, 26), (state, 9), (&fact, 27), (&people, 18)]);
        for (kernel, report) in [("model", &seen.model), ("Linux", &seen.linux)] {
            page += &differences(kernel, experiment, report.as_ref());
            // What is not modelled is counted below: a line for each would hide what differs.
            let is_counted =
                report.as_ref().and_then(|it| it.skipped.as_ref()) == Some(&Skipped::NotModelled);
            if let (Some(reason), false) = (skipped(report.as_ref()), is_counted) {
                page += &labelled(&format!("  -- {kernel}: "), &reason);
            }
        }
    }
    page + "\n" + &labelled("", &totals(machine, rows))
}

fn totals(machine: &Machine, rows: &[(Script, Observation)]) -> String {
    let count =
        |is_it: &dyn Fn(&Observation) -> bool| rows.iter().filter(|(_, seen)| is_it(seen)).count();
    let is_skipped = |report: &Option<ExperimentReport>| skipped(report.as_ref()).is_some();
    let agrees = |seen: &Observation| {
        seen.differing(machine).is_empty() && seen.shown().is_some_and(ExperimentReport::agrees)
    };
    format!(
        "{} experiments: {} as expected, {} skipped by the kernel, {} not modelled",
        rows.len(),
        count(&agrees),
        count(&|seen| is_skipped(&seen.linux)),
        count(&|seen| is_skipped(&seen.model)),
    )
}

/// The results of one kernel that are not as expected.
fn differences(kernel: &str, experiment: &Experiment, report: Option<&ExperimentReport>) -> String {
    let mut page = String::new();
    let steps = report.map_or(&[][..], |report| &report.steps);
    for (at, (step, seen)) in experiment.steps.iter().zip(steps).enumerate() {
        if !seen.agrees {
            let (seen, expected) = (observed(Some(seen)), expected(step));
            let text = format!("step {}, {}: {seen}; expected: {expected}", at + 1, step.call);
            page += &labelled(&format!("  !! {kernel}: "), &text);
        }
    }
    page
}
