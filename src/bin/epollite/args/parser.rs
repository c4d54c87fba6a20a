//! The argument parser: splits flags, values and positional arguments.
//!
//! Knows the syntax, and no flag by name.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::super::exit::CliError;
use super::suggest::nearest_flag;

/// An argument: `-x` and `--xyz` are flags.
pub(super) enum Arg {
    Flag(String),
    Positional(OsString),
}

/// The remaining arguments, and the current flag for error messages.
pub(super) struct ArgParser {
    rest: VecDeque<OsString>,
    /// Whether `--` has been seen: later arguments are not flags.
    options_ended: bool,
    /// The help command that errors refer to.
    pub(super) hint: &'static str,
    /// The flag read last, which a value belongs to.
    flag: String,
    /// The characters after it, as the `q` of `-vq`: further flags, or the value of `-w5`.
    short_flags: Vec<u8>,
    /// The text after the `=` of that flag, until it is taken.
    pub(super) attached_value: Option<OsString>,
}

impl ArgParser {
    pub(super) fn new(args: impl Iterator<Item = OsString>) -> Self {
        Self {
            rest: args.collect(),
            options_ended: false,
            hint: "epollite --help",
            flag: String::new(),
            short_flags: Vec::new(),
            attached_value: None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Arg>, CliError> {
        if self.attached_value.is_some() {
            return Err(self.usage_error(&format!("{} takes no value", self.flag)));
        }
        if !self.short_flags.is_empty() {
            let chars = std::mem::take(&mut self.short_flags);
            return Ok(Some(self.short(&chars)));
        }
        let Some(arg) = self.rest.pop_front() else { return Ok(None) };
        let bytes = arg.as_bytes();
        if bytes == b"--" && !self.options_ended {
            self.options_ended = true;
            return self.next();
        }
        if self.options_ended || !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Some(Arg::Positional(arg)));
        }
        if let Some(at) = bytes.iter().position(|&byte| byte == b'=')
            && bytes.starts_with(b"--")
        {
            self.attached_value = Some(OsString::from_vec(bytes[at + 1..].to_vec()));
            self.flag = String::from_utf8_lossy(&bytes[..at]).into_owned();
            return Ok(Some(Arg::Flag(self.flag.clone())));
        }
        if !bytes.starts_with(b"--") && bytes.len() > 2 {
            return Ok(Some(self.short(&bytes[1..])));
        }
        self.flag = String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(Arg::Flag(self.flag.clone())))
    }

    /// The next flag, of a command that takes no other arguments.
    pub(super) fn next_flag(&mut self) -> Result<Option<String>, CliError> {
        match self.next()? {
            None => Ok(None),
            Some(Arg::Flag(flag)) => Ok(Some(flag)),
            Some(Arg::Positional(arg)) => {
                let arg = arg.to_string_lossy();
                Err(self.usage_error(&format!("unexpected argument '{arg}'")))
            }
        }
    }

    /// The first of `chars` as a flag. `-vq` is `-v -q`, and `-w5` is `-w 5`: which of the two is
    /// known only when a value is requested.
    fn short(&mut self, chars: &[u8]) -> Arg {
        // Flags are ASCII; a non-ASCII text is one unknown flag, not one per byte.
        let len = if chars[0].is_ascii() { 1 } else { chars.len() };
        let (first, others) = chars.split_at(len);
        self.short_flags = others.to_vec();
        self.flag = format!("-{}", String::from_utf8_lossy(first));
        Arg::Flag(self.flag.clone())
    }

    /// The value of the flag just read, as bytes.
    #[inline(never)]
    pub(super) fn value(&mut self) -> Result<OsString, CliError> {
        let mut value = self.attached_value.take();
        if value.is_none() && !self.short_flags.is_empty() {
            value = Some(OsString::from_vec(std::mem::take(&mut self.short_flags)));
        }
        let value = value.or_else(|| self.rest.pop_front());
        value.ok_or_else(|| self.usage_error(&format!("{} needs a value", self.flag)))
    }

    /// One more value of the flag just read, if `read` accepts the next argument.
    pub(super) fn value_if<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = read(self.rest.front()?.to_str()?)?;
        self.rest.pop_front();
        Some(value)
    }

    /// The value of the flag just read, parsed by `read`.
    pub(super) fn parse_value<T>(
        &mut self,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, CliError> {
        self.take_bytes(|bytes| read(&String::from_utf8_lossy(bytes)))
    }

    /// The same for a value that may contain a path, which is bytes and not text.
    pub(super) fn take_bytes<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, CliError> {
        let value = self.value()?;
        read(value.as_bytes()).map_err(|why| self.value_error(&why))
    }

    /// What is wrong with the value of the flag just read.
    #[cold]
    #[inline(never)]
    fn value_error(&self, why: &str) -> CliError {
        self.usage_error(&format!("{}: {why}", self.flag))
    }

    /// The error of an unknown flag, with the nearest one that `help` names.
    pub(super) fn unknown_option(&self, flag: &str, help: &str) -> CliError {
        let hint = nearest_flag(flag, help).map(|near| format!(" (nearest: '{near}')"));
        self.usage_error(&format!("unknown option '{flag}'{}", hint.unwrap_or_default()))
    }

    /// The error of a flag with `=` and no name behind it.
    pub(super) fn missing_file(&self) -> CliError {
        self.usage_error(&format!("{}: the name of the file is missing", self.flag))
    }

    pub(super) fn usage_error(&self, why: &str) -> CliError {
        // An argument may contain any character; an error is one line.
        let why: String = why.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        CliError::new(CliError::USAGE, format!("{why}; try '{}'", self.hint))
    }
}
