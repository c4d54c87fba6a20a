//! Arguments of `epollite audit` and `epollite doctor`. Knows the flags, and nothing of processes.

use super::super::exit::CliError;
use super::parser::{Arg, ArgParser};
use super::{help, units};

/// What `epollite audit` inspects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuditTarget {
    Process(u32),
    /// A reactor of its own.
    Itself,
}

/// `epollite doctor`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DoctorOptions {
    pub(crate) is_json: bool,
}

/// The greatest process ID: the limit of `kernel.pid_max` is 4 Mi, the type of C goes further.
const PID_MAX: u32 = i32::MAX.cast_unsigned();

/// Parses the options; `None` is a request for help.
pub(super) fn parse_audit(args: &mut ArgParser) -> Result<Option<AuditTarget>, CliError> {
    args.hint = "epollite audit --help";
    let mut target = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Flag(flag) if flag == "-h" || flag == "--help" => return Ok(None),
            Arg::Flag(flag) => return Err(args.unknown_option(&flag, help::AUDIT)),
            Arg::Positional(arg) => {
                let text = arg.to_string_lossy();
                if target.is_some() {
                    return Err(args.usage_error(&format!("unexpected argument '{text}'")));
                }
                target = Some(parse_target(&text).map_err(|why| args.usage_error(&why))?);
            }
        }
    }
    let missing = || args.usage_error("no process: PID or 'self'");
    target.ok_or_else(missing).map(Some)
}

fn parse_target(text: &str) -> Result<AuditTarget, String> {
    if text == "self" {
        return Ok(AuditTarget::Itself);
    }
    let pid = units::number(text, 1, PID_MAX);
    pid.map(AuditTarget::Process).map_err(|_| format!("'{text}' is not a process ID or 'self'"))
}

/// Parses the options; `None` is a request for help.
pub(super) fn parse_doctor(args: &mut ArgParser) -> Result<Option<DoctorOptions>, CliError> {
    args.hint = "epollite doctor --help";
    let mut options = DoctorOptions { is_json: false };
    while let Some(flag) = args.next_flag()? {
        match flag.as_str() {
            "-h" | "--help" => return Ok(None),
            "--json" => options.is_json = true,
            _ => return Err(args.unknown_option(&flag, help::DOCTOR)),
        }
    }
    Ok(Some(options))
}
