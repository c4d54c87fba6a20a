//! `epollite study`: lists, shows and runs experiments with epoll.
//!
//! The experiments are the library's (`epollite::study`); the pages are made in `study/page.rs`.

mod actors;
mod kernels;
mod page;
mod text;

use std::ffi::OsStr;
use std::fs;

use epollite::study::{BUILT_IN, Experiment, SECTIONS, built_in, parse};

use crate::args::{Kernels, StudyCommand, StudyOptions, nearest_names};
use crate::exit::CliError;
use crate::log;
use kernels::{Machine, Observation};

pub(crate) fn run(options: &StudyOptions) -> Result<(), CliError> {
    match &options.command {
        StudyCommand::List(word) => list(word.as_deref()),
        StudyCommand::Show(name) => log::write_result(find(name)?),
        StudyCommand::Experiment(name) => {
            run_one(name, &parse_built_in(name, find(name)?)?, options.kernels)
        }
        StudyCommand::File(path) => {
            let (name, experiment) = read_file(path)?;
            run_one(&name, &experiment, options.kernels)
        }
        StudyCommand::All => run_all(options.kernels),
    }
}

fn list(word: Option<&str>) -> Result<(), CliError> {
    let word = word.map(str::to_lowercase);
    let is_listed = |text: &str| word.as_ref().is_none_or(|word| text.contains(word.as_str()));
    let mut rows = Vec::new();
    let sections = SECTIONS.iter().flat_map(|it| it.names.iter().map(|_| it.title));
    for (at, ((name, text), section)) in BUILT_IN.iter().zip(sections).enumerate() {
        if is_listed(name) || is_listed(&text.to_lowercase()) {
            rows.push((section, at + 1, *name, parse_built_in(name, text)?.question));
        }
    }
    match word {
        Some(word) if rows.is_empty() => {
            Err(CliError::run(format!("no experiment has the word '{}'", text::one_line(&word))))
        }
        _ => log::write_result(&page::list(&rows)),
    }
}

/// The text of a built-in experiment.
fn find(name: &str) -> Result<&'static str, CliError> {
    built_in(name).ok_or_else(|| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let near = nearest_names(name, &names);
        let near = if near.is_empty() {
            near.concat()
        } else {
            format!(" (nearest: {})", near.join(", "))
        };
        let name = text::one_line(name);
        let why = format!("unknown experiment '{name}'{near}; try 'epollite study list'");
        CliError::new(CliError::USAGE, why)
    })
}

fn parse_built_in(name: &str, text: &str) -> Result<Experiment, CliError> {
    parse(text).map_err(|error| CliError::run(format!("{name}.txt:{error}")))
}

fn read_file(path: &OsStr) -> Result<(String, Experiment), CliError> {
    let name = text::one_line(&path.to_string_lossy());
    let usage = |why: String| CliError::new(CliError::USAGE, why);
    let bytes = fs::read(path).map_err(|error| usage(format!("{name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| usage(format!("{name}: is not UTF-8")))?;
    let experiment = parse(&text).map_err(|error| usage(format!("{name}:{error}")))?;
    Ok((name, experiment))
}

fn run_one(name: &str, experiment: &Experiment, kernels: Kernels) -> Result<(), CliError> {
    let machine = Machine::read();
    let seen = observe(&machine, experiment, kernels);
    log::write_result(&page::experiment(name, experiment, &machine, &seen))?;
    let differing = seen.differing(&machine);
    if differing.is_empty() {
        return Ok(());
    }
    Err(CliError::run(format!("{name}: not as expected on {}", differing.join(" and "))))
}

fn run_all(kernels: Kernels) -> Result<(), CliError> {
    let machine = Machine::read();
    let mut rows = Vec::new();
    for (name, text) in BUILT_IN {
        let experiment = parse_built_in(name, text)?;
        let seen = observe(&machine, &experiment, kernels);
        rows.push((*name, experiment, seen));
    }
    log::write_result(&page::facts(&machine, &rows))?;
    let differing = rows.iter().filter(|(_, _, seen)| !seen.differing(&machine).is_empty()).count();
    if differing == 0 {
        return Ok(());
    }
    Err(CliError::run(format!("{differing} of {} experiments are not as expected", rows.len())))
}

fn observe(machine: &Machine, experiment: &Experiment, kernels: Kernels) -> Observation {
    Observation {
        model: (kernels != Kernels::Linux).then(|| machine.on_model(experiment)),
        linux: (kernels != Kernels::Sim).then(|| machine.on_linux(experiment)),
    }
}
