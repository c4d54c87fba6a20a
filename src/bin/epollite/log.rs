//! What the program says, and where: results on stdout, remarks on stderr, as text or JSON.
//!
//! A stream that nobody reads is no reason to end, nor to wait: failures to write are ignored,
//! and what would wait is dropped. A line goes out in one piece, so that threads do not mix
//! theirs.

use std::fmt::Write as _;
use std::io::Write as _;

use super::gate::Gate;

/// In which form lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Text,
    Json,
    Off,
}

/// How much is said, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) format: Format,
    pub(crate) is_verbose: bool,
    pub(crate) is_quiet: bool,
}

impl Log {
    /// A result: to stdout. Both forms are given as functions, since only one is wanted.
    pub(crate) fn result(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) {
        match self.format {
            Format::Text => out(&(text() + "\n")),
            Format::Json => out(&(json() + "\n")),
            Format::Off => {}
        }
    }

    /// A table that was asked for: to stdout, for people whatever the form of the log.
    pub(crate) fn table(&self, text: impl FnOnce() -> String) {
        out(&(text() + "\n"));
    }

    /// A remark: to stderr, unless quiet.
    pub(crate) fn remark(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) {
        match self.format {
            _ if self.is_quiet => {}
            Format::Text => err(&(text() + "\n")),
            Format::Json => err(&(json() + "\n")),
            Format::Off => {}
        }
    }
}

static STDOUT_GATE: Gate = Gate::new();
static STDERR_GATE: Gate = Gate::new();

/// Takes the descriptors that lines will need, before others are counted on.
pub(crate) fn prepare() {
    STDOUT_GATE.is_open(&std::io::stdout());
    STDERR_GATE.is_open(&std::io::stderr());
}

/// Writes to stdout what is the whole result of a command: there, a failure is one.
///
/// # Errors
/// What write(2) said.
pub(crate) fn deliver(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// Writes to stdout as it is.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if !STDOUT_GATE.is_open(&stdout) {
        return;
    }
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to stderr as it is.
pub(crate) fn err(text: &str) {
    let mut stderr = std::io::stderr().lock();
    if STDERR_GATE.is_open(&stderr) {
        let _ = stderr.write_all(text.as_bytes());
    }
}

/// A string as JSON wants it, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}
