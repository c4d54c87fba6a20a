//! The descriptors of an experiment while it is parsed: which exist, and of what kind they are.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::cursor::{Cursor, ParseError};
use super::experiment::Name;
use crate::kernel::SignalSet;
use crate::net::AddressFamily;

/// What a descriptor refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Socket(AddressFamily),
    Epoll,
    Eventfd,
    Pipe,
    Signalfd,
    Timerfd,
    Inotify,
    Fanotify,
    Pty,
    Uring,
    BpfRing,
    Mounts,
    /// A file, and whatever else has no calls of its own.
    File,
    /// An actor, and no descriptor.
    Thread,
    Process,
}

impl Kind {
    const fn is_actor(self) -> bool {
        matches!(self, Self::Thread | Self::Process)
    }

    pub(super) const fn is_socket(self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

/// Words of the notation that cannot be names.
const RESERVED: [&str; 18] = [
    "nothing", "ok", "error", "since", "else", "people", "or", "u64", "none", "blocked", "signal",
    "peer", "from", "at", "as", "oob", "peek", "unknown",
];

/// A descriptor that has been created.
#[derive(Debug)]
struct Named {
    name: String,
    kind: Kind,
    is_open: bool,
}

/// Every descriptor so far, and every actor.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Named>,
    /// The signals that were blocked.
    pub(super) blocked: SignalSet,
}

impl Names {
    /// Takes a new name.
    pub(super) fn define(
        &mut self,
        cursor: &mut Cursor<'_>,
        kind: Kind,
    ) -> Result<Name, ParseError> {
        let place = *cursor;
        let name = cursor.word();
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !RESERVED.contains(&name);
        if !is_name {
            return Err(place.expected("a new name: a small letter, then letters and digits"));
        }
        if self.names.iter().any(|known| known.name == name) {
            return Err(place.expected(&format!("a new name; '{name}' was used before")));
        }
        self.names.push(Named { name: name.to_string(), kind, is_open: true });
        Ok(self.names.len() - 1)
    }

    /// Takes the name of an open descriptor.
    pub(super) fn open(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "descriptor", &|kind| !kind.is_actor())
    }

    /// Takes the name of an open descriptor of this kind.
    pub(super) fn of(
        &self,
        cursor: &mut Cursor<'_>,
        what: &str,
        wanted: Kind,
    ) -> Result<Name, ParseError> {
        self.find(cursor, what, &|kind| kind == wanted)
    }

    /// Takes the name of an open descriptor that reports changes of files.
    pub(super) fn watcher(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "inotify", &|kind| matches!(kind, Kind::Inotify | Kind::Fanotify))
    }

    /// Takes the name of a socket, whose address is used: it may be closed.
    pub(super) fn address(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find_any(cursor, "socket, open or closed", &|known| known.kind.is_socket())
    }

    /// Takes the name of an actor.
    pub(super) fn actor(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find_any(cursor, "thread or process", &|known| known.kind.is_actor())
    }

    /// Takes the name of a child process.
    pub(super) fn of_process(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find_any(cursor, "process", &|known| known.kind == Kind::Process)
    }

    /// Takes the name of an actor; a new name is a thread.
    pub(super) fn actor_or_thread(&mut self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        let word = cursor.peek_word();
        let is_known = self.names.iter().any(|known| known.name == word && known.kind.is_actor());
        if is_known { self.actor(cursor) } else { self.define(cursor, Kind::Thread) }
    }

    /// Takes the name of an open socket.
    pub(super) fn socket(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "socket", &Kind::is_socket)
    }

    /// Takes the name of an open epoll.
    pub(super) fn epoll(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "epoll", &|kind| kind == Kind::Epoll)
    }

    /// Takes the name of a descriptor that was registered: it may be closed.
    pub(super) fn reported(&self, cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
        let place = *cursor;
        let name = cursor.word();
        if self.names.iter().any(|known| known.name == name) {
            return Ok(name.to_string());
        }
        Err(place.expected(
            "a result: ok, a number, \"bytes\", an errno, nothing, blocked, signal, peer, error, \
             ?, or a descriptor and its events",
        ))
    }

    pub(super) fn close(&mut self, name: Name) {
        self.names[name].is_open = false;
    }

    pub(super) fn kind(&self, name: Name) -> Kind {
        self.names[name].kind
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names.into_iter().map(|named| named.name).collect()
    }

    fn find(
        &self,
        cursor: &mut Cursor<'_>,
        what: &str,
        fits: &dyn Fn(Kind) -> bool,
    ) -> Result<Name, ParseError> {
        self.find_any(cursor, &format!("open {what}"), &|known| known.is_open && fits(known.kind))
    }

    fn find_any(
        &self,
        cursor: &mut Cursor<'_>,
        what: &str,
        fits: &dyn Fn(&Named) -> bool,
    ) -> Result<Name, ParseError> {
        let place = *cursor;
        let name = cursor.word();
        if let Some(at) = self.names.iter().position(|known| known.name == name && fits(known)) {
            return Ok(at);
        }
        let fitting = self.names.iter().filter(|known| fits(known));
        let names: Vec<&str> = fitting.map(|known| known.name.as_str()).collect();
        let article = if what.starts_with('o') { "an" } else { "a" };
        let why = if names.is_empty() {
            format!("the name of {article} {what}; there is none yet")
        } else {
            format!("the name of {article} {what}: {}", names.join(", "))
        };
        Err(place.expected(&why))
    }
}
