//! The pages of `epollite study`: the list, one experiment with its timeline, the table of facts.
//!
//! Makes text from reports; runs nothing.

use epollite::study::{Experiment, ExperimentReport, ExperimentStep, Skipped, StepReport, Value};

use super::kernels::{Machine, Observation};
use super::text::{COLUMNS, columns, labelled, one_line, wrap};

/// The experiments by section, place, name and question.
pub(super) fn list(rows: &[(&str, usize, &str, String)]) -> String {
    let mut page = String::from("Experiments, in the order of a course:\n");
    let mut last = "";
    for (section, at, name, question) in rows {
        if *section != last {
            page += &format!("\n{section}\n");
            last = section;
        }
        let number = format!("{at:>3}");
        page += &columns(&[(&number, 5), (name, 26), (question, COLUMNS - 31)]);
    }
    page + "\n'epollite study NAME' runs one, 'epollite study --all' all of them.\n"
}

/// One experiment, with what was observed.
pub(super) fn experiment(
    name: &str,
    experiment: &Experiment,
    machine: &Machine,
    seen: &Observation,
) -> String {
    let mut page = format!("{name}\n") + &labelled("  ", &experiment.question) + "\n";
    for line in experiment.wiring.lines() {
        page += &labelled("      ", line);
    }
    page.push('\n');
    let shown = seen.linux.as_ref().or(seen.model.as_ref());
    let is_linux = seen.linux.is_some();
    if let Some(report) = shown.filter(|report| !report.is_skipped()) {
        page += &match is_linux {
            true => labelled("", &format!("Timeline, on Linux {}:", machine.release)),
            false => "Timeline, on the model:\n".to_owned(),
        };
        page += &timeline(experiment, report, seen.model.as_ref().filter(|_| is_linux));
        page.push('\n');
        page += &comparison(experiment, seen);
    }
    page.push('\n');
    page += &verdict(experiment, machine, seen);
    page += &labelled("People:   ", &experiment.people);
    page += &labelled("Because:  ", &experiment.because);
    page += &labelled("Lesson:   ", &experiment.lesson);
    page
}

/// Step by step: the call in the notation, its result, the note; below it, the calls as strace
/// prints them.
fn timeline(
    experiment: &Experiment,
    report: &ExperimentReport,
    model: Option<&ExperimentReport>,
) -> String {
    let mut page = columns(&[("step", 6), ("call", 28), ("result", 23), ("note", 23)]);
    for (at, (step, seen)) in experiment.steps.iter().zip(&report.steps).enumerate() {
        let (number, result) = (format!("{:>3}", at + 1), observed(Some(seen)));
        let cells = [(&*number, 6), (&*step.call, 28), (&*result, 23), (&*step.note, 23)];
        page += &columns(&cells.map(|(text, width)| (text, width)));
        page += &calls(seen);
        if !seen.agrees {
            page += &labelled("      !! expected: ", &expected(step));
        }
        let model = model.and_then(|model| model.steps.get(at));
        if let Some(model) = model.filter(|model| !model.agrees) {
            page += &labelled("      !! model: ", &observed(Some(model)));
        }
    }
    page
}

