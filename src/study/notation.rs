//! The notation of a step: one call, and what it should return.
//!
//! Knows the words for calls and results; files and headers are the parser's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::{Cursor, ParseError};
use super::device_notation::{
    DEVICE_CALLS, parse_actor_step, parse_device_action, parse_device_option, parse_wait,
};
use super::expectation::{Expectation, Pattern};
use super::experiment::{Action, Change, DeviceAction, ExperimentStep, Place, Target};
use super::literals::{
    number, one_of, optional_number, parse_bytes, parse_errno, parse_signal, parse_signals,
    parse_timeout, parse_version,
};
use super::names::{Kind, Names};
use super::value::{Reported, Value};
use crate::event;
use crate::kernel::{
    MembershipV4, MessageFlag, OptionBytes, Shutdown, Signal, SocketOption, SocketOptionName,
    SocketType,
};
use crate::net::AddressFamily;

const UNIX: Kind = Kind::Socket(AddressFamily::Unix);
const INET: Kind = Kind::Socket(AddressFamily::Inet);

/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// The calls, as an error lists them; after them those of `device_notation.rs`.
const CALLS: &str = "a call: socketpair, tcp, socket, bind, listen, connect, accept, acceptall, \
                     clients, getpeername, epoll, add, mod, del, wait, fastest, send, sendto, \
                     sendmany, recv, recvfrom, recvmany, splice, write, read, fill, fillto, drain, \
                     shutdown, close, dup, eventfd, pipe, setpipe, outq, setsockopt, getsockopt, \
                     nofile, block, signalfd";

/// Parses a line such as `recv s0 1 = "a" ; one byte`.
pub(super) fn parse_step(
    line: usize,
    text: &str,
    names: &mut Names,
) -> Result<ExperimentStep, ParseError> {
    let cursor = &mut Cursor::new(line, text);
    let mut actor = None;
    let action = if cursor.take('@') {
        let name = cursor.peek_word().to_string();
        let action = parse_actor_step(cursor, names)?;
        actor = Some(name);
        action
    } else {
        parse_action(cursor, names)?
    };
    let call = cursor.passed().to_string();
    let (expected, people) =
        if cursor.take('=') { parse_results(cursor, names)? } else { (None, None) };
    let note = if cursor.take(';') { cursor.remainder().to_string() } else { String::new() };
    if !cursor.is_at_end() {
        return Err(cursor.expected("'= RESULT', '; NOTE' or the end of the line"));
    }
    Ok(ExperimentStep { line, actor, call, expected, people, note, action })
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
            let stream = Action::Socketpair { near, far, kind: SocketType::Stream };
            let datagram = Action::Socketpair { near, far, kind: SocketType::Datagram };
            let seqpacket = Action::Device(DeviceAction::Seqpacket { near, far });
            let kinds = [("stream", stream), ("datagram", datagram), ("seqpacket", seqpacket)];
            one_of(c, &kinds)
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
            let (epoll, events_max) = parse_wait(c, names)?;
            Ok(Action::Wait { epoll, events_max })
        }
        "write" => Ok(Action::Write { fd: names.open(c)?, bytes: parse_bytes(c)? }),
        "read" => {
            let (fd, len_max) = (names.open(c)?, number(c)?);
            let is_signal = names.kind(fd) == Kind::Signalfd;
            Ok(if is_signal { Action::ReadSignal { fd } } else { Action::Read { fd, len_max } })
        }
        "fill" => {
            let fd = names.open(c)?;
            Ok(Action::Fill { fd, is_socket: names.kind(fd).is_socket() })
        }
        "drain" => {
            let fd = names.open(c)?;
            let is_socket = names.kind(fd).is_socket();
            let len_max = optional_number(c)?.unwrap_or(usize::MAX);
            Ok(Action::Drain { fd, is_socket, len_max })
        }
        word => parse_socket_action(word, c, names)
            .or_else(|| parse_other_action(word, c, names))
            .or_else(|| parse_device_action(word, c, names))
            .unwrap_or_else(|| Err(place.expected(&format!("{CALLS}, {DEVICE_CALLS}")))),
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
            | "acceptall"
            | "clients"
            | "getpeername"
            | "shutdown"
            | "outq"
            | "setsockopt"
            | "getsockopt"
    );
    if !is_known {
        return parse_message(word, c, names);
    }
    Some(parse_connection(word, c, names))
}

