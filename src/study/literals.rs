//! Literals of the notation: numbers, texts, names of errors, signals and versions.
//!
//! Knows no call.

use alloc::format;
use alloc::vec::Vec;

use super::cursor::{Cursor, ParseError};
use super::experiment::Timeout;
use crate::errno::Errno;
use crate::kernel::{Signal, SignalSet};
use crate::sim::Version;

/// The longest timeout of which the fastest is taken: it is waited for fifty times.
const TIMEOUT_MILLIS_MAX: u32 = 100;
/// Bytes in one text: more than any buffer of an experiment.
const BYTES_MAX: u32 = 1 << 20;

/// `"text"`, `50*"x"` or `u64 1`.
pub(super) fn parse_bytes(c: &mut Cursor<'_>) -> Result<Vec<u8>, ParseError> {
    if c.take_word("u64") {
        return number::<u64>(c).map(|number| number.to_ne_bytes().to_vec());
    }
    let Some(times) = c.peek_word().strip_suffix('*') else { return c.quoted() };
    match times.parse() {
        Ok(times @ 0..=BYTES_MAX) => {
            c.word();
            let bytes = c.quoted()?;
            let len_max = usize::try_from(BYTES_MAX).unwrap_or(usize::MAX);
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            if bytes.len().saturating_mul(times) > len_max {
                return Err(c.error(format!("expected at most {BYTES_MAX} bytes")));
            }
            Ok(bytes.repeat(times))
        }
        _ => Err(c.expected(&format!("a number of times up to {BYTES_MAX}"))),
    }
}

/// `6.9`.
pub(super) fn parse_version(c: &mut Cursor<'_>) -> Result<Version, ParseError> {
    let place = *c;
    let word = c.word();
    let numbers = word.split_once('.').map(|(major, minor)| (major.parse(), minor.parse()));
    match numbers {
        Some((Ok(major), Ok(minor))) => Ok(Version::new(major, minor)),
        _ => Err(place.expected("a kernel version, such as 6.9")),
    }
}

pub(super) fn parse_errno(c: &mut Cursor<'_>) -> Result<Errno, ParseError> {
    /// Linux has numbered its errors up to here.
    const NUMBER_MAX: i32 = 133;
    let place = *c;
    let word = c.word();
    let named = |number| Errno::new(number).filter(|errno| errno.name() == Some(word));
    (1..=NUMBER_MAX)
        .find_map(named)
        .ok_or_else(|| place.expected("the name of an errno, such as EAGAIN"))
}

/// `50us` or `1ms`: of epoll_pwait2(2), of epoll_wait(2).
pub(super) fn parse_timeout(c: &mut Cursor<'_>) -> Result<Timeout, ParseError> {
    let place = *c;
    let word = c.word();
    let digits = |unit: &str| {
        let digits = word.strip_suffix(unit)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let micros = digits("us").filter(|it| *it <= 1_000 * TIMEOUT_MILLIS_MAX).map(Timeout::Micros);
    let millis = || digits("ms").filter(|it| *it <= TIMEOUT_MILLIS_MAX).map(Timeout::Millis);
    let found = micros.or_else(millis);
    found.ok_or_else(|| place.expected("a timeout up to 100ms, such as 50us or 1ms"))
}

/// `USR1`.
pub(super) fn parse_signal(c: &mut Cursor<'_>) -> Result<Signal, ParseError> {
    let place = *c;
    Signal::from_name(c.word()).ok_or_else(|| place.expected("a signal, such as USR1 or URG"))
}

/// `USR1 USR2`.
pub(super) fn parse_signals(c: &mut Cursor<'_>) -> Result<SignalSet, ParseError> {
    let mut signals = SignalSet::from(parse_signal(c)?);
    while let Some(signal) = Signal::from_name(c.peek_word()) {
        c.word();
        signals = signals | signal.into();
    }
    Ok(signals)
}

pub(super) fn one_of<T: Clone>(c: &mut Cursor<'_>, choices: &[(&str, T)]) -> Result<T, ParseError> {
    let place = *c;
    let word = c.word();
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        place.expected(&format!("one of {}", names.join(", ")))
    })
}

/// A number, where one may stand.
pub(super) fn optional_number<T: core::str::FromStr>(
    c: &mut Cursor<'_>,
) -> Result<Option<T>, ParseError> {
    let has_number = c.peek_word().starts_with(|c: char| c.is_ascii_digit());
    if has_number { number(c).map(Some) } else { Ok(None) }
}

pub(super) fn number<T: core::str::FromStr>(c: &mut Cursor<'_>) -> Result<T, ParseError> {
    let place = *c;
    let word = c.word();
    let digits = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| place.expected("a number"))
}
