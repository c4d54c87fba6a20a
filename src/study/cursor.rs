//! One line of a file, read word by word; an error has the line and the column.
//!
//! Knows characters and not what they mean.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A mistake in an experiment's text, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for ParseError {
    /// `LINE:COLUMN: what was expected`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for ParseError {}

/// Characters that end a word and are none themselves.
const SEPARATORS: [char; 4] = [',', ';', '=', '"'];

/// A place in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'t> {
    line: usize,
    text: &'t str,
    /// In bytes.
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) const fn new(line: usize, text: &'t str) -> Self {
        Self { line, text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Moves behind spaces.
    pub(super) fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes a word: up to a space or a separator. Empty at a separator and at the end.
    pub(super) fn word(&mut self) -> &'t str {
        self.skip_spaces();
        let is_end = |c: char| c.is_whitespace() || SEPARATORS.contains(&c);
        let len = self.rest().find(is_end).unwrap_or(self.rest().len());
        let word = &self.rest()[..len];
        self.at += len;
        word
    }

    /// The next word, which stays.
    pub(super) fn peek_word(&self) -> &'t str {
        let mut ahead = *self;
        ahead.word()
    }

    /// Takes the word if it comes next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.peek_word() == word;
        if is_next {
            self.word();
        }
        is_next
    }

    /// Takes the character if it comes next.
    pub(super) fn take(&mut self, c: char) -> bool {
        self.skip_spaces();
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    /// Whether the character comes next.
    pub(super) fn is_at(&self, c: char) -> bool {
        self.rest().trim_start().starts_with(c)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().trim_start().is_empty()
    }

    /// Everything from here on.
    pub(super) fn remainder(&mut self) -> &'t str {
        let rest = self.rest().trim();
        self.at = self.text.len();
        rest
    }

    /// Everything before this place.
    pub(super) fn passed(&self) -> &'t str {
        self.text[..self.at].trim()
    }

    /// Takes a text in quotes, with the escapes `\n`, `\0`, `\\`, `\"` and `\xNN`.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, ParseError> {
        if !self.take('"') {
            return Err(self.expected("a text in quotes"));
        }
        let mut bytes = Vec::new();
        loop {
            let mut chars = self.rest().chars();
            let taken = match (chars.next(), chars.next()) {
                (None, _) => return Err(self.expected("a closing quote")),
                (Some('"'), _) => {
                    self.at += 1;
                    return Ok(bytes);
                }
                (Some('\\'), Some(c @ ('\\' | '"'))) => (2, c),
                (Some('\\'), Some('n')) => (2, '\n'),
                (Some('\\'), Some('0')) => (2, '\0'),
                (Some('\\'), Some('x')) => {
                    let digits = self.rest().get(2..4).unwrap_or_default();
                    let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    match u8::from_str_radix(digits, 16) {
                        Ok(byte) if is_number => bytes.push(byte),
                        _ => return Err(self.expected("two hexadecimal digits after \\x")),
                    }
                    self.at += 4;
                    continue;
                }
                (Some('\\'), _) => return Err(self.expected("one of \\n \\0 \\\\ \\\" \\xNN")),
                (Some(c), _) => (c.len_utf8(), c),
            };
            self.at += taken.0;
            bytes.extend_from_slice(taken.1.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// The error that something else should be at this place.
    pub(super) fn expected(&self, what: &str) -> ParseError {
        let mut ahead = *self;
        ahead.skip_spaces();
        ahead.error(alloc::format!("expected {what}"))
    }

    /// An error at exactly this place.
    pub(super) fn error(&self, message: String) -> ParseError {
        let column = self.text[..self.at].chars().count() + 1;
        ParseError { line: self.line, column, message }
    }
}
