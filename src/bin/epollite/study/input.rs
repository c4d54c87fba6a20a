//! Lines that the user types.

use std::io::{BufRead, IsTerminal, stdin};

use crate::exit::CliError;
use crate::output::columns::one_line;
use crate::output::log::write_result;

/// More of a line than any answer has is ignored.
const LINE_BYTES_MAX: usize = 4_096;

/// Asks, and waits for a line; `None` at the end of the input. What comes from a file or a pipe is
/// shown as a terminal would show it, so that the output reads the same.
pub(super) fn ask(prompt: &str) -> Result<Option<String>, CliError> {
    write_result(prompt)?;
    let line = read_line();
    if !stdin().is_terminal() || line.is_none() {
        write_result(&format!("{}\n", one_line(line.as_deref().unwrap_or_default())))?;
    }
    Ok(line)
}

/// The next line of stdin; `None` at its end, or when it cannot be read.
fn read_line() -> Option<String> {
    let mut stdin = stdin().lock();
    let mut line = Vec::new();
    let mut is_empty = true;
    loop {
        let buffered = stdin.fill_buf().ok()?;
        if buffered.is_empty() {
            return (!is_empty).then(|| String::from_utf8_lossy(&line).into_owned());
        }
        is_empty = false;
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let text = &buffered[..end.unwrap_or(buffered.len())];
        let room = LINE_BYTES_MAX - line.len();
        line.extend_from_slice(&text[..text.len().min(room)]);
        let used = end.map_or(buffered.len(), |end| end + 1);
        stdin.consume(used);
        if end.is_some() {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
    }
}
