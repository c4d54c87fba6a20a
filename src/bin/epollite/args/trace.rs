//! The value of `--trace`. Knows its forms, and opens no file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::exit::CliError;
use super::parser::ArgParser;

/// Where system calls are printed, and in which form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TraceTarget {
    /// As lines of strace(1), to stderr.
    Stderr,
    /// The same to a file.
    File(PathBuf),
    /// As JSON for ui.perfetto.dev, to a file.
    Perfetto(PathBuf),
}

/// The same for what is text in any case: to stderr or a file.
pub(super) fn parse_text_trace(args: &mut ArgParser) -> Result<TraceTarget, CliError> {
    let Some(value) = args.attached_value.take() else { return Ok(TraceTarget::Stderr) };
    if value.is_empty() {
        return Err(args.missing_file());
    }
    Ok(TraceTarget::File(value.into()))
}

/// What the flag just read asks for: a value is attached with `=`, or there is none.
pub(super) fn parse_trace(args: &mut ArgParser) -> Result<TraceTarget, CliError> {
    let Some(value) = args.attached_value.take() else { return Ok(TraceTarget::Stderr) };
    let bytes = value.as_bytes();
    let (path, is_perfetto) = match bytes.strip_prefix(b"perfetto:") {
        Some(path) => (path, true),
        None => (bytes, false),
    };
    if path.is_empty() {
        return Err(args.missing_file());
    }
    let path = PathBuf::from(OsStr::from_bytes(path));
    Ok(if is_perfetto { TraceTarget::Perfetto(path) } else { TraceTarget::File(path) })
}