fn parse_connection(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Result<Action, ParseError> {
    if word == "socket" {
        return parse_socket(c, names);
    }
    let socket = names.socket(c)?;
    match word {
        "bind" => {
            let Kind::Socket(family) = names.kind(socket) else {
                unreachable!("the name is a socket's")
            };
            let place = match family {
                _ if c.take_word("as") => {
                    let name = names.address(c)?;
                    parse_bind_at(c)?.map_or(Place::Same(name), |ip| Place::Beside(name, ip))
                }
                AddressFamily::Unix => Place::Unix,
                AddressFamily::Inet6 => {
                    Place::Ip(parse_bind_at(c)?.unwrap_or(Ipv6Addr::LOCALHOST.into()))
                }
                AddressFamily::Inet => {
                    Place::Ip(parse_bind_at(c)?.unwrap_or(Ipv4Addr::LOCALHOST.into()))
                }
            };
            Ok(Action::Bind { socket, place })
        }
        "listen" => Ok(Action::Listen { socket, backlog: number(c)? }),
        "connect" => Ok(Action::Connect { socket, to: parse_target(c, names)? }),
        "accept" => {
            let accepted = names.define(c, names.kind(socket))?;
            Ok(Action::Accept { listener: socket, accepted })
        }
        "acceptall" => Ok(Action::AcceptAll { listener: socket }),
        "clients" => Ok(Action::Clients { listener: socket, count: number(c)? }),
        "getpeername" => Ok(Action::GetPeer { socket }),
        "outq" => Ok(Action::OutQueue { socket }),
        "shutdown" => {
            let ways =
                [("read", Shutdown::Read), ("write", Shutdown::Write), ("both", Shutdown::Both)];
            Ok(Action::Shutdown { socket, how: one_of(c, &ways)? })
        }
        "setsockopt" => match parse_device_option(c) {
            Some(name) => {
                let value = number(c)?;
                Ok(Action::Device(DeviceAction::SetOption { socket, name, value }))
            }
            None => Ok(Action::SetOption { socket, option: parse_option(c)? }),
        },
        _ => match parse_device_option(c) {
            Some(name) => Ok(Action::Device(DeviceAction::GetOption { socket, name })),
            None => Ok(Action::GetOption { socket, name: parse_option_name(c)? }),
        },
    }
}

/// A call that sends or receives; `None` if it is no such call.
fn parse_message(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Option<Result<Action, ParseError>> {
    let is_known = matches!(
        word,
        "send" | "sendto" | "sendmany" | "fillto" | "recv" | "recvfrom" | "recvmany"
    );
    let mut parse = || {
        let socket = names.socket(c)?;
        Ok(match word {
            "send" => {
                let bytes = parse_bytes(c)?;
                match parse_flag(c) {
                    Some(flag) => Action::SendFlag { socket, bytes, flag },
                    None => Action::Send { socket, bytes },
                }
            }
            "sendto" => {
                let to = parse_target(c, names)?;
                Action::SendTo { socket, to, bytes: parse_bytes(c)? }
            }
            "sendmany" => {
                let (to, count) = (parse_target(c, names)?, number(c)?);
                let bytes = parse_bytes(c)?;
                if bytes.len() > DATAGRAM_BYTES_MAX {
                    return Err(c.error(format!("expected at most {DATAGRAM_BYTES_MAX} bytes")));
                }
                let segment_bytes = if c.take_word("segments") { number(c)? } else { 0 };
                Action::SendMany { socket, to, count, bytes, segment_bytes }
            }
            "fillto" => Action::FillTo { socket, to: parse_target(c, names)? },
            "recv" => {
                let len_max = number(c)?;
                match parse_flag(c) {
                    Some(flag) => Action::RecvFlag { socket, len_max, flag },
                    None => Action::Recv { socket, len_max },
                }
            }
            "recvfrom" => Action::RecvFrom { socket, len_max: number(c)? },
            _ => Action::RecvMany { socket, count_max: number(c)? },
        })
    };
    is_known.then(&mut parse)
}

/// A call of a [`Kernel`](crate::Kernel) beside sockets and epolls; `None` if it is no such call.
fn parse_other_action(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Option<Result<Action, ParseError>> {
    let mut parse = || {
        Ok(match word {
            "splice" => {
                let (from, into) = (names.open(c)?, names.open(c)?);
                Action::Splice { from, into, len_max: number(c)? }
            }
            "setpipe" => {
                let pipe = names.of(c, "pipe", Kind::Pipe)?;
                Action::SetPipeSize { pipe, bytes: number(c)? }
            }
            "fastest" => Action::Fastest { epoll: names.epoll(c)?, timeout: parse_timeout(c)? },
            "nofile" => Action::Nofile { spare: optional_number(c)? },
            "block" => {
                let place = *c;
                let signals = parse_signals(c)?;
                if [Signal::KILL, Signal::STOP].into_iter().any(|it| signals.contains(it)) {
                    return Err(place.expected("signals that can be blocked: not KILL, not STOP"));
                }
                names.blocked = names.blocked | signals;
                Action::Block { signals }
            }
            _ => {
                let fd = names.define(c, Kind::Signalfd)?;
                Action::Signalfd { fd, signals: parse_signals(c)? }
            }
        })
    };
    matches!(word, "splice" | "setpipe" | "fastest" | "nofile" | "block" | "signalfd")
        .then(&mut parse)
}

/// The address of a socket, or another one with its port: `s0`, `s0 at 127.0.0.2`.
fn parse_target(c: &mut Cursor<'_>, names: &Names) -> Result<Target, ParseError> {
    Ok(Target { name: names.address(c)?, ip: parse_at(c)? })
}

fn parse_at(c: &mut Cursor<'_>) -> Result<Option<Ipv4Addr>, ParseError> {
    if !c.take_word("at") {
        return Ok(None);
    }
    let place = *c;
    c.word().parse().map(Some).map_err(|_| place.expected("an IPv4 address, such as 127.0.0.2"))
}

/// The same for a socket of its own, which may be of IPv6.
fn parse_bind_at(c: &mut Cursor<'_>) -> Result<Option<IpAddr>, ParseError> {
    if !c.take_word("at") {
        return Ok(None);
    }
    let place = *c;
    c.word().parse().map(Some).map_err(|_| place.expected("an IP address, such as 127.0.0.2"))
}

fn parse_flag(c: &mut Cursor<'_>) -> Option<MessageFlag> {
    let flags = [
        ("oob", MessageFlag::OutOfBand),
        ("peek", MessageFlag::Peek),
        ("zerocopy", MessageFlag::ZeroCopy),
    ];
    flags.into_iter().find(|(word, _)| c.take_word(word)).map(|(_, flag)| flag)
}

fn parse_socket(c: &mut Cursor<'_>, names: &mut Names) -> Result<Action, ParseError> {
    let mut ahead = *c;
    ahead.word();
    let (inet, inet6) = (AddressFamily::Inet, AddressFamily::Inet6);
    let unix = AddressFamily::Unix;
    let (family, kind) = one_of(
        &mut ahead,
        &[
            ("tcp", (inet, SocketType::Stream)),
            ("tcp6", (inet6, SocketType::Stream)),
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

fn parse_option(c: &mut Cursor<'_>) -> Result<SocketOption, ParseError> {
    let place = *c;
    let name = parse_option_name(c)?;
    if name == SocketOptionName::LingerSeconds {
        return number(c).map(|seconds| SocketOption::LingerSeconds(Some(seconds)));
    }
    if let Some(option) = parse_multicast(name, c)? {
        return Ok(option);
    }
    let value: u32 = number(c)?;
    let mut bytes = OptionBytes::default();
    bytes[..4].copy_from_slice(&value.to_ne_bytes());
    let is_settable = name.value_bytes() == 4 && name != SocketOptionName::Error;
    name.decode(bytes)
        .filter(|_| is_settable)
        .ok_or_else(|| place.expected("an option whose value is a number"))
}

/// A group, or where it is sent to: on the loopback interface.
fn parse_multicast(
    name: SocketOptionName,
    c: &mut Cursor<'_>,
) -> Result<Option<SocketOption>, ParseError> {
    let option: fn(Ipv4Addr) -> SocketOption = match name {
        SocketOptionName::JoinMulticastV4 => |ip| SocketOption::JoinMulticastV4(on_loopback(ip)),
        SocketOptionName::LeaveMulticastV4 => |ip| SocketOption::LeaveMulticastV4(on_loopback(ip)),
        SocketOptionName::MulticastInterfaceV4 => SocketOption::MulticastInterfaceV4,
        _ => return Ok(None),
    };
    let place = *c;
    let ip = c.word().parse();
    let ip = ip.map_err(|_| place.expected("an IPv4 address, such as 239.1.2.3"))?;
    Ok(Some(option(ip)))
}

const fn on_loopback(group: Ipv4Addr) -> MembershipV4 {
    MembershipV4 { group, interface: Ipv4Addr::LOCALHOST }
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

fn parse_pattern(c: &mut Cursor<'_>, names: &Names) -> Result<Pattern, ParseError> {
    let word = c.peek_word();
    let is_bytes = c.is_at('"') || word == "u64" || word.ends_with('*');
    let value = if is_bytes {
        let bytes = parse_bytes(c)?;
        match c.take_word("from") {
            true if c.take_word("unknown") => Value::From { bytes, name: "unknown".into() },
            true => Value::From { bytes, name: names.reported(c)? },
            false => Value::Bytes(bytes),
        }
    } else if word.starts_with(|c: char| c.is_ascii_digit()) {
        return parse_range(c);
    } else if c.take_word("ok") {
        Value::Done
    } else if c.take_word("nothing") {
        Value::Events(Vec::new())
    } else if c.take_word("blocked") {
        Value::Blocked
    } else if c.take_word("signal") {
        Value::Signal(parse_signal(c)?)
    } else if c.take_word("peer") {
        Value::Peer(names.reported(c)?)
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
