//! Parses and formats times, sizes and rates.

use std::time::Duration;

use indicatif::HumanCount;

/// Units of time, in seconds; and factors of an amount.
const TIMES: [(&str, f64); 9] = [
    ("", 1.0),
    ("s", 1.0),
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("m", 60.0),
    ("min", 60.0),
    ("h", 3600.0),
];
const AMOUNTS: [(&str, f64); 6] =
    [("", 1.0), ("/s", 1.0), ("k", 1e3), ("K", 1e3), ("m", 1e6), ("M", 1e6)];

/// A duration: `10s`, `500ms`, `1.5s`, `2m`; a bare number is seconds.
///
/// # Errors
/// What is invalid, as a sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a duration such as 500us, 200ms, 1.5s, 2m or 1h");
    let seconds = product(text, &TIMES).ok_or_else(bad)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// A duration that is not zero.
pub(crate) fn nonzero_duration(text: &str) -> Result<Duration, String> {
    let time = Some(duration(text)?).filter(|time| !time.is_zero());
    time.ok_or_else(|| "it must be longer than 0".to_owned())
}

/// A number of bytes: `64`, `16k`, `16KiB`, `1M`; powers of 1024.
///
/// # Errors
/// What is invalid, as a sentence.
pub fn bytes(text: &str) -> Result<u32, String> {
    let bad = || format!("'{text}' is not a size such as 64, 16k or 1M (up to 1G)");
    let (number, unit) = split(text);
    let factor: u32 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(bad()),
    };
    let number: u32 = number.parse().map_err(|_| bad())?;
    let bytes = number.checked_mul(factor).ok_or_else(bad)?;
    if (1..=1 << 30).contains(&bytes) { Ok(bytes) } else { Err(bad()) }
}

/// A rate per second, or an amount: `5000`, `100k`, `1.5M`; powers of 1000.
///
/// # Errors
/// What is invalid, as a sentence.
pub fn amount(text: &str) -> Result<f64, String> {
    let bad = || format!("'{text}' is not an amount such as 5000, 100k or 1.5M");
    product(text, &AMOUNTS).ok_or_else(bad)
}

/// Formats a time with three significant digits and a suitable unit.
pub fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => (nanos, "ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "µs"),
        _ if nanos < 1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Formats a number of bytes.
pub fn size(bytes: f64) -> String {
    let (value, unit) = match bytes {
        _ if bytes < 1e3 => return format!("{bytes:.0} B"),
        _ if bytes < 1e6 => (bytes / 1e3, "kB"),
        _ if bytes < 1e9 => (bytes / 1e6, "MB"),
        _ => (bytes / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}

/// Formats an integer with a space between thousands.
pub fn grouped(number: u64) -> String {
    HumanCount(number).to_string().replace(',', " ")
}

/// A number with one of some units.
fn product(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, unit) = split(text);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    Some(number.parse::<f64>().ok()? * factor)
}

/// Splits a text into number and unit.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_texts_parse_and_invalid_ones_do_not() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!((bytes("64"), bytes("16k"), bytes("1MiB")), (Ok(64), Ok(16384), Ok(1 << 20)));
        assert_eq!((amount("100k"), amount("1.5M")), (Ok(100e3), Ok(1.5e6)));
        for text in ["", "s", "-1s", "1x", "1.2.3s", "inf", "1e9s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "0", "-1", "1.5k", "4G", "64x"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(nonzero_duration("0").is_err());
    }

    #[test]
    fn values_are_formatted() {
        assert_eq!((time(999.0), time(1_234.0)), ("999 ns".into(), "1.23 µs".into()));
        assert_eq!((time(12_340_000.0), time(2e9)), ("12.3 ms".into(), "2.00 s".into()));
        assert_eq!((grouped(1_234_567), grouped(12)), ("1 234 567".into(), "12".into()));
        assert_eq!(size(1_500_000.0), "1.5 MB");
    }
}