/// The calls of a step. A connection is more calls than would be read: only their names.
fn calls(seen: &StepReport) -> String {
    /// More are summed up.
    const CALLS_MAX: usize = 2;
    /// Below the call of the notation.
    const INDENT: &str = "        ";
    if seen.calls.len() > CALLS_MAX {
        let names: Vec<&str> = seen.calls.iter().map(|call| call.name).collect();
        return labelled(INDENT, &format!("{} calls: {}", names.len(), names.join(", ")));
    }
    let width = COLUMNS - INDENT.len();
    let mut page = String::new();
    for call in &seen.calls {
        for (at, line) in wrap(&one_line(&call.to_string()), width - 2).iter().enumerate() {
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
        let of = |report: &Option<ExperimentReport>| match report {
            None => "-".to_owned(),
            Some(report) => observed(report.steps.get(at)),
        };
        let call = format!("{}. {}", at + 1, step.call);
        page += &row([&call, &people.to_string(), &of(&seen.model), &of(&seen.linux)]);
    }
    page
}

fn verdict(experiment: &Experiment, machine: &Machine, seen: &Observation) -> String {
    let names = [("the model", &seen.model), ("your kernel", &seen.linux)];
    let mut parts = Vec::new();
    for (name, report) in names {
        let Some(report) = report else { continue };
        let differing = report.steps.iter().filter(|step| !step.agrees).count();
        parts.push(match (&report.skipped, differing) {
            (Some(skipped), _) => format!("{name}: {skipped}"),
            (None, 0) => format!("{name}: as expected"),
            (None, count) => {
                format!("{name}: {count} of {} results differ", report.steps.len())
            }
        });
    }
    let asked = experiment.steps.iter().filter(|step| step.people.is_some()).count();
    let wrong = experiment.steps.iter().filter(|step| !people_agree(step, machine)).count();
    parts.push(match (asked, wrong) {
        (0, _) => "people: not asked".to_owned(),
        (_, 0) => "people: right".to_owned(),
        _ => format!("people: wrong at {wrong} of {asked} steps"),
    });
    labelled("Verdict:  ", &(parts.join("; ") + "."))
}

fn people_agree(step: &ExperimentStep, machine: &Machine) -> bool {
    match (&step.people, &step.expected) {
        (Some(people), Some(expected)) => {
            let patterns = expected.patterns(machine.version);
            patterns.is_empty() || patterns.contains(people)
        }
        _ => true,
    }
}

/// What every experiment shows: a row for each, with the first step at which people are wrong.
pub(super) fn facts(machine: &Machine, rows: &[(&str, Experiment, Observation)]) -> String {
    let mut page = labelled("", &format!("Facts of epoll, on Linux {}:", machine.release)) + "\n";
    page += &columns(&[("experiment", 26), ("is", 9), ("fact", 27), ("people expect", 18)]);
    for (name, experiment, seen) in rows {
        let reports = [&seen.linux, &seen.model];
        let report = reports.into_iter().flatten().next();
        let steps = experiment.steps.iter().enumerate();
        let asked = steps.filter(|(_, step)| step.people.is_some());
        let key = asked.max_by_key(|(at, step)| (!people_agree(step, machine), usize::MAX - at));
        let (mut fact, mut people) = (String::new(), String::new());
        if let (Some((at, step)), Some(report)) = (key, report) {
            fact = format!("{}: {}", step.call, observed(report.steps.get(at)));
            people = step.people.as_ref().map_or_else(String::new, ToString::to_string);
        }
        let differing = seen.differing(machine);
        let state = match report.and_then(|report| report.skipped.as_ref()) {
            Some(Skipped::NotModelled) => "no model",
            Some(_) => "skipped",
            _ if differing.is_empty() => "expected",
            _ => "DIFFERS",
        };
        page += &columns(&[(name, 26), (state, 9), (&fact, 27), (&people, 18)]);
        for (kernel, report) in [("model", &seen.model), ("Linux", &seen.linux)] {
            page += &differences(kernel, experiment, report.as_ref());
            if let Some(skipped) = report.as_ref().and_then(|report| report.skipped.as_ref()) {
                page += &labelled(&format!("  -- {kernel}: "), &skipped.to_string());
            }
        }
    }
    let count = |is_it: &dyn Fn(&Observation) -> bool| {
        rows.iter().filter(|(_, _, seen)| is_it(seen)).count()
    };
    let skipped = |report: &Option<ExperimentReport>| {
        report.as_ref().is_some_and(ExperimentReport::is_skipped)
    };
    let expected = count(&|seen| {
        let ran = seen.linux.as_ref().or(seen.model.as_ref());
        seen.differing(machine).is_empty() && ran.is_some_and(ExperimentReport::agrees)
    });
    page + "\n"
        + &labelled(
            "",
            &format!(
                "{} experiments: {expected} as expected, {} skipped by the kernel, {} not modelled",
                rows.len(),
                count(&|seen| skipped(&seen.linux)),
                count(&|seen| skipped(&seen.model)),
            ),
        )
}

fn differences(kernel: &str, experiment: &Experiment, report: Option<&ExperimentReport>) -> String {
    let steps = report.map_or(&[][..], |report| &report.steps);
    let mut page = String::new();
    for (at, (step, seen)) in experiment.steps.iter().zip(steps).enumerate() {
        if !seen.agrees {
            let (seen, expected) = (observed(Some(seen)), expected(step));
            let text = format!("step {}, {}: {seen}; expected: {expected}", at + 1, step.call);
            page += &labelled(&format!("  !! {kernel}: "), &text);
        }
    }
    page
}

/// A result. A step that was not made has a dash.
fn observed(seen: Option<&StepReport>) -> String {
    match seen.map(|seen| &seen.observed) {
        None => "-".to_owned(),
        Some(None) => "(a descriptor is missing)".to_owned(),
        Some(Some(value)) => shortened(value),
    }
}

/// Long bytes are not shown as a whole.
fn shortened(value: &Value) -> String {
    /// Three lines of a cell.
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= CHARS_MAX || !matches!(value, Value::Bytes(_)) {
        return text;
    }
    text.chars().take(CHARS_MAX).chain("...".chars()).collect()
}

/// What should have been observed, on any version.
fn expected(step: &ExperimentStep) -> String {
    step.expected.as_ref().map_or_else(|| "no error".to_owned(), ToString::to_string)
}
