//! Arguments of `epollite study`. Knows the flags, and no experiment by name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::exit::CliError;
use super::super::help;
use super::parser::{Arg, ArgParser};

/// `epollite study`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StudyOptions {
    pub(crate) command: StudyCommand,
    pub(crate) kernels: Kernels,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StudyCommand {
    /// Lists the experiments, or those with a word.
    List(Option<String>),
    /// Prints the text of one.
    Show(String),
    /// Runs one.
    Experiment(String),
    /// Runs one from a file.
    File(OsString),
    /// Runs all.
    All,
}

/// Where experiments run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kernels {
    Linux,
    Sim,
    Both,
}

/// Parses the options; `None` is a request for help.
pub(super) fn parse_study(args: &mut ArgParser) -> Result<Option<StudyOptions>, CliError> {
    args.hint = "epollite study --help";
    let mut kernels = None;
    let mut is_all = false;
    let mut words = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Positional(word) => words.push(word),
            Arg::Flag(flag) => match flag.as_str() {
                "-h" | "--help" => return Ok(None),
                "--on" => kernels = Some(args.parse_value(parse_kernels)?),
                "--all" => is_all = true,
                _ => return Err(args.unknown_option(&flag, help::STUDY)),
            },
        }
    }
    let command = parse_words(args, words, is_all)?;
    let makes_calls = !matches!(command, StudyCommand::List(_) | StudyCommand::Show(_));
    if kernels.is_some() && !makes_calls {
        return Err(args.usage_error("--on is for experiments that run"));
    }
    Ok(Some(StudyOptions { command, kernels: kernels.unwrap_or(Kernels::Both) }))
}

fn parse_words(
    args: &ArgParser,
    words: Vec<OsString>,
    is_all: bool,
) -> Result<StudyCommand, CliError> {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let command = match &words[..] {
        [] if is_all => return Ok(StudyCommand::All),
        [word, ..] if is_all => {
            return Err(
                args.usage_error(&format!("--all runs every experiment, not '{}'", text(word)))
            );
        }
        [] => StudyCommand::List(None),
        [verb, rest @ ..] => match (verb.as_bytes(), rest) {
            (b"list", []) => StudyCommand::List(None),
            (b"list", [word]) => StudyCommand::List(Some(text(word))),
            (b"show", [name]) => StudyCommand::Show(text(name)),
            (b"show", []) => return Err(args.usage_error("show needs the name of an experiment")),
            (b"run", [path]) => StudyCommand::File(path.clone()),
            (b"run", []) => return Err(args.usage_error("run needs a file")),
            (b"list" | b"show" | b"run", [_, extra, ..]) | (_, [extra, ..]) => {
                return Err(args.usage_error(&format!("unexpected argument '{}'", text(extra))));
            }
            (_, []) => StudyCommand::Experiment(text(verb)),
        },
    };
    Ok(command)
}

fn parse_kernels(text: &str) -> Result<Kernels, String> {
    match text {
        "linux" => Ok(Kernels::Linux),
        "sim" => Ok(Kernels::Sim),
        "both" => Ok(Kernels::Both),
        _ => Err(format!("'{text}' is not sim, linux or both")),
    }
}
