//! The notation of calls that a [`Kernel`](crate::Kernel) lacks: devices, signals, other threads
//! and processes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::cursor::{Cursor, ParseError};
use super::experiment::{Action, ActorAction, DeviceAction, Name};
use super::literals::{number, one_of, optional_number, parse_bytes, parse_signal};
use super::names::{Kind, Names};
use crate::kernel::{Access, DeviceOption, Signal};
use crate::net::AddressFamily;

/// Events of a wait that does not say how many it takes.
const EVENTS_DEFAULT: usize = 8;

/// The calls, as an error lists them.
pub(super) const DEVICE_CALLS: &str = "raise, timerfd, settime, file, open, fifo, reopen, pty, \
                                       ptypeer, inotify, watch, sendfd, recvfd, errqueue, inq, \
                                       atmark, ptrace, fork, kill, pidfd, reap, or @THREAD and \
                                       wait, poll or join";

/// Signals that do nothing unless they are handled.
const HARMLESS: [Signal; 2] = [Signal::URG, Signal::WINCH];

/// A call of a device; `None` if it is no such call.
pub(super) fn parse_device_action(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Option<Result<Action, ParseError>> {
    let action = match word {
        "fork" | "kill" | "pidfd" | "reap" => {
            return Some(parse_process(word, c, names).map(Action::Actor));
        }
        "raise" => parse_raise(c, names),
        "timerfd" => names.define(c, Kind::Timerfd).map(|fd| DeviceAction::Timerfd { fd }),
        "settime" => parse_settime(c, names),
        "file" => names.define(c, Kind::File).map(|fd| DeviceAction::Tmpfile { fd }),
        "fifo" => names.define(c, Kind::Pipe).map(|fd| DeviceAction::Fifo { fd }),
        "pty" => names.define(c, Kind::Pty).map(|fd| DeviceAction::Pty { fd }),
        "inotify" => names.define(c, Kind::Inotify).map(|fd| DeviceAction::Inotify { fd }),
        "open" | "reopen" | "ptypeer" | "watch" => parse_file(word, c, names),
        "sendfd" | "recvfd" | "errqueue" | "atmark" => parse_socket(word, c, names),
        "inq" => names.open(c).map(|fd| DeviceAction::InQueue { fd }),
        "ptrace" => Ok(DeviceAction::PtraceFactor),
        _ => return None,
    };
    Some(action.map(Action::Device))
}

/// A signal that cannot end the program.
fn parse_raise(c: &mut Cursor<'_>, names: &Names) -> Result<DeviceAction, ParseError> {
    let place = *c;
    let signal = parse_signal(c)?;
    if !names.blocked.contains(signal) && !HARMLESS.contains(&signal) {
        return Err(place.expected("a signal that was blocked before, URG or WINCH"));
    }
    Ok(DeviceAction::Raise { signal })
}

/// `settime f0 1 5`: in milliseconds.
fn parse_settime(c: &mut Cursor<'_>, names: &Names) -> Result<DeviceAction, ParseError> {
    let fd = names.of(c, "timerfd", Kind::Timerfd)?;
    let first = Duration::from_millis(number::<u32>(c)?.into());
    let interval = optional_number::<u32>(c)?.unwrap_or(0);
    Ok(DeviceAction::Settime { fd, first, interval: Duration::from_millis(interval.into()) })
}

fn parse_file(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Result<DeviceAction, ParseError> {
    Ok(match word {
        "open" => {
            let fd = names.define(c, Kind::File)?;
            let place = *c;
            let bytes = c.quoted()?;
            let path = String::from_utf8(bytes).ok();
            let path = path.filter(|path| path.starts_with('/') && !path.contains('\0'));
            let path = path.ok_or_else(|| place.expected("a path that begins with /"))?;
            DeviceAction::Open { fd, path }
        }
        "reopen" => {
            let from = names.open(c)?;
            let fd = names.define(c, names.kind(from))?;
            let access = one_of(c, &[("read", Access::Read), ("write", Access::Write)])?;
            DeviceAction::Reopen { from, fd, access }
        }
        "ptypeer" => {
            let master = names.of(c, "pty", Kind::Pty)?;
            DeviceAction::PtyPeer { master, fd: names.define(c, Kind::File)? }
        }
        _ => {
            let inotify = names.of(c, "inotify", Kind::Inotify)?;
            DeviceAction::Watch { inotify, file: names.open(c)? }
        }
    })
}

fn parse_socket(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Result<DeviceAction, ParseError> {
    let socket = names.socket(c)?;
    Ok(match word {
        "sendfd" => {
            let passed = names.open(c)?;
            DeviceAction::SendRights { socket, passed, bytes: parse_bytes(c)? }
        }
        "recvfd" => {
            let len_max = number(c)?;
            let unix = Kind::Socket(AddressFamily::Unix);
            DeviceAction::RecvRights { socket, len_max, fd: names.define(c, unix)? }
        }
        "errqueue" => DeviceAction::ErrorQueue { socket },
        _ => DeviceAction::AtMark { socket },
    })
}

/// An option that is a device's; another one stays.
pub(super) fn parse_device_option(c: &mut Cursor<'_>) -> Option<DeviceOption> {
    DeviceOption::ALL.into_iter().find(|option| c.take_word(option.c_names().1))
}

fn parse_process(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Result<ActorAction, ParseError> {
    match word {
        "fork" => Ok(ActorAction::Fork { actor: names.define(c, Kind::Process)? }),
        "kill" => {
            let actor = names.actor(c)?;
            let place = *c;
            let signal = parse_signal(c)?;
            let fitting: &[Signal] = match names.kind(actor) {
                Kind::Thread => &HARMLESS,
                _ => &[Signal::STOP, Signal::CONT, Signal::KILL],
            };
            if fitting.contains(&signal) {
                return Ok(ActorAction::Kill { actor, signal });
            }
            let fitting: Vec<_> = fitting.iter().filter_map(|signal| signal.name()).collect();
            Err(place.expected(&format!("one of {}", fitting.join(", "))))
        }
        "pidfd" => {
            let fd = names.define(c, Kind::File)?;
            Ok(ActorAction::Pidfd { actor: names.of_process(c)?, fd })
        }
        _ => Ok(ActorAction::Reap { actor: names.of_process(c)? }),
    }
}

/// What is behind the `@`: `w1 wait e0`, `w1 poll e0`, `w1 join`.
pub(super) fn parse_actor_step(
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Result<Action, ParseError> {
    let mut ahead = *c;
    ahead.word();
    let is_join = ahead.peek_word() == "join";
    let actor = if is_join { names.actor(c)? } else { names.actor_or_thread(c)? };
    let place = *c;
    let action = match c.word() {
        word @ ("wait" | "poll") => {
            let (epoll, events_max) = parse_wait(c, names)?;
            ActorAction::Begin { actor, epoll, events_max, blocks: word == "wait" }
        }
        "join" => ActorAction::End { actor },
        _ => return Err(place.expected("one of wait, poll, join")),
    };
    Ok(Action::Actor(action))
}

/// What is behind `wait` or `poll`: an epoll, and how many events it takes.
pub(super) fn parse_wait(c: &mut Cursor<'_>, names: &Names) -> Result<(Name, usize), ParseError> {
    let epoll = names.epoll(c)?;
    Ok((epoll, optional_number(c)?.unwrap_or(EVENTS_DEFAULT)))
}
