//! Socket activation: the sockets that a service manager passes to the program. They are the
//! descriptors from 3 on, announced by `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
//!
//! Knows sockets by their descriptors, and no service manager. Man page: sd_listen_fds(3)

use std::env;
use std::os::fd::{AsFd, OwnedFd};

use epollite::kernel::{SocketOption, SocketType, close_quietly};
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use crate::exit::CliError;
use crate::listen::{BoundSocket, Place, socket_address};
use crate::models::{SocketState, adopt_descriptor, socket_state};

/// The first passed descriptor: `SD_LISTEN_FDS_START`.
const FIRST: u32 = 3;

/// The most sockets that are taken. A server has at most 1024 registrations besides its
/// connections, and this leaves most of them free.
const SOCKETS_MAX: u32 = 256;

/// The name of a socket without one: sd_listen_fds_with_names(3).
const UNNAMED: &str = "unknown";

/// Takes the passed sockets with one of these names (`None`: all of them), and closes the others.
/// To be called before the program opens a descriptor of its own, which could have the number of
/// one that was announced and not passed.
///
/// # Errors
/// One line: nothing was passed, or not to this process; no socket has such a name; a descriptor is
/// not open, or no socket that can be served.
pub(crate) fn take(wanted: &[Option<String>]) -> Result<Vec<Place>, CliError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    check_process()?;
    let count = count()?;
    let names = names(count)?;
    let is_name = |name: &&String| names.iter().any(|other| other == *name);
    if let Some(name) = wanted.iter().flatten().find(|name| !is_name(name)) {
        let names = names.join(":");
        return Err(failure(&format!("no socket has the name '{name}', but {names}")));
    }
    let is_wanted = |name: &String| {
        wanted.iter().any(|wanted| wanted.as_ref().is_none_or(|wanted| wanted == name))
    };
    let mut places = Vec::new();
    for (number, name) in (FIRST..).zip(&names) {
        let shown = format!("descriptor {number} ({name})");
        let raw = i32::try_from(number).unwrap_or(i32::MAX);
        let passed = adopt_descriptor(raw)
            .map_err(|errno| failure(&format!("{shown} was not passed: {errno}")))?;
        if is_wanted(name) {
            let bound = inspect(passed).map_err(|why| failure(&format!("{shown} {why}")))?;
            places.push(Place::Open(bound));
        }
    }
    Ok(places)
}

fn failure(why: &str) -> CliError {
    // A name may hold any character; an error is one line.
    let why: String = why.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    CliError::new(CliError::UNAVAILABLE, format!("--listen-fds: {why}"))
}

/// A variable as text; bytes that are not are replaced, and then match nothing.
fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn number_in(name: &str) -> Result<u32, CliError> {
    let text = variable(name)
        .ok_or_else(|| failure(&format!("{name} is not set: no service manager passed sockets")))?;
    text.parse().map_err(|_| failure(&format!("{name}={text} is not a number")))
}

/// The variables are inherited, the descriptors are for one process.
fn check_process() -> Result<(), CliError> {
    let (meant, own) = (number_in("LISTEN_PID")?, std::process::id());
    if meant != own {
        let why = format!("LISTEN_PID={meant}: the sockets are for another process than {own}");
        return Err(failure(&why));
    }
    Ok(())
}

fn count() -> Result<u32, CliError> {
    match number_in("LISTEN_FDS")? {
        0 => Err(failure("LISTEN_FDS=0: no socket was passed")),
        count if count > SOCKETS_MAX => {
            Err(failure(&format!("LISTEN_FDS={count} is more than {SOCKETS_MAX}")))
        }
        count => Ok(count),
    }
}

/// A name for each of `count` sockets.
fn names(count: u32) -> Result<Vec<String>, CliError> {
    let Some(text) = variable("LISTEN_FDNAMES") else {
        return Ok((0..count).map(|_| UNNAMED.to_owned()).collect());
    };
    let names: Vec<String> = text.split(':').map(str::to_owned).collect();
    if names.len() != count as usize {
        let why = format!("LISTEN_FDNAMES={text} has {} names for {count} sockets", names.len());
        return Err(failure(&why));
    }
    Ok(names)
}

/// Finds out what a socket from elsewhere is, and makes it non-blocking. Connections get the same
/// options as those of a listener that is bound here.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence.
pub(crate) fn inspect(passed: OwnedFd) -> Result<BoundSocket, String> {
    let state = socket_state(passed.as_fd()).map_err(|errno| match errno {
        Errno::ENOTSOCK => "is not a socket".to_owned(),
        errno => format!("cannot be examined: getsockopt: {errno}"),
    })?;
    let fd = Fd::from(passed);
    let transport = Linux
        .getsockname(&fd)
        .map_err(|errno| format!("has no address: getsockname: {errno}"))
        .and_then(|name| Ok((transport(state, &name)?, name)));
    match transport {
        Ok((transport, name)) => {
            if transport == "tcp" {
                let options = [
                    SocketOption::NoDelay(true),
                    SocketOption::KeepAlive(true),
                    SocketOption::OutOfBandInline(true),
                ];
                // They make answers prompt; without them the server is right, too.
                options.into_iter().for_each(|option| _ = Linux.setsockopt(&fd, option));
            }
            Ok(BoundSocket { fd, transport, address: socket_address(&name), file: None })
        }
        Err(why) => {
            close_quietly(&mut Linux, fd);
            Err(why)
        }
    }
}

fn transport(state: SocketState, name: &Addr) -> Result<&'static str, String> {
    match (state.kind, name) {
        (Some(SocketType::Stream), _) if !state.is_listening => {
            Err("is a stream socket that does not listen (Accept=yes in its unit?)".into())
        }
        (Some(SocketType::Stream), Addr::V4(_) | Addr::V6(_)) => Ok("tcp"),
        (Some(SocketType::Stream), Addr::Unix(_)) => Ok("unix"),
        (Some(SocketType::Datagram), Addr::V4(_) | Addr::V6(_)) => Ok("udp"),
        (Some(SocketType::Datagram), Addr::Unix(_)) => Ok("unix-datagram"),
        (Some(SocketType::SeqPacket), _) => Err("is a socket of sequenced packets".into()),
        _ => Err("is a socket of another kind than TCP, UDP and Unix".into()),
    }
}
