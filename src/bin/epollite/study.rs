//! `epollite study`: lists, shows and runs experiments with epoll.
//!
//! The experiments are the library's (`epollite::study`). A file uses only those below its own:
//!
//! ```text
//!  predict, stepwise   what waits for the user; input, answer, choices, score
//!  site                the pages of docs/study as files; translation
//!  page, markdown      what is printed
//!  json, svg, perfetto, cast
//!  transfers           where that goes which a step sends
//!  ready               what a wait would report after each step
//!  verdict             which kernels agree, where people are wrong
//!  timeline            the steps, with descriptors by name
//!  script, kernels     where an experiment comes from, where it runs
//!  file                texts that the user names
//! ```

mod actors;
mod answer;
mod cast;
mod choices;
mod file;
mod input;
mod json;
mod kernels;
mod markdown;
mod page;
mod perfetto;
mod predict;
mod ready;
mod score;
mod script;
mod site;
mod stepwise;
mod svg;
mod timeline;
mod transfers;
mod translation;
mod verdict;

use std::ffi::OsString;
use std::fs;

use epollite::study::{SECTIONS, Skipped};

use crate::args::{Kernels, Pictures, StudyCommand, StudyOptions, Trigger, View};
use crate::exit::{CliError, spawn_failure, syscall_failure};
use crate::output::columns::one_line;
use crate::output::log;
use kernels::{Machine, Observation};
use script::{Script, find_text};
use translation::{Language, Translation};

pub(crate) fn run(options: &StudyOptions) -> Result<(), CliError> {
    match &options.command {
        StudyCommand::Start => log::write_result(&page::start()),
        StudyCommand::Words => log::write_result(&page::glossary()),
        StudyCommand::List(word) => list(word.as_deref()),
        StudyCommand::Show(name) => log::write_result(find_text(name)?),
        StudyCommand::Pages(folder) => site::write(folder),
        StudyCommand::Experiments(names) => {
            let scripts: Result<Vec<Script>, CliError> =
                names.iter().map(|name| Script::find(name)).collect();
            run_some(options, &scripts?)
        }
        StudyCommand::File(path) => run_some(options, &[Script::read_file(path)?]),
        StudyCommand::All => run_all(options, &Script::course()?),
    }
}

fn list(word: Option<&str>) -> Result<(), CliError> {
    let word = word.map(str::to_lowercase);
    let is_listed = |text: &str| word.as_ref().is_none_or(|word| text.contains(word.as_str()));
    let course = Script::course()?;
    let sections = SECTIONS.iter().flat_map(|it| it.names.iter().map(|_| it.title));
    let listed = course.iter().zip(sections).enumerate().filter(|(_, (it, section))| {
        is_listed(&it.name)
            || is_listed(&it.text.to_lowercase())
            || is_listed(&section.to_lowercase())
    });
    let rows: Vec<(&str, usize, &str, &str)> = listed
        .map(|(at, (it, section))| (section, at + 1, &*it.name, &*it.experiment.question))
        .collect();
    match word {
        Some(word) if rows.is_empty() => {
            Err(CliError::run(format!("no experiment has the word '{}'", one_line(&word))))
        }
        _ => log::write_result(&page::list(&rows)),
    }
}

/// One experiment, or several that are asked about.
fn run_some(options: &StudyOptions, scripts: &[Script]) -> Result<(), CliError> {
    let machine = Machine::read();
    if let View::Predict(file) = &options.view {
        return ask(options, &machine, scripts, file.as_ref());
    }
    let [script] = scripts else { return Ok(()) };
    if let View::SideBySide(triggers) = &options.view {
        return side_by_side(&machine, script, options.kernels, triggers);
    }
    let seen = observe(&machine, script, options.kernels)?;
    write_pictures(&options.pictures, &machine, script, &seen)?;
    match &options.view {
        View::Json => log::write_result(&json::experiment(script, &machine, &seen))?,
        View::Markdown => log::write_result(&markdown_page(script, &machine, &seen))?,
        View::Stepwise => stepwise::stepwise(script, &machine, &seen)?,
        _ => log::write_result(&page::experiment(script, &machine, &seen))?,
    }
    let differing = seen.differing(&machine);
    if differing.is_empty() {
        return Ok(());
    }
    Err(CliError::run(format!("{}: not as expected on {}", script.name, differing.join(" and "))))
}

/// Predictions. The user may be wrong; a kernel may not.
fn ask(
    options: &StudyOptions,
    machine: &Machine,
    scripts: &[Script],
    file: Option<&OsString>,
) -> Result<(), CliError> {
    let observe = |script: &Script| observe(machine, script, options.kernels);
    let file = file.map(OsString::as_os_str);
    let shown = predict::predict(scripts, machine, file, observe)?;
    report_differing(machine, shown.iter().map(|(_, seen)| seen))
}

