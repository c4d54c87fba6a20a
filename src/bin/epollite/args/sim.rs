//! Arguments of `epollite sim`. Knows the flags, and nothing of scenarios.

use epollite::Trigger;

use super::super::exit::CliError;
use super::echo::parse_trigger;
use super::parser::ArgParser;
use super::{help, units};

/// `epollite sim`.
#[derive(Clone, Debug)]
pub(crate) struct SimOptions {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    /// `None` draws one for each scenario.
    pub(crate) trigger: Option<Trigger>,
    pub(crate) inject_faults: bool,
    pub(crate) is_quiet: bool,
}

/// Parses the options; `None` is a request for help.
pub(super) fn parse_sim(args: &mut ArgParser) -> Result<Option<SimOptions>, CliError> {
    args.hint = "epollite sim --help";
    let mut seed = None;
    let mut options = SimOptions {
        seed: 0,
        steps: 1_000_000,
        trigger: None,
        inject_faults: false,
        is_quiet: false,
    };
    while let Some(flag) = args.next_flag()? {
        match flag.as_str() {
            "-h" | "--help" => return Ok(None),
            "--seed" => seed = Some(args.parse_value(|text| units::parse_count(text, 0))?),
            "--steps" => options.steps = args.parse_value(|text| units::parse_count(text, 1))?,
            "--trigger" => options.trigger = Some(args.parse_value(parse_trigger)?),
            "--faults" => options.inject_faults = true,
            "-q" | "--quiet" => options.is_quiet = true,
            _ => return Err(args.unknown_option(&flag, help::SIM)),
        }
    }
    options.seed = seed.ok_or_else(|| args.usage_error("--seed is missing"))?;
    Ok(Some(options))
}
