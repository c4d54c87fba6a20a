//! What a user predicts: the notation of results, read with tolerance.
//!
//! Compares an answer with a value; it asks nothing.

use epollite::Errno;
use epollite::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use epollite::study::Value;

/// A result as a user writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Nothing,
    Success,
    Number(u64),
    Bytes(Vec<u8>),
    /// The name of an errno.
    Failed(String),
    NoError,
    /// Descriptors, if they are named, and their events.
    Events(Vec<(Option<String>, u32)>),
}

const EVENTS: [(&str, u32); 6] = [
    ("IN", EPOLLIN),
    ("PRI", EPOLLPRI),
    ("OUT", EPOLLOUT),
    ("ERR", EPOLLERR),
    ("HUP", EPOLLHUP),
    ("RDHUP", EPOLLRDHUP),
];

impl Answer {
    /// Reads `s0 IN`, `EPOLLIN|EPOLLHUP`, `nothing`, `eagain`, `5`, `"text"`, `ok`: in any case.
    /// `names` are the descriptors there are. `None` when it is none of these.
    pub(super) fn parse(text: &str, names: &[&str]) -> Option<Self> {
        let text = text.trim();
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        Some(match &words[..] {
            [] => return None,
            ["nothing" | "none" | "silence" | "timeout"] | ["no", "event" | "events"] => {
                Self::Nothing
            }
            ["ok" | "success"] => Self::Success,
            ["eof" | "end"] | ["end", "of", "file"] => Self::Bytes(Vec::new()),
            ["error", "none" | "0"] | ["no", "error"] => Self::NoError,
            ["error", errno] => Self::Failed(errno_name(errno)?),
            [number] | ["u64", number] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Number(number.parse().ok()?)
            }
            [errno] if errno_name(errno).is_some() => Self::Failed(errno_name(errno)?),
            _ if text.starts_with('"') => Self::Bytes(text.trim_matches('"').as_bytes().to_vec()),
            _ => Self::Events(parse_events(text, names)?),
        })
    }

    /// Whether this is the value, in any order of descriptors.
    pub(super) fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Nothing | Self::Number(0), Value::Events(events)) => events.is_empty(),
            (Self::Success | Self::Number(0), Value::Done) => true,
            (
                Self::NoError | Self::Nothing | Self::Success | Self::Number(0),
                Value::SocketError(None),
            ) => true,
            (Self::Number(number), Value::Number(seen)) => number == seen,
            (Self::Number(0), Value::Bytes(bytes)) if bytes.is_empty() => true,
            (Self::Number(number), Value::Bytes(bytes)) => {
                <[u8; 8]>::try_from(&bytes[..]).is_ok_and(|it| u64::from_ne_bytes(it) == *number)
            }
            (Self::Bytes(text), Value::Bytes(bytes)) => text == bytes,
            (Self::Failed(name), Value::Failed(errno) | Value::SocketError(Some(errno))) => {
                errno.name() == Some(name)
            }
            (Self::Events(answered), Value::Events(seen)) => {
                let mut left: Vec<(&str, u32)> =
                    seen.iter().map(|it| (it.name.as_str(), it.events)).collect();
                let is_one = answered.len() == 1 && left.len() == 1;
                for (name, events) in answered {
                    let is_it = |it: &(&str, u32)| match name {
                        Some(name) => (name.as_str(), *events) == *it,
                        None => is_one && *events == it.1,
                    };
                    match left.iter().position(is_it) {
                        Some(at) => _ = left.swap_remove(at),
                        None => return false,
                    }
                }
                left.is_empty()
            }
            _ => false,
        }
    }
}

