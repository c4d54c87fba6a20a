//! Exit codes, and the error that has another one than [`UNAVAILABLE`].

/// A wrong echo, a violated `--fail-if` threshold, a server that failed in `compare`, a regression
/// in instruction counts.
pub(crate) const FAILED: u8 = 1;

/// Bad arguments, as in clap, or invalid input files.
pub(crate) const USAGE: u8 = 2;

/// `EX_UNAVAILABLE`: no server or tool, one that closed or stalled, or a limit of this machine.
pub(crate) const UNAVAILABLE: u8 = 69;

/// An error of the arguments or of an input file.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct Usage(anyhow::Error);

impl Usage {
    /// Marks an error as one of usage, for `map_err`.
    pub(crate) fn new(error: impl Into<anyhow::Error>) -> Self {
        Self(error.into())
    }
}

/// The exit code for an error.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() { USAGE } else { UNAVAILABLE }
}
