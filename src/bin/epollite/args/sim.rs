//! The words of `epollite sim`. Knows the flags; the days themselves it has never seen.

use epollite::Trigger;

use super::super::failure::Failure;
use super::super::{help, units};
use super::command::Command;
use super::echo::trigger;
use super::words::{Word, Words};

/// `epollite sim`.
#[derive(Clone, Debug)]
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    /// `None` takes another one each day.
    pub(crate) trigger: Option<Trigger>,
    pub(crate) has_faults: bool,
    pub(crate) is_quiet: bool,
}

pub(super) fn sim(words: &mut Words) -> Result<Command, Failure> {
    words.hint = "epollite sim --help";
    let mut seed = None;
    let mut options =
        Sim { seed: 0, steps: 1_000_000, trigger: None, has_faults: false, is_quiet: false };
    while let Some(word) = words.next()? {
        let flag = match word {
            Word::Flag(flag) => flag,
            Word::Plain(word) => {
                let word = word.to_string_lossy();
                return Err(words.usage(&format!("unexpected argument '{word}'")));
            }
        };
        match flag.as_str() {
            "-h" | "--help" => return Ok(Command::Help(help::SIM)),
            "--seed" => seed = Some(words.take(|text| units::big_number(text, 0))?),
            "--steps" => options.steps = words.take(|text| units::big_number(text, 1))?,
            "--trigger" => options.trigger = Some(words.take(trigger)?),
            "--faults" => options.has_faults = true,
            "-q" | "--quiet" => options.is_quiet = true,
            _ => return Err(words.usage(&format!("unknown option '{flag}'"))),
        }
    }
    options.seed = seed.ok_or_else(|| words.usage("--seed is missing: which day?"))?;
    Ok(Command::Sim(options))
}
