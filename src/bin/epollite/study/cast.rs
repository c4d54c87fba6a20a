//! A timeline as a recording of a terminal, asciicast v2, which asciinema plays: each call as it
//! would be typed, then its result.
//!
//! Makes text from rows; runs nothing. Its times are those of a typist, and the same in every run.
//!
//! Reference: the asciicast v2 file format of asciinema.

use super::script::Script;
use super::timeline::Row;
use crate::output::columns::{COLUMNS, wrap};
use crate::output::json::json_string;

/// Between two letters, before a result, and for a reader after a result.
const LETTER_MILLIS: u64 = 40;
const RESULT_MILLIS: u64 = 300;
const READ_MILLIS: u64 = 1_200;
/// For a reader of the question, and of the lesson.
const TEXT_MILLIS: u64 = 3_000;
const LINES: usize = 24;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";

/// The recording of one experiment.
pub(super) fn recording(script: &Script, rows: &[Row]) -> String {
    let mut cast = Recording::new(&script.name);
    cast.paragraph(BOLD, &script.experiment.question);
    cast.pause(TEXT_MILLIS);
    for row in rows {
        cast.step(row);
    }
    cast.print("\r\n");
    cast.paragraph("", &script.experiment.lesson);
    cast.pause(TEXT_MILLIS);
    cast.print("\r\n");
    cast.text
}

struct Recording {
    text: String,
    millis: u64,
}

impl Recording {
    fn new(title: &str) -> Self {
        let header = format!(
            "{{\"version\":2,\"width\":{COLUMNS},\"height\":{LINES},\"title\":{}}}\n",
            json_string(title)
        );
        Self { text: header, millis: 0 }
    }

    fn pause(&mut self, millis: u64) {
        self.millis += millis;
    }

    fn print(&mut self, output: &str) {
        let (seconds, millis) = (self.millis / 1_000, self.millis % 1_000);
        self.text += &format!("[{seconds}.{millis:03},\"o\",{}]\n", json_string(output));
    }

    fn paragraph(&mut self, style: &str, text: &str) {
        for line in wrap(text, COLUMNS - 1) {
            self.print(&format!("{style}{line}{PLAIN}\r\n"));
        }
    }

    fn step(&mut self, row: &Row) {
        self.print(&format!("{DIM}{}>{PLAIN} ", row.actor));
        for letter in row.call.chars() {
            self.pause(LETTER_MILLIS);
            self.print(&letter.to_string());
        }
        self.pause(RESULT_MILLIS);
        self.print("\r\n");
        if let [call] = &row.named_calls[..] {
            for line in wrap(call, COLUMNS - 5) {
                self.print(&format!("    {DIM}{line}{PLAIN}\r\n"));
            }
        }
        let is_surprise = row.people.as_ref().is_some_and(|people| *people != row.result);
        let style = if is_surprise { YELLOW } else { GREEN };
        self.print(&format!("{style}{}{PLAIN}", row.result));
        if is_surprise {
            let people = row.people.as_deref().unwrap_or_default();
            self.print(&format!("  {DIM}people expect: {people}{PLAIN}"));
        }
        if !row.note.is_empty() {
            self.print(&format!("  {DIM}; {}{PLAIN}", row.note));
        }
        self.print("\r\n");
        self.pause(if is_surprise { TEXT_MILLIS } else { READ_MILLIS });
    }
}