fn run_all(options: &StudyOptions, scripts: &[Script]) -> Result<(), CliError> {
    let machine = Machine::read();
    if let View::Predict(file) = &options.view {
        return ask(options, &machine, scripts, file.as_ref());
    }
    let observed = |script: &Script| {
        let seen = observe(&machine, script, options.kernels)?;
        Ok((script.clone(), seen))
    };
    let rows: Result<Vec<(Script, Observation)>, CliError> = scripts.iter().map(observed).collect();
    let rows = rows?;
    log::write_result(&match &options.view {
        View::Json => json::facts(&machine, &rows),
        View::Markdown => {
            let none = Translation::default();
            let rows: Vec<_> = rows.iter().map(|(script, seen)| (script, seen, &none)).collect();
            let table = markdown::facts(&machine, &rows, Language::English, str::to_owned);
            format!("# Facts of epoll, on Linux {}\n\n{table}", machine.release)
        }
        _ => page::facts(&machine, &rows),
    })?;
    report_differing(&machine, rows.iter().map(|(_, seen)| seen))
}

/// Fails when an experiment is not as expected.
fn report_differing<'o>(
    machine: &Machine,
    seen: impl ExactSizeIterator<Item = &'o Observation>,
) -> Result<(), CliError> {
    let count = seen.len();
    let differing = seen.filter(|seen| !seen.differing(machine).is_empty()).count();
    if differing == 0 {
        return Ok(());
    }
    Err(CliError::run(format!("{differing} of {count} experiments are not as expected")))
}

fn observe(machine: &Machine, script: &Script, kernels: Kernels) -> Result<Observation, CliError> {
    let model = (kernels != Kernels::Linux).then(|| machine.on_model(&script.experiment));
    let linux = (kernels != Kernels::Sim).then(|| machine.on_linux(&script.experiment));
    let linux = linux.transpose().map_err(|error| spawn_failure(&error))?;
    if let Some(Skipped::Exhausted { call, errno }) =
        linux.as_ref().and_then(|report| report.skipped.as_ref())
    {
        return Err(syscall_failure(&format!("{}: {call}", script.name), *errno));
    }
    Ok(Observation { model, linux })
}

/// The experiment once with each trigger. It is not compared with what is expected.
fn side_by_side(
    machine: &Machine,
    script: &Script,
    kernels: Kernels,
    triggers: &[Trigger],
) -> Result<(), CliError> {
    let columns: Result<Vec<page::Column>, CliError> = triggers
        .iter()
        .map(|trigger| {
            let other = script.with_trigger(*trigger)?;
            let report = match kernels {
                Kernels::Sim => machine.on_model(&other.experiment),
                Kernels::Linux | Kernels::Both => {
                    machine.on_linux(&other.experiment).map_err(|error| spawn_failure(&error))?
                }
            };
            let name = match trigger {
                Trigger::Level => "level",
                Trigger::Edge => "edge",
                Trigger::Oneshot => "oneshot",
            };
            Ok(page::Column { name, script: other, report })
        })
        .collect();
    let kernel = kernel_name(machine, kernels != Kernels::Sim);
    log::write_result(&page::side_by_side(&kernel, script, &columns?))
}

fn kernel_name(machine: &Machine, is_linux: bool) -> String {
    if is_linux {
        format!("Linux {}", machine.release)
    } else {
        format!("the model of Linux {}", machine.version)
    }
}

fn markdown_page(script: &Script, machine: &Machine, seen: &Observation) -> String {
    let kernel = format!("On {}:", kernel_name(machine, seen.linux.is_some()));
    let place = markdown::Place {
        language: Language::English,
        translation: &Translation::default(),
        kernel: &kernel,
        has_picture: false,
    };
    markdown::experiment(script, machine, seen, &place)
}

fn write_pictures(
    pictures: &Pictures,
    machine: &Machine,
    script: &Script,
    seen: &Observation,
) -> Result<(), CliError> {
    let Some(report) = seen.shown() else { return Ok(()) };
    let rows = timeline::timeline(&script.experiment, report);
    let svg = || {
        let ready = ready::ready_lists(script, &rows, machine);
        let kernel = format!("On {}.", kernel_name(machine, seen.linux.is_some()));
        svg::picture(script, &rows, &ready, &kernel)
    };
    write_picture(pictures.svg.as_ref(), svg)?;
    write_picture(pictures.perfetto.as_ref(), || perfetto::trace(&script.name, &rows))?;
    write_picture(pictures.cast.as_ref(), || cast::recording(script, &rows))
}

fn write_picture(path: Option<&OsString>, make: impl FnOnce() -> String) -> Result<(), CliError> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, make())
        .map_err(|error| CliError::run(format!("{}: {error}", one_line(&path.to_string_lossy()))))
}
