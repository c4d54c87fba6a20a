//! What the program says, and where: results on stdout, remarks on stderr, as text or JSON.
//!
//! A stream that nobody reads is no reason to end, nor to wait: failures to write are ignored,
//! and what would wait is dropped. Results wait a moment, since somebody asked for them; the
//! result of a command that does nothing else waits as long as it takes. A line goes out in one
//! piece, so that threads do not mix theirs.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::failure::Failure;
use super::sink::{Put, Sink, Standard};

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
    pub(crate) fn result<T: Into<Vec<u8>>>(
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
        out(&line, RESULT_PATIENCE);
    }

    /// A table that was asked for: to stdout, for people whatever the form of the log.
    pub(crate) fn table(&self, text: String, is_last: bool) {
        let patience = if is_last { LAST_PATIENCE } else { RESULT_PATIENCE };
        out((text + "\n").as_bytes(), patience);
    }

    /// A remark: to stderr, unless quiet.
    pub(crate) fn remark(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) {
        match self.format {
            _ if self.is_quiet => {}
            Format::Text => _ = err(&(text() + "\n")),
            Format::Json => _ = err(&(json() + "\n")),
            Format::Off => {}
        }
    }
}

static STDOUT: Sink = Sink::new();
static STDERR: Sink = Sink::new();

/// What was asked for waits for room so long, if its reader is slow.
const RESULT_PATIENCE: Duration = Duration::from_millis(100);

/// What is said at the end waits longer: nobody else waits for us any more.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Takes the descriptors that lines will need, before others are counted on.
pub(crate) fn prepare() {
    STDOUT.prepare(Standard::Output);
    STDERR.prepare(Standard::Error);
}

/// Writes to stdout what is the whole result of a command, however long its reader takes: there,
/// a failure is one.
///
/// # Errors
/// What write(2) said, but for a reader that wants no more.
pub(crate) fn deliver(text: &str) -> Result<(), Failure> {
    match STDOUT.put(Standard::Output, text.as_bytes(), Duration::MAX) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Failure::RUN, format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn out(text: &[u8], patience: Duration) {
    let _ = STDOUT.put(Standard::Output, text, patience);
}

/// Writes to stderr as it is. Returns what became of it, if it could be tried at all.
pub(crate) fn err(text: &str) -> Option<Put> {
    STDERR.put(Standard::Error, text.as_bytes(), Duration::ZERO).ok()
}

/// The same for what would be missed: it waits a moment.
pub(crate) fn err_last(text: &str) {
    let _ = STDERR.put(Standard::Error, text.as_bytes(), RESULT_PATIENCE);
}

/// Forgets what has been taken in part: after a fork it is the parent's to write.
pub(crate) fn forget() {
    STDOUT.forget();
    STDERR.forget();
}

/// A name as JSON wants it: one that is no text has its bytes beside it, in a field of their own.
pub(crate) fn named(field: &str, name: &OsStr) -> String {
    let bytes = name.as_bytes();
    if let Ok(text) = str::from_utf8(bytes) {
        return format!("\"{field}\":{}", quoted(text));
    }
    let text = quoted(&bytes.escape_ascii().to_string());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{field}\":{text},\"{field}_hex\":\"{hex}\"")
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
