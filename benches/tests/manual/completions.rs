//! The arguments of `epollite` as clap knows arguments, for completion scripts: from its help
//! texts.

use std::fs;

use clap::{Arg, ArgAction, Command, ValueHint};

use crate::help::{self, Block, Entry};
use crate::{COMMANDS, root, texts};

/// The values of options and arguments, by subcommand and option; an argument has no dashes.
pub(crate) const VALUES: [(&str, &str, &[&str]); 12] = [
    ("echo", "model", &MODELS),
    ("echo", "trigger", &["level", "edge", "oneshot"]),
    ("echo", "accept", &["all", "exclusive", "round-robin"]),
    ("echo", "reuseport-select", &["hash", "cpu", "random"]),
    ("echo", "spin", &["auto", "off"]),
    ("echo", "bulk", &["splice", "copy", "auto"]),
    ("echo", "log-format", &["text", "json", "off"]),
    ("echo", "idle-timeout", &["off", "30s", "5m"]),
    ("echo", "drain-timeout", &["off", "5s"]),
    ("sim", "trigger", &["level", "edge", "oneshot"]),
    ("study", "on", &["linux", "sim", "both"]),
    ("study", "side-by-side", &["level", "edge", "oneshot"]),
];

const MODELS: [&str; 12] = [
    "blocking",
    "process",
    "thread",
    "nonblocking",
    "select",
    "poll",
    "coroutine",
    "epoll-level",
    "epoll-edge",
    "epoll-oneshot",
    "prefork",
    "reuseport",
];

/// The program.
pub(crate) fn epollite() -> Command {
    let mut program = Command::new("epollite").about(help::parse(texts::MAIN).about);
    program = options(program, "", texts::MAIN);
    for (name, text) in COMMANDS {
        let mut command = Command::new(name).about(help::parse(text).about);
        command = options(command, name, text);
        program = program.subcommand(arguments(command, name));
    }
    program.disable_help_subcommand(true).disable_help_flag(true).disable_version_flag(true)
}

/// Adds the options of a help text.
fn options(mut command: Command, name: &str, text: &str) -> Command {
    for block in help::parse(text).blocks {
        if let Block::Options(entries) = block {
            for entry in &entries {
                command = option(command, name, entry);
            }
        }
    }
    command.disable_help_flag(true)
}

/// Adds one option: `-v, --verbose`, `-4, -6`, `--model NAME`, `--trace[=FILE]`.
fn option(mut command: Command, of: &str, entry: &Entry) -> Command {
    let specs: Vec<&str> = entry.name.split(", ").collect();
    let is_one = specs.len() == 2 && specs[1].starts_with("--");
    let groups = if is_one { vec![specs] } else { specs.into_iter().map(|s| vec![s]).collect() };
    for group in groups {
        let last = group[group.len() - 1];
        let flag = last.split([' ', '=', '[']).next().unwrap_or(last);
        let id = flag.trim_start_matches('-').to_owned();
        let mut arg = Arg::new(id.clone()).help(sentence(&entry.text));
        for flag in &group {
            let flag = flag.split([' ', '=', '[']).next().unwrap_or(flag);
            arg = match flag.strip_prefix("--") {
                Some(long) => arg.long(long.to_owned()),
                None => arg.short(flag.chars().nth(1)),
            };
        }
        let value = last[flag.len()..].trim_matches(['[', '=', ']', ' ']);
        let values = VALUES.iter().find(|(command, name, _)| *command == of && *name == id);
        arg = if value.is_empty() {
            arg.action(ArgAction::SetTrue)
        } else {
            let arg = arg.value_name(value.to_owned()).value_hint(hint(value));
            let arg =
                if last.contains("[=") { arg.num_args(0..=1).require_equals(true) } else { arg };
            values.into_iter().fold(arg, |arg, (.., values)| arg.value_parser(values.to_vec()))
        };
        command = command.arg(arg);
    }
    command
}

/// What a value is, by the word that stands for it.
fn hint(value: &str) -> ValueHint {
    match value {
        "FILE" | "PATH" => ValueHint::FilePath,
        "FOLDER" => ValueHint::DirPath,
        _ => ValueHint::Other,
    }
}

/// Adds what a subcommand takes besides options.
fn arguments(command: Command, name: &str) -> Command {
    match name {
        "nc" => command
            .arg(Arg::new("HOST").help("the host, or the path of a Unix socket"))
            .arg(Arg::new("PORT").help("the port")),
        "study" => {
            let mut names = experiments();
            names.extend(["words", "list", "show", "run"].map(String::from));
            command.arg(Arg::new("NAME").help("an experiment").num_args(0..).value_parser(names))
        }
        "audit" => command.arg(Arg::new("PID").help("a process, or self")),
        _ => command,
    }
}

/// The names of the experiments.
fn experiments() -> Vec<String> {
    let folder = root().join("src/study/experiments");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the experiments")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The first part of a description, short enough for a menu.
fn sentence(text: &str) -> String {
    let text = text.split(['[', ';', ':']).next().unwrap_or(text).trim();
    text.split(". ").next().unwrap_or(text).to_owned()
}

/// A script without spaces at the ends of its lines.
pub(crate) fn tidy(script: &str) -> String {
    let mut text: String = script.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
