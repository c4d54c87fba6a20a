//! The notation of calls that a [`Kernel`](crate::Kernel) lacks: devices, signals, other threads
//! and processes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::cursor::{Cursor, ParseError};
use super::experiment::{Action, ActorAction, DeviceAction, Name, Timeout};
use super::literals::{number, one_of, optional_number, parse_bytes, parse_signal, parse_timeout};
use super::names::{Kind, Names};
use crate::kernel::{Access, BadAddress, ChildRole, Device, DeviceOption, IoctlRequest, Signal};
use crate::net::AddressFamily;

/// Events of a wait that does not say how many it takes.
const EVENTS_DEFAULT: usize = 8;

/// The calls, as an error lists them.
pub(super) const DEVICE_CALLS: &str = "raise, handle, timerfd, settime, file, open, fifo, reopen, \
                                       pty, ptypeer, inotify, fanotify, watch, uring, queue, \
                                       enter, perf, bpfring, output, mounts, bindmount, peerpid, \
                                       sendfd, recvfd, errqueue, errcode, inq, atmark, ioctl, \
                                       setfl, readnow, optlen, waitat, pwait, ptrace, fork, \
                                       seccomp, peer, kill, pidfd, reap, or @THREAD and wait, \
                                       poll, recvmmsg or join";

/// The words that create a descriptor of nothing else.
const DEVICES: [(&str, Device, Kind); 9] = [
    ("timerfd", Device::Timer, Kind::Timerfd),
    ("file", Device::Tmpfile, Kind::File),
    ("fifo", Device::Fifo, Kind::Pipe),
    ("pty", Device::Pty, Kind::Pty),
    ("inotify", Device::Inotify, Kind::Inotify),
    ("fanotify", Device::Fanotify, Kind::Fanotify),
    ("uring", Device::IoUring, Kind::Uring),
    ("perf", Device::PerfEvent, Kind::File),
    ("bpfring", Device::BpfRing, Kind::BpfRing),
];

/// Signals that do nothing unless they are handled.
const HARMLESS: [Signal; 2] = [Signal::URG, Signal::WINCH];

/// A call of a device; `None` if it is no such call.
pub(super) fn parse_device_action(
    word: &str,
    c: &mut Cursor<'_>,
    names: &mut Names,
) -> Option<Result<Action, ParseError>> {
    let created = DEVICES.iter().find(|(name, ..)| *name == word);
    if let Some(&(_, device, kind)) = created {
        let fd = names.define(c, kind);
        return Some(fd.map(|fd| Action::Device(DeviceAction::Create { fd, device, of: None })));
    }
    let action = match word {
        "fork" | "seccomp" | "peer" | "kill" | "pidfd" | "reap" => {
            return Some(parse_process(word, c, names).map(Action::Actor));
        }
        "raise" | "handle" => parse_signal_call(word, c, names),
        "settime" => parse_settime(c, names),
        "open" | "reopen" | "ptypeer" | "mounts" | "watch" => parse_file(word, c, names),
        "sendfd" | "recvfd" | "errqueue" | "errcode" | "atmark" | "optlen" | "peerpid" => {
            parse_socket(word, c, names)
        }
        "queue" | "enter" | "output" | "bindmount" => parse_ring(word, c, names),
        "waitat" | "pwait" => parse_odd_wait(word, c, names),
        "inq" | "ioctl" | "setfl" | "readnow" => parse_any(word, c, names),
        "ptrace" => Ok(DeviceAction::PtraceFactor),
        _ => return None,
    };
    Some(action.map(Action::Device))
}

/// A signal that cannot end the program; a handler is for those that do nothing.
fn parse_signal_call(
    word: &str,
    c: &mut Cursor<'_>,
    names: &Names,
) -> Result<DeviceAction, ParseError> {
    let place = *c;
    let signal = parse_signal(c)?;
    if word == "handle" {
        let is_harmless = HARMLESS.contains(&signal);
        let handled = is_harmless.then_some(DeviceAction::Handle { signal });
        return handled.ok_or_else(|| place.expected("URG or WINCH"));
    }
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
            let master = Some(names.of(c, "pty", Kind::Pty)?);
            let fd = names.define(c, Kind::File)?;
            DeviceAction::Create { fd, device: Device::PtyPeer, of: master }
        }
        "mounts" => {
            let fd = names.define(c, Kind::Mounts)?;
            DeviceAction::Create { fd, device: Device::Mounts, of: None }
        }
        _ => {
            let into = names.watcher(c)?;
            let is_fanotify = names.kind(into) == Kind::Fanotify;
            DeviceAction::Watch { into, file: names.open(c)?, is_fanotify }
        }
    })
}

