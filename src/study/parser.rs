//! Parses the text of an experiment: a header, an empty line, and its steps.
//!
//! Knows the fields of the header; the notation of a step is in `notation.rs`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::cursor::{Cursor, ParseError};
use super::experiment::Experiment;
use super::literals::parse_version;
use super::names::Names;
use super::notation::parse_step;

/// Parses an experiment. The text begins with `question:`, `wiring:`, `people:`, `because:`,
/// `lesson:` and, if it needs them, `depends:`, `unmodelled:` and `since:`; a line that begins with
/// a space continues the one above. Then there is one call a line. A line that begins with `#` is a
/// comment.
/// Cost: O(length).
///
/// # Errors
/// The first mistake, with its line and column.
pub fn parse(text: &str) -> Result<Experiment, ParseError> {
    let mut header = Header::default();
    let mut names = Names::default();
    let mut steps = Vec::new();
    let mut last_line = 0;
    for (at, text) in text.lines().enumerate() {
        let line = at + 1;
        last_line = line;
        if text.trim().is_empty() || text.starts_with('#') {
            header.current = None;
            continue;
        }
        if steps.is_empty() && header.takes(line, text)? {
            continue;
        }
        if let Some(missing) = header.missing() {
            return Err(Cursor::new(line, text).expected(missing));
        }
        steps.push(parse_step(line, text, &mut names)?);
    }
    let end = Cursor::new(last_line + 1, "");
    if let Some(missing) = header.missing() {
        return Err(end.expected(missing));
    }
    if steps.is_empty() {
        return Err(end.expected("a step: one call a line"));
    }
    let [question, wiring, people, because, lesson, depends, unmodelled, _] = header.fields;
    let [depends, unmodelled] =
        [depends, unmodelled].map(|field| Some(field).filter(|field| !field.is_empty()));
    let since = header.since;
    let names = names.into_names();
    Ok(Experiment {
        question,
        wiring,
        people,
        because,
        lesson,
        depends,
        unmodelled,
        since,
        steps,
        names,
    })
}

/// The fields, in the order in which an error lists them.
const FIELDS: [&str; 8] =
    ["question:", "wiring:", "people:", "because:", "lesson:", "depends:", "unmodelled:", "since:"];
/// From here on they may be missing.
const OPTIONAL: usize = 5;
const SINCE: usize = 7;

#[derive(Default)]
struct Header {
    fields: [String; 8],
    since: Option<crate::sim::Version>,
    /// The field that a line may continue.
    current: Option<usize>,
}

impl Header {
    /// Takes a line of the header; `false` when it is none.
    fn takes(&mut self, line: usize, text: &str) -> Result<bool, ParseError> {
        if text.starts_with(' ')
            && let Some(current) = self.current
        {
            let field = &mut self.fields[current];
            // A drawing keeps its lines.
            field.push(if FIELDS[current] == "wiring:" { '\n' } else { ' ' });
            field.push_str(text.trim());
            return Ok(true);
        }
        let Some(at) = FIELDS.iter().position(|field| text.starts_with(field)) else {
            let word = Cursor::new(line, text).word();
            let is_field = word.ends_with(':');
            let known = FIELDS.join(" ");
            let error = || Cursor::new(line, text).expected(&format!("one of {known}"));
            return if is_field { Err(error()) } else { Ok(false) };
        };
        let cursor = &mut Cursor::new(line, text);
        if !self.fields[at].is_empty() {
            return Err(cursor.expected(&format!("'{}' once", FIELDS[at])));
        }
        cursor.word();
        if at == SINCE {
            self.since = Some(parse_version(cursor)?);
        }
        if at != SINCE && cursor.is_at_end() {
            return Err(cursor.expected("a text"));
        }
        self.fields[at] = text[FIELDS[at].len()..].trim().into();
        self.current = Some(at);
        Ok(true)
    }

    /// The first field that every experiment has and this one lacks.
    fn missing(&self) -> Option<&'static str> {
        const MISSING: [&str; OPTIONAL] = [
            "'question: ' before the first step",
            "'wiring: ' before the first step",
            "'people: ' before the first step",
            "'because: ' before the first step",
            "'lesson: ' before the first step",
        ];
        MISSING.into_iter().zip(&self.fields).find(|(_, text)| text.is_empty()).map(|(it, _)| it)
    }
}
