//! The notation of a step: one call, and what it should return.
//!
//! Knows the words for calls and results; files and headers are the parser's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::cursor::{Cursor, ParseError};
use super::expectation::{Expectation, Pattern};
use super::experiment::{Action, Change, ExperimentStep};
use super::names::{Kind, Names};
use super::value::{Reported, Value};
use crate::errno::Errno;
use crate::event;
use crate::kernel::{OptionBytes, Shutdown, SocketOption, SocketOptionName, SocketType};
use crate::net::AddressFamily;
use crate::sim::Version;

const UNIX: Kind = Kind::Socket(AddressFamily::Unix);
const INET: Kind = Kind::Socket(AddressFamily::Inet);

/// Events of a wait that does not say how many it takes.
const EVENTS_DEFAULT: usize = 8;
/// Bytes in one text: more than any buffer of an experiment.
const BYTES_MAX: u32 = 1 << 20;

/// The calls, as an error lists them.
const CALLS: &str = "a call: socketpair, tcp, socket, bind, listen, connect, accept, epoll, add, \
                     mod, del, wait, send, sendto, recv, write, read, fill, drain, shutdown, \
                     close, dup, eventfd, pipe, setsockopt, getsockopt";

/// Parses a line such as `recv s0 1 = "a" ; one byte`.
pub(super) fn parse_step(
    line: usize,
    text: &str,
    names: &mut Names,
) -> Result<ExperimentStep, ParseError> {
    let cursor = &mut Cursor::new(line, text);
    let action = parse_action(cursor, names)?;
    let call = cursor.passed().to_string();
    let (expected, people) =
        if cursor.take('=') { parse_results(cursor, names)? } else { (None, None) };
    let note = if cursor.take(';') { cursor.remainder().to_string() } else { String::new() };
    if !cursor.is_at_end() {
        return Err(cursor.expected("'= RESULT', '; NOTE' or the end of the line"));
    }
    Ok(ExperimentStep { line, call, expected, people, note, action })
}

fn parse_action(c: &mut Cursor<'_>, names: &mut Names) -> Result<Action, ParseError> {
    let place = *c;
    match c.word() {
        "tcp" => {
            let server = names.define(c, INET)?;
            Ok(Action::Tcp { server, client: names.define(c, INET)? })
        }
        "socketpair" => {
            let (near, far) = (names.define(c, UNIX)?, names.define(c, UNIX)?);
            let kinds = [("stream", SocketType::Stream), ("datagram", SocketType::Datagram)];
            Ok(Action::Socketpair { near, far, kind: one_of(c, &kinds)? })
        }
        "eventfd" => {
            let fd = names.define(c, Kind::Eventfd)?;
            Ok(Action::Eventfd { fd, initial: number(c)? })
        }
        "pipe" => {
            let reader = names.define(c, Kind::Pipe)?;
            Ok(Action::Pipe { reader, writer: names.define(c, Kind::Pipe)? })
        }
        "epoll" => Ok(Action::Epoll { epoll: names.define(c, Kind::Epoll)? }),
        "dup" => {
            let fd = names.open(c)?;
            Ok(Action::Dup { fd, copy: names.define(c, names.kind(fd))? })
        }
        "close" => {
            let fd = names.open(c)?;
            names.close(fd);
            Ok(Action::Close { fd })
        }
        "add" => parse_control(c, names, |c| parse_mask(c).map(Change::Add)),
        "mod" => parse_control(c, names, |c| parse_mask(c).map(Change::Modify)),
        "del" => parse_control(c, names, |_| Ok(Change::Delete)),
        "wait" => {
            let epoll = names.epoll(c)?;
            let has_max = c.peek_word().starts_with(|c: char| c.is_ascii_digit());
            let events_max = if has_max { number(c)? } else { EVENTS_DEFAULT };
            Ok(Action::Wait { epoll, events_max })
        }
        "write" => Ok(Action::Write { fd: names.open(c)?, bytes: parse_bytes(c)? }),
        "read" => Ok(Action::Read { fd: names.open(c)?, len_max: number(c)? }),
        "fill" => {
            let fd = names.open(c)?;
            Ok(Action::Fill { fd, is_socket: names.kind(fd).is_socket() })
        }
        "drain" => {
            let fd = names.open(c)?;
            let is_socket = names.kind(fd).is_socket();
            let has_max = c.peek_word().starts_with(|c: char| c.is_ascii_digit());
            let len_max = if has_max { number(c)? } else { usize::MAX };
            Ok(Action::Drain { fd, is_socket, len_max })
        }
        word => parse_socket_action(word, c, names).unwrap_or_else(|| Err(place.expected(CALLS))),
    }
}

