//! What an experiment has shown: which kernels are as expected, and where people are wrong.
//!
//! Compares values; it knows no format.

use epollite::sim::Version;
use epollite::study::{Experiment, ExperimentReport, ExperimentStep, Skipped};

use super::kernels::{Machine, Observation};

/// In one word, for a table.
pub(super) fn state(machine: &Machine, seen: &Observation) -> &'static str {
    match seen.shown().and_then(|report| report.skipped.as_ref()) {
        Some(Skipped::NotModelled) => "no model",
        Some(_) => "skipped",
        _ if seen.differing(machine).is_empty() => "expected",
        _ => "DIFFERS",
    }
}

/// Why an experiment did not run, if it did not.
pub(super) fn skipped(report: Option<&ExperimentReport>) -> Option<String> {
    report.and_then(|report| report.skipped.as_ref()).map(ToString::to_string)
}

/// One sentence.
pub(super) fn verdict(
    experiment: &Experiment,
    machine: &Machine,
    seen: &Observation,
    linux: &str,
) -> String {
    let mut parts = Vec::new();
    for (name, report) in [("the model", &seen.model), (linux, &seen.linux)] {
        let Some(report) = report else { continue };
        let differing = report.steps.iter().filter(|step| !step.agrees).count();
        parts.push(match (skipped(Some(report)), differing) {
            (Some(reason), _) => format!("{name}: {reason}"),
            (None, 0) => format!("{name}: as expected"),
            (None, count) => format!("{name}: {count} of {} results differ", report.steps.len()),
        });
    }
    let (wrong, asked) = people_wrong(experiment, machine.version);
    parts.push(match (asked, wrong) {
        (0, _) => "people: not asked".to_owned(),
        (_, 0) => "people: right".to_owned(),
        _ => format!("people: wrong at {wrong} of {asked} steps"),
    });
    parts.join("; ") + "."
}

/// At how many steps people are wrong, and how many ask.
pub(super) fn people_wrong(experiment: &Experiment, version: Version) -> (usize, usize) {
    let asked = experiment.steps.iter().filter(|step| step.people.is_some()).count();
    let is_wrong = |step: &&ExperimentStep| !people_agree(step, version);
    (experiment.steps.iter().filter(is_wrong).count(), asked)
}

/// Whether what people expect is what Linux is expected to return.
pub(super) fn people_agree(step: &ExperimentStep, version: Version) -> bool {
    match (&step.people, &step.expected) {
        (Some(people), Some(expected)) => {
            let patterns = expected.patterns(version);
            patterns.is_empty() || patterns.contains(people)
        }
        _ => true,
    }
}

/// The step that shows what the experiment is about: the first at which people are wrong, or else
/// the first that asks.
pub(super) fn key_step(experiment: &Experiment, version: Version) -> Option<usize> {
    let steps = experiment.steps.iter().enumerate();
    let asked = steps.filter(|(_, step)| step.people.is_some());
    asked.max_by_key(|(at, step)| (!people_agree(step, version), usize::MAX - at)).map(|(at, _)| at)
}
