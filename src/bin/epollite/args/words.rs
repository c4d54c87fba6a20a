//! The words that are left to be read: flags, their values, and where we are when one is wrong.
//!
//! Knows how words are cut, and no flag by name.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use epollite::UnixAddr;

use super::super::failure::Failure;
use super::target::unix;

/// A word: `-x` and `--xyz` are flags.
pub(super) enum Word {
    Flag(String),
    Plain(OsString),
}

/// The words that are left, and for the sake of errors where we are.
pub(super) struct Words {
    rest: VecDeque<OsString>,
    /// Whether `--` has been seen: no flag comes behind it.
    are_plain: bool,
    /// Where to send people.
    pub(super) hint: &'static str,
    /// The flag whose value is wanted next.
    flag: String,
    /// The letters that stood behind it, as the `q` of `-vq`: flags, or the value of `-w5`.
    cluster: Vec<u8>,
    /// What stood behind the `=` of that flag, until somebody takes it.
    pub(super) inline: Option<OsString>,
}

impl Words {
    pub(super) fn new(words: impl Iterator<Item = OsString>) -> Self {
        Self {
            rest: words.collect(),
            are_plain: false,
            hint: "epollite --help",
            flag: String::new(),
            cluster: Vec::new(),
            inline: None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Word>, Failure> {
        if self.inline.is_some() {
            return Err(self.usage(&format!("{} takes no value", self.flag)));
        }
        if !self.cluster.is_empty() {
            let letters = std::mem::take(&mut self.cluster);
            return Ok(Some(self.short(&letters)));
        }
        let Some(word) = self.rest.pop_front() else { return Ok(None) };
        let bytes = word.as_bytes();
        if bytes == b"--" && !self.are_plain {
            self.are_plain = true;
            return self.next();
        }
        if self.are_plain || !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Some(Word::Plain(word)));
        }
        if let Some(at) = bytes.iter().position(|&byte| byte == b'=')
            && bytes.starts_with(b"--")
        {
            self.inline = Some(OsString::from_vec(bytes[at + 1..].to_vec()));
            self.flag = String::from_utf8_lossy(&bytes[..at]).into_owned();
            return Ok(Some(Word::Flag(self.flag.clone())));
        }
        if !bytes.starts_with(b"--") && bytes.len() > 2 {
            return Ok(Some(self.short(&bytes[1..])));
        }
        self.flag = String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(Word::Flag(self.flag.clone())))
    }

    /// The first of `letters` as a flag. `-vq` is `-v -q`, and `-w5` is `-w 5`: which of them,
    /// only the one knows who asks for a value.
    fn short(&mut self, letters: &[u8]) -> Word {
        // Flags are ASCII; what is not is unknown as a whole, not byte by byte.
        let len = if letters[0].is_ascii() { 1 } else { letters.len() };
        let (first, others) = letters.split_at(len);
        self.cluster = others.to_vec();
        self.flag = format!("-{}", String::from_utf8_lossy(first));
        Word::Flag(self.flag.clone())
    }

    /// The value of the flag just read, as bytes.
    pub(super) fn value(&mut self) -> Result<OsString, Failure> {
        let mut value = self.inline.take();
        if value.is_none() && !self.cluster.is_empty() {
            value = Some(OsString::from_vec(std::mem::take(&mut self.cluster)));
        }
        let value = value.or_else(|| self.rest.pop_front());
        value.ok_or_else(|| self.usage(&format!("{} needs a value", self.flag)))
    }

    /// The value of the flag just read, as `read` reads it.
    pub(super) fn take<T>(
        &mut self,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let value = self.value()?;
        read(&value.to_string_lossy()).map_err(|why| self.usage(&format!("{}: {why}", self.flag)))
    }

    /// The same for what may hold a path, which is bytes and not text.
    pub(super) fn take_bytes<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let value = self.value()?;
        read(value.as_bytes()).map_err(|why| self.usage(&format!("{}: {why}", self.flag)))
    }

    /// A path is bytes, not text.
    pub(super) fn unix_path(&mut self) -> Result<UnixAddr, Failure> {
        self.take_bytes(unix)
    }

    pub(super) fn usage(&self, why: &str) -> Failure {
        // What people typed may hold anything; an error is one line.
        let why: String = why.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Failure::new(Failure::USAGE, format!("{why}; try '{}'", self.hint))
    }
}