/// A call that only sockets have; `None` if it is no such call.
fn parse_socket_action(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Option<Result<Action, ParseError>> {
    let is_known = matches!(
        word,
        "socket"
            | "bind"
            | "listen"
            | "connect"
            | "accept"
            | "send"
            | "sendto"
            | "recv"
            | "shutdown"
            | "setsockopt"
            | "getsockopt"
    );
    is_known.then(|| match word {
        "socket" => parse_socket(c, names),
        "bind" => {
            let socket = names.socket(c)?;
            let Kind::Socket(family) = names.kind(socket) else {
                unreachable!("the name is a socket's")
            };
            Ok(Action::Bind { socket, family })
        }
        "listen" => Ok(Action::Listen { socket: names.socket(c)?, backlog: number(c)? }),
        "connect" => Ok(Action::Connect { socket: names.socket(c)?, to: names.socket(c)? }),
        "accept" => {
            let listener = names.socket(c)?;
            Ok(Action::Accept { listener, accepted: names.define(c, names.kind(listener))? })
        }
        "send" => Ok(Action::Send { socket: names.socket(c)?, bytes: parse_bytes(c)? }),
        "sendto" => {
            let (socket, to) = (names.socket(c)?, names.socket(c)?);
            Ok(Action::SendTo { socket, to, bytes: parse_bytes(c)? })
        }
        "recv" => Ok(Action::Recv { socket: names.socket(c)?, len_max: number(c)? }),
        "shutdown" => {
            let socket = names.socket(c)?;
            let ways =
                [("read", Shutdown::Read), ("write", Shutdown::Write), ("both", Shutdown::Both)];
            Ok(Action::Shutdown { socket, how: one_of(c, &ways)? })
        }
        "setsockopt" => {
            let socket = names.socket(c)?;
            Ok(Action::SetOption { socket, option: parse_option(c)? })
        }
        _ => {
            let socket = names.socket(c)?;
            Ok(Action::GetOption { socket, name: parse_option_name(c)? })
        }
    })
}

fn parse_socket(c: &mut Cursor<'_>, names: &mut Names) -> Result<Action, ParseError> {
    let mut ahead = *c;
    ahead.word();
    let (inet, unix) = (AddressFamily::Inet, AddressFamily::Unix);
    let (family, kind) = one_of(
        &mut ahead,
        &[
            ("tcp", (inet, SocketType::Stream)),
            ("udp", (inet, SocketType::Datagram)),
            ("unix-stream", (unix, SocketType::Stream)),
            ("unix-datagram", (unix, SocketType::Datagram)),
        ],
    )?;
    let socket = names.define(c, Kind::Socket(family))?;
    *c = ahead;
    Ok(Action::Socket { socket, family, kind })
}

fn parse_control(
    c: &mut Cursor<'_>,
    names: &Names,
    change: impl FnOnce(&mut Cursor<'_>) -> Result<Change, ParseError>,
) -> Result<Action, ParseError> {
    let (epoll, target) = (names.epoll(c)?, names.open(c)?);
    Ok(Action::Control { epoll, target, change: change(c)? })
}

/// Masks by name, one after the other, or `none`.
fn parse_mask(c: &mut Cursor<'_>) -> Result<u32, ParseError> {
    if c.take_word("none") {
        return Ok(0);
    }
    let mut mask = 0;
    while let Some(bit) = mask_bit(c.peek_word()) {
        mask |= bit;
        c.word();
    }
    if mask == 0 {
        return Err(c.expected("events: IN PRI OUT ERR HUP RDHUP EXCLUSIVE ONESHOT ET, or none"));
    }
    Ok(mask)
}

fn mask_bit(word: &str) -> Option<u32> {
    if let Some(digits) = word.strip_prefix("0x") {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
    }
    let is_it = |(_, name): &&(u32, &str)| name.strip_prefix("EPOLL") == Some(word);
    event::NAMES.iter().find(is_it).map(|(bit, _)| *bit)
}

/// `"text"`, `50*"x"` or `u64 1`.
fn parse_bytes(c: &mut Cursor<'_>) -> Result<Vec<u8>, ParseError> {
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

fn parse_option(c: &mut Cursor<'_>) -> Result<SocketOption, ParseError> {
    let place = *c;
    let name = parse_option_name(c)?;
    if name == SocketOptionName::LingerSeconds {
        return number(c).map(|seconds| SocketOption::LingerSeconds(Some(seconds)));
    }
    let value: u32 = number(c)?;
    let mut bytes = OptionBytes::default();
    bytes[..4].copy_from_slice(&value.to_ne_bytes());
    let is_settable = name.value_bytes() == 4 && name != SocketOptionName::Error;
    name.decode(bytes)
        .filter(|_| is_settable)
        .ok_or_else(|| place.expected("an option whose value is a number"))
}

fn parse_option_name(c: &mut Cursor<'_>) -> Result<SocketOptionName, ParseError> {
    let place = *c;
    let word = c.word();
    let found = SocketOptionName::ALL.into_iter().find(|name| name.c_names().1 == word);
    found.ok_or_else(|| place.expected("a socket option, such as SO_RCVLOWAT or SO_ERROR"))
}

/// What is behind `=`: what Linux returns, and what most people expect.
fn parse_results(
    c: &mut Cursor<'_>,
    names: &Names,
) -> Result<(Option<Expectation>, Option<Pattern>), ParseError> {
    let expected = if c.take_word("?") {
        Expectation { patterns: Vec::new(), before: None }
    } else {
        let patterns = parse_alternatives(c, names)?;
        let since = if c.take_word("since") { Some(parse_version(c)?) } else { None };
        let before = match since {
            None => None,
            Some(since) if c.take(',') && c.take_word("else") => {
                Some((since, parse_alternatives(c, names)?))
            }
            Some(_) => return Err(c.expected("', else RESULT' for older kernels")),
        };
        Expectation { patterns, before }
    };
    let mut people = None;
    if c.take(',') {
        if !c.take_word("people") {
            return Err(c.expected("'people RESULT'"));
        }
        people = Some(parse_pattern(c, names)?);
    }
    Ok((Some(expected), people))
}

fn parse_alternatives(c: &mut Cursor<'_>, names: &Names) -> Result<Vec<Pattern>, ParseError> {
    let mut patterns = vec![parse_pattern(c, names)?];
    while c.take_word("or") {
        patterns.push(parse_pattern(c, names)?);
    }
    Ok(patterns)
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

fn parse_pattern(c: &mut Cursor<'_>, names: &Names) -> Result<Pattern, ParseError> {
    let word = c.peek_word();
    let is_bytes = c.is_at('"') || word == "u64" || word.ends_with('*');
    let value = if is_bytes {
        Value::Bytes(parse_bytes(c)?)
    } else if word.starts_with(|c: char| c.is_ascii_digit()) {
        return parse_range(c);
    } else if c.take_word("ok") {
        Value::Done
    } else if c.take_word("nothing") {
        Value::Events(Vec::new())
    } else if c.take_word("error") {
        let is_none = c.take_word("none");
        Value::SocketError(if is_none { None } else { Some(parse_errno(c)?) })
    } else if word.starts_with('E') {
        Value::Failed(parse_errno(c)?)
    } else {
        Value::Events(parse_events(c, names)?)
    };
    Ok(Pattern::Exactly(value))
}

/// `5`, `1..9` or `1..`.
fn parse_range(c: &mut Cursor<'_>) -> Result<Pattern, ParseError> {
    let place = *c;
    let word = c.word();
    let bad = || place.expected("a number, or a range such as 1..9 or 1..");
    let Some((least, most)) = word.split_once("..") else {
        return word.parse().map(|n| Pattern::Exactly(Value::Number(n))).map_err(|_| bad());
    };
    let most = if most.is_empty() { Ok(u64::MAX) } else { most.parse() };
    match (least.parse(), most) {
        (Ok(least), Ok(most)) if least <= most => Ok(Pattern::Between(least, most)),
        _ => Err(bad()),
    }
}

fn parse_errno(c: &mut Cursor<'_>) -> Result<Errno, ParseError> {
    /// Linux has numbered its errors up to here.
    const NUMBER_MAX: i32 = 133;
    let place = *c;
    let word = c.word();
    let named = |number| Errno::new(number).filter(|errno| errno.name() == Some(word));
    (1..=NUMBER_MAX)
        .find_map(named)
        .ok_or_else(|| place.expected("the name of an errno, such as EAGAIN"))
}

/// `s0 IN RDHUP, s1 OUT`, up to the part for older kernels or for people.
fn parse_events(c: &mut Cursor<'_>, names: &Names) -> Result<Vec<Reported>, ParseError> {
    let mut events = Vec::new();
    loop {
        let name = names.reported(c)?;
        events.push(Reported { name, events: parse_mask(c)? });
        let mut ahead = *c;
        if !ahead.take(',') || ["else", "people"].contains(&ahead.peek_word()) {
            return Ok(events);
        }
        *c = ahead;
    }
}

fn one_of<T: Copy>(c: &mut Cursor<'_>, choices: &[(&str, T)]) -> Result<T, ParseError> {
    let place = *c;
    let word = c.word();
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        place.expected(&format!("one of {}", names.join(", ")))
    })
}

fn number<T: core::str::FromStr>(c: &mut Cursor<'_>) -> Result<T, ParseError> {
    let place = *c;
    let word = c.word();
    let digits = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| place.expected("a number"))
}
