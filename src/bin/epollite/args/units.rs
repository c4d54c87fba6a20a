//! Parses durations, sizes and numbers.

use std::time::Duration;

/// `500ms`, `5s`, `2m`, `1h`, `1.5s`; `0` and `off` are `None`. A bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Option<Duration>, String> {
    if matches!(text, "off" | "0") {
        return Ok(None);
    }
    let bad = || format!("'{text}' is not a duration, such as 500ms, 5s, 2m, 1h or off");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds: f64 = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let number: f64 = number.parse().map_err(|_| bad())?;
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

/// `65536`, `64k`, `64KiB`, `1M`, `1MiB`, `1G`: powers of 1024, at least one byte.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let bad = || format!("'{text}' is not a size, such as 65536, 64KiB or 1MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(bad()),
    };
    let number: usize = number.parse().map_err(|_| bad())?;
    number.checked_mul(factor).filter(|&bytes| bytes > 0).ok_or_else(bad)
}

/// The value of the name `text`.
pub(crate) fn one_of<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let (last, first) = names.split_last().expect("there are names");
        format!("'{text}' is not {} or {last}", first.join(", "))
    })
}

/// A whole number from `min` to `max`.
pub(crate) fn number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a number from {min} to {max}")),
    }
}

/// A whole number of at least `min`, `_` allowed between digits.
pub(crate) fn parse_count(text: &str, min: u64) -> Result<u64, String> {
    match text.replace('_', "").parse::<u64>() {
        Ok(number) if number >= min => Ok(number),
        _ => Err(format!("'{text}' is not a number from {min} on")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_duration_notations_are_parsed() {
        let millis = |text| duration(text).map(|d| d.map_or(0, |d| d.as_millis()));
        for (text, expected) in
            [("500ms", 500), ("5s", 5_000), ("5", 5_000), ("1.5s", 1_500), ("2m", 120_000)]
        {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        assert_eq!((millis("off"), millis("0"), millis("0s")), (Ok(0), Ok(0), Ok(0)));
        for text in
            ["", "s", "5x", "-1s", "1e99", "inf", "nan", ".", "1.2.3s", "99999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn common_size_notations_are_parsed() {
        for (text, expected) in
            [("65536", 65_536), ("64k", 65_536), ("64KiB", 65_536), ("1M", 1 << 20)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "0", "-1", "1.5k", "99999999999999999999", "17179869184G", "5q"] {
            assert!(bytes(text).is_err(), "{text} was accepted");
        }
    }
}
