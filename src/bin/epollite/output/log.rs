//! The program's output: results on stdout, messages on stderr, as text or JSON.
//!
//! A stream without a reader must neither stop nor block the program: write errors are ignored, and
//! output that would block is dropped. Results are waited for briefly, since the user requested
//! them; the result of a command that does nothing else is waited for without limit. A line is
//! written in one piece, so that lines of several threads are not mixed.

use std::io::ErrorKind;
use std::sync::LazyLock;
use std::time::Duration;

use epollite::Errno;

use super::super::exit::{CliError, syscall_failure};
use super::super::models::has_no_stdout;
use super::json::json_string;
use super::sink::{Put, Sink, Standard};

/// The format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Text,
    Json,
    Off,
}

/// The format and verbosity of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) format: Format,
    pub(crate) is_verbose: bool,
    pub(crate) is_quiet: bool,
    /// Whether statistics include a table of the system calls.
    pub(crate) syscall_summary: bool,
}

impl Log {
    /// Prints a result to stdout. Both forms are closures, since only one is used.
    pub(crate) fn print_result<T: Into<Vec<u8>>>(
        &self,
        text: impl FnOnce() -> T,
        json: impl FnOnce() -> String,
    ) {
        let mut line = match self.format {
            Format::Text => text().into(),
            Format::Json => json().into_bytes(),
            Format::Off => return,
        };
        line.push(b'\n');
        out(&line, RESULT_TIMEOUT);
    }

    /// Prints a requested table to stdout, as text in every format.
    pub(crate) fn print_table(&self, text: String, is_last: bool) {
        let timeout = if is_last { FINAL_TIMEOUT } else { RESULT_TIMEOUT };
        out((text + "\n").as_bytes(), timeout);
    }

    /// Prints an event of the server and its reason to stderr, unless quiet.
    pub(crate) fn event(&self, event: &str, text: &str, why: &str) {
        self.message(
            || format!("epollite: {text}"),
            || format!("{{\"event\":\"{event}\",\"why\":{}}}", json_string(why)),
        );
    }

    /// Prints a message to stderr, unless quiet.
    pub(crate) fn message(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) {
        match self.format {
            _ if self.is_quiet => {}
            Format::Text => _ = err(&(text() + "\n")),
            Format::Json => _ = err(&(json() + "\n")),
            Format::Off => {}
        }
    }
}

static STDOUT: LazyLock<Sink> = LazyLock::new(|| Sink::for_standard(Standard::Output));
static STDERR: LazyLock<Sink> = LazyLock::new(|| Sink::for_standard(Standard::Error));

/// How long a requested result waits for a slow reader.
const RESULT_TIMEOUT: Duration = Duration::from_millis(100);

/// The final output waits longer: no client waits for the server any more.
const FINAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Allocates the descriptors for output, before others are counted.
pub(crate) fn init() {
    LazyLock::force(&STDOUT);
    LazyLock::force(&STDERR);
}

/// Writes the result of a command to stdout, however long its reader takes. Here a write error is
/// a failure.
///
/// # Errors
/// The error of write(2), except that the reader has closed the pipe. There is no standard output.
pub(crate) fn write_result(text: &str) -> Result<(), CliError> {
    if has_no_stdout() {
        return Err(syscall_failure("stdout", Errno::EBADF));
    }
    match STDOUT.put(text.as_bytes(), Duration::MAX) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::run(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn out(text: &[u8], timeout: Duration) {
    let _ = STDOUT.put(text, timeout);
}

/// Writes to stderr unchanged. Returns the result, or `None` after an error.
pub(crate) fn err(text: &str) -> Option<Put> {
    STDERR.put(text.as_bytes(), Duration::ZERO).ok()
}

/// The same, waiting for room for at most `timeout`.
pub(crate) fn err_within(text: &str, timeout: Duration) -> Option<Put> {
    STDERR.put(text.as_bytes(), timeout).ok()
}

/// The same for an important line: it waits briefly.
pub(crate) fn err_last(text: &str) {
    let _ = STDERR.put(text.as_bytes(), RESULT_TIMEOUT);
}

/// Discards partial output: after a fork it is the parent's to write.
pub(crate) fn forget() {
    STDOUT.forget();
    STDERR.forget();
}
