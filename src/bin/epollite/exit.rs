//! The error of a command: exit code and message.

use epollite::Errno;
use epollite::kernel::CallError;

/// One line for the user and an exit code for scripts.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) code: u8,
    /// What went wrong, in one line.
    pub(crate) line: String,
}

impl CliError {
    /// The run failed.
    pub(crate) const RUN: u8 = 1;
    /// The arguments are invalid.
    pub(crate) const USAGE: u8 = 2;
    /// Cannot bind (`EX_UNAVAILABLE` of sysexits(3)).
    pub(crate) const UNAVAILABLE: u8 = 69;

    pub(crate) fn new(code: u8, line: impl Into<String>) -> Self {
        Self { code, line: line.into() }
    }

    pub(crate) fn run(line: impl Into<String>) -> Self {
        Self::new(Self::RUN, line)
    }
}

/// A system call has failed.
pub(crate) fn syscall_failure(call: &str, errno: Errno) -> CliError {
    CliError::run(format!("{call}: {errno}"))
}

/// The same, for `map_err`.
pub(crate) fn failed(call: &str) -> impl FnOnce(Errno) -> CliError {
    move |errno| syscall_failure(call, errno)
}

/// A function that makes several calls has failed in one of them.
impl From<CallError> for CliError {
    fn from(CallError { call, errno }: CallError) -> Self {
        syscall_failure(call.name(), errno)
    }
}

/// A thread could not be started. The standard library passes on the error of the C library, which
/// names no system call and may differ from the kernel's: `EAGAIN` where the kernel returned
/// `ENOMEM`.
pub(crate) fn spawn_failure(error: &std::io::Error) -> CliError {
    CliError::run(format!("cannot start a thread: {error}"))
}
