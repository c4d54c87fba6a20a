//! The first word: which command it is. What follows it is each command's own affair.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::failure::Failure;
use super::super::help;
use super::echo::{Echo, echo};
use super::nc::{Nc, nc};
use super::sim::{Sim, sim};
use super::target::Target;
use super::words::{Word, Words};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Version,
    Echo(Echo),
    Nc(Nc),
    Sim(Sim),
    Check(Target),
}

/// Reads a command line, without the program's own name.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let mut words = Words::new(words);
    let command = match words.next()? {
        None => return Err(words.usage("no command")),
        Some(Word::Flag(flag)) => match flag.as_str() {
            "-h" | "--help" => Command::Help(help::MAIN),
            "-V" | "--version" => Command::Version,
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        },
        Some(Word::Plain(word)) => match word.as_bytes() {
            b"echo" => echo(&mut words)?,
            b"nc" => nc(&mut words)?,
            b"sim" => sim(&mut words)?,
            b"help" => Command::Help(help::MAIN),
            _ => {
                return Err(words.usage(&format!("unknown command '{}'", word.to_string_lossy())));
            }
        },
    };
    Ok(command)
}
