//! The first argument: which command to run. The rest is parsed by each command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::exit::CliError;
use super::audit::{AuditTarget, DoctorOptions, parse_audit, parse_doctor};
use super::echo::{EchoCommand, EchoOptions, parse_echo};
use super::help;
use super::nc::{NcOptions, parse_nc};
use super::parser::{Arg, ArgParser};
use super::sim::{SimOptions, parse_sim};
use super::study::{StudyOptions, parse_study};
use super::target::Target;

/// The command to run.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Version,
    Echo(Box<EchoOptions>),
    Nc(NcOptions),
    Sim(SimOptions),
    Study(StudyOptions),
    Audit(AuditTarget),
    Doctor(DoctorOptions),
    Check(Target),
}

/// Parses a command line, without the program's name.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, CliError> {
    let mut args = ArgParser::new(args);
    let command = match args.next()? {
        None => return Err(args.usage_error("no command")),
        Some(Arg::Flag(flag)) => match flag.as_str() {
            "-h" | "--help" => Command::Help(help::MAIN),
            "-V" | "--version" => Command::Version,
            _ => return Err(args.unknown_option(&flag, help::MAIN)),
        },
        Some(Arg::Positional(arg)) => match arg.as_bytes() {
            b"echo" => match parse_echo(&mut args)? {
                EchoCommand::Help => Command::Help(help::ECHO),
                EchoCommand::Check(target) => Command::Check(target),
                EchoCommand::Serve(options) => Command::Echo(options),
            },
            b"nc" => parse_nc(&mut args)?.map_or(Command::Help(help::NC), Command::Nc),
            b"sim" => parse_sim(&mut args)?.map_or(Command::Help(help::SIM), Command::Sim),
            b"study" => parse_study(&mut args)?.map_or(Command::Help(help::STUDY), Command::Study),
            b"audit" => parse_audit(&mut args)?.map_or(Command::Help(help::AUDIT), Command::Audit),
            b"doctor" => {
                parse_doctor(&mut args)?.map_or(Command::Help(help::DOCTOR), Command::Doctor)
            }
            b"help" => Command::Help(help::MAIN),
            _ => {
                let why = format!("unknown command '{}'", arg.to_string_lossy());
                return Err(args.usage_error(&why));
            }
        },
    };
    Ok(command)
}