/// What is put into a ring, or into a list of mounts.
fn parse_ring(word: &str, c: &mut Cursor<'_>, names: &Names) -> Result<DeviceAction, ParseError> {
    Ok(match word {
        "queue" => DeviceAction::RingQueue { ring: names.of(c, "io_uring", Kind::Uring)? },
        "enter" => DeviceAction::RingEnter { ring: names.of(c, "io_uring", Kind::Uring)? },
        "output" => DeviceAction::BpfOutput { ring: names.of(c, "BPF ring", Kind::BpfRing)? },
        _ => DeviceAction::BindMount { mounts: names.of(c, "list of mounts", Kind::Mounts)? },
    })
}

/// `waitat e0 null 8`, `pwait e0 100ms`.
fn parse_odd_wait(
    word: &str,
    c: &mut Cursor<'_>,
    names: &Names,
) -> Result<DeviceAction, ParseError> {
    let epoll = names.epoll(c)?;
    if word == "waitat" {
        let address = one_of(c, &[("null", BadAddress::Null), ("kernel", BadAddress::Kernel)])?;
        return Ok(DeviceAction::WaitAt { epoll, address, events_max: number(c)? });
    }
    Ok(DeviceAction::Pwait { epoll, millis: parse_millis(c)? })
}

/// `50ms`.
fn parse_millis(c: &mut Cursor<'_>) -> Result<u32, ParseError> {
    let place = *c;
    match parse_timeout(c) {
        Ok(Timeout::Millis(millis)) => Ok(millis),
        _ => Err(place.expected("a timeout up to 100ms")),
    }
}

/// A call on a descriptor of any kind.
fn parse_any(word: &str, c: &mut Cursor<'_>, names: &Names) -> Result<DeviceAction, ParseError> {
    let fd = names.open(c)?;
    Ok(match word {
        "inq" => DeviceAction::Ioctl { fd, request: IoctlRequest::InQueue, value: 0 },
        "ioctl" => {
            let requests = IoctlRequest::NAMED.map(|request| (request.c_name(), request));
            let request = one_of(c, &requests)?;
            DeviceAction::Ioctl { fd, request, value: optional_number(c)?.unwrap_or(0) }
        }
        "setfl" => {
            let flags = [("blocking", false), ("nonblocking", true)];
            DeviceAction::SetFlags { fd, is_nonblocking: one_of(c, &flags)? }
        }
        _ => DeviceAction::ReadNowait { fd, len_max: number(c)? },
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
        "errqueue" | "errcode" => DeviceAction::ErrorQueue { socket, is_code: word == "errcode" },
        "optlen" => {
            let place = *c;
            let name = parse_device_option(c);
            let name = name.ok_or_else(|| place.expected("a socket option, such as TCP_INFO"))?;
            DeviceAction::OptionLen { socket, name }
        }
        "peerpid" => {
            let fd = names.define(c, Kind::File)?;
            DeviceAction::Create { fd, device: Device::PeerProcess, of: Some(socket) }
        }
        _ => DeviceAction::Ioctl { fd: socket, request: IoctlRequest::AtMark, value: 0 },
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
        "seccomp" | "peer" => {
            let actor = names.define(c, Kind::Process)?;
            let (role, kind) = match word {
                "peer" => (ChildRole::Peer, Kind::Socket(AddressFamily::Unix)),
                _ => (ChildRole::Notifying, Kind::File),
            };
            Ok(ActorAction::ForkWith { actor, fd: names.define(c, kind)?, role })
        }
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
        "recvmmsg" => {
            let (socket, messages_max) = (names.socket(c)?, number(c)?);
            ActorAction::BeginReceive { actor, socket, messages_max, millis: parse_millis(c)? }
        }
        "join" => ActorAction::End { actor },
        _ => return Err(place.expected("one of wait, poll, recvmmsg, join")),
    };
    Ok(Action::Actor(action))
}

/// What is behind `wait` or `poll`: an epoll, and how many events it takes.
pub(super) fn parse_wait(c: &mut Cursor<'_>, names: &Names) -> Result<(Name, usize), ParseError> {
    let epoll = names.epoll(c)?;
    Ok((epoll, optional_number(c)?.unwrap_or(EVENTS_DEFAULT)))
}