/// `s0 IN RDHUP, s1 OUT`, or only events.
fn parse_events(text: &str, names: &[&str]) -> Option<Vec<(Option<String>, u32)>> {
    let is_between = |c: char| c.is_whitespace() || [',', '|', '+', ':'].contains(&c);
    let mut events: Vec<(Option<String>, u32)> = Vec::new();
    for word in text.split(is_between).filter(|word| !word.is_empty()) {
        if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(word)) {
            events.push((Some((*name).to_owned()), 0));
            continue;
        }
        let word = word.to_uppercase();
        let bare = word.strip_prefix("EPOLL").unwrap_or(&word);
        let (_, bit) = EVENTS.iter().find(|(known, _)| *known == bare)?;
        match events.last_mut() {
            Some((_, mask)) => *mask |= bit,
            None => events.push((None, *bit)),
        }
    }
    let is_complete = events.iter().all(|(_, mask)| *mask != 0);
    (is_complete && !events.is_empty()).then_some(events)
}

/// The name of an errno in any case, as Linux writes it.
fn errno_name(word: &str) -> Option<String> {
    /// Linux has numbered its errors up to here.
    const NUMBER_MAX: i32 = 133;
    let word = word.to_uppercase();
    let name = (1..=NUMBER_MAX)
        .filter_map(Errno::new)
        .find_map(|errno| errno.name().filter(|name| *name == word));
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use epollite::study::Reported;

    fn events(list: &[(&str, u32)]) -> Value {
        let event = |&(name, events): &(&str, u32)| Reported { name: name.into(), events };
        Value::Events(list.iter().map(event).collect())
    }

    #[test]
    fn an_answer_is_read_with_tolerance() {
        let both = EPOLLIN | EPOLLRDHUP;
        for (text, value) in [
            ("s0 IN RDHUP", events(&[("s0", both)])),
            ("S0 rdhup in", events(&[("s0", both)])),
            ("EPOLLIN|EPOLLRDHUP", events(&[("s0", both)])),
            ("s0: epollin | rdhup", events(&[("s0", both)])),
            ("s1 IN, s0 OUT", events(&[("s0", EPOLLOUT), ("s1", EPOLLIN)])),
            (" Nothing ", events(&[])),
            ("0", events(&[])),
            ("eagain", Value::Failed(Errno::EAGAIN)),
            ("EPIPE", Value::SocketError(Some(Errno::EPIPE))),
            ("error epipe", Value::SocketError(Some(Errno::EPIPE))),
            ("error none", Value::SocketError(None)),
            ("5", Value::Number(5)),
            ("u64 5", Value::Bytes(5_u64.to_ne_bytes().to_vec())),
            ("5", Value::Bytes(5_u64.to_ne_bytes().to_vec())),
            ("\"ab\"", Value::Bytes(b"ab".to_vec())),
            ("\"\"", Value::Bytes(Vec::new())),
            ("eof", Value::Bytes(Vec::new())),
            ("OK", Value::Done),
        ] {
            let answer = Answer::parse(text, &["s0", "s1"]).unwrap_or_else(|| panic!("{text}"));
            assert!(answer.is(&value), "{text} is {value}");
        }
    }

    #[test]
    fn a_wrong_answer_is_wrong() {
        for (text, value) in [
            ("s0 IN", events(&[("s0", EPOLLIN | EPOLLHUP)])),
            ("s0 IN HUP", events(&[("s0", EPOLLIN)])),
            ("s1 IN", events(&[("s0", EPOLLIN)])),
            ("s0 IN", events(&[("s0", EPOLLIN), ("s1", EPOLLIN)])),
            ("IN", events(&[("s0", EPOLLIN), ("s1", EPOLLIN)])),
            ("nothing", events(&[("s0", EPOLLIN)])),
            ("EAGAIN", Value::Failed(Errno::EPIPE)),
            ("5", Value::Number(6)),
            ("\"a\"", Value::Bytes(b"b".to_vec())),
            ("ok", Value::Failed(Errno::EPIPE)),
        ] {
            let answer = Answer::parse(text, &["s0", "s1"]).unwrap_or_else(|| panic!("{text}"));
            assert!(!answer.is(&value), "{text} is not {value}");
        }
    }

    #[test]
    fn what_is_no_result_is_not_understood() {
        for text in
            ["", " ", "frob", "s0", "s0 FROB", "s9 IN", "EFROB", "-1", "99999999999999999999"]
        {
            assert_eq!(Answer::parse(text, &["s0"]), None, "{text:?}");
        }
    }
}
