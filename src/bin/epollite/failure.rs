//! How a command ends when it does not end well.

/// One line for people, one number for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What went wrong, in one line.
    pub(crate) line: String,
}

impl Failure {
    /// The run failed.
    pub(crate) const RUN: u8 = 1;
    /// The arguments are no good.
    pub(crate) const USAGE: u8 = 2;
    /// Cannot bind (`EX_UNAVAILABLE` of sysexits(3)).
    pub(crate) const UNAVAILABLE: u8 = 69;

    pub(crate) fn new(code: u8, line: impl Into<String>) -> Self {
        Self { code, line: line.into() }
    }
}
