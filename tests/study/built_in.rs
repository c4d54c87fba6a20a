//! The built-in experiments: each agrees with Linux and with the model, and asks what people
//! expect.

use std::collections::BTreeSet;

use epollite::sim::{Sim, SimConfig, Version};
use epollite::study::{BUILT_IN, Experiment, ExperimentReport, built_in, parse, run};

use crate::kernels::Machine;

pub(crate) fn all() -> impl Iterator<Item = (&'static str, Experiment)> {
    BUILT_IN.iter().map(|(name, text)| {
        (*name, parse(text).unwrap_or_else(|error| panic!("{name}.txt:{error}")))
    })
}

/// The steps that do not agree, for a message.
pub(crate) fn differences(
    name: &str,
    experiment: &Experiment,
    report: &ExperimentReport,
) -> Vec<String> {
    let steps = experiment.steps.iter().zip(&report.steps);
    let differing = steps.filter(|(_, seen)| !seen.agrees);
    differing
        .map(|(step, seen)| {
            let observed = seen.observed.as_ref().map(ToString::to_string);
            format!("{name}.txt:{}: {}: observed {observed:?}", step.line, step.call)
        })
        .collect()
}

#[test]
fn every_experiment_agrees_with_linux() {
    let machine = Machine::read();
    let differing: Vec<String> =
        all().flat_map(|(name, it)| differences(name, &it, &machine.on_linux(&it))).collect();
    assert!(differing.is_empty(), "Linux differs:\n{}", differing.join("\n"));
}

#[test]
fn every_experiment_agrees_with_the_model_of_every_version() {
    for version in [Version::LINUX_6_1, Version::LINUX_6_12, Version::NEWEST] {
        for (name, experiment) in all() {
            let mut sim = Sim::new(SimConfig { version, ..SimConfig::default() });
            let report = run(&experiment, &mut sim, version, &mut || {});
            let differing = differences(name, &experiment, &report);
            assert!(differing.is_empty(), "the model of {version}:\n{}", differing.join("\n"));
            assert_eq!(sim.open_descriptors(), 0, "{name}: every descriptor is closed");
        }
    }
}

#[test]
fn a_changed_fact_is_expected_only_where_it_holds() {
    let newest = SimConfig::default();
    for name in ["eventfd-nine-bytes", "unix-datagram-no-peer"] {
        let experiment = parse(built_in(name).unwrap()).unwrap();
        let mut sim = Sim::new(newest.clone());
        let report = run(&experiment, &mut sim, Version::LINUX_6_1, &mut || {});
        assert!(!report.agrees(), "{name}: the newest rules are not those of 6.1");
    }
}

/// That the names are those of the files is tested by tests/program: on another kernel, where this
/// runs too, there are no files.
#[test]
fn each_name_is_there_once() {
    let names: BTreeSet<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), BUILT_IN.len());
    assert_eq!(built_in("frobnicate"), None);
}

#[test]
fn every_experiment_is_complete() {
    for (name, experiment) in all() {
        let Experiment { question, wiring, lesson, steps, .. } = &experiment;
        assert!(!["list", "show", "run"].contains(&name), "{name} is a command");
        assert!(name.len() <= 25, "{name} is too long for the list");
        assert!(question.ends_with('?'), "{name}: {question}");
        assert!(!wiring.is_empty() && steps.len() >= 2, "{name}");
        let sentences = lesson.matches(['.', '?']).count();
        assert!(sentences >= 3, "{name}: the lesson is three sentences: {lesson}");
        let asks = steps.iter().any(|step| step.people.is_some());
        assert!(asks, "{name}: no step says what people expect");
    }
}

#[test]
fn every_file_fits_a_terminal() {
    for (name, text) in BUILT_IN {
        for (at, line) in text.lines().enumerate() {
            assert!(line.chars().count() <= 80, "{name}.txt:{}: over 80 columns", at + 1);
        }
    }
}
