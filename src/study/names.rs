//! The descriptors of an experiment while it is parsed: which exist, and of what kind they are.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::cursor::{Cursor, ParseError};
use super::experiment::Name;
use crate::net::AddressFamily;

/// What a descriptor refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Socket(AddressFamily),
    Epoll,
    Eventfd,
    Pipe,
}

impl Kind {
    pub(super) const fn is_socket(self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

/// Words of the notation that cannot be names.
const RESERVED: [&str; 9] =
    ["nothing", "ok", "error", "since", "else", "people", "or", "u64", "none"];

/// A descriptor that has been created.
#[derive(Debug)]
struct Named {
    name: String,
    kind: Kind,
    is_open: bool,
}

/// Every descriptor so far.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Named>);

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
        if self.0.iter().any(|known| known.name == name) {
            return Err(place.expected(&format!("a new name; '{name}' was used before")));
        }
        self.0.push(Named { name: name.to_string(), kind, is_open: true });
        Ok(self.0.len() - 1)
    }

    /// Takes the name of an open descriptor.
    pub(super) fn open(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "descriptor", |_| true)
    }

    /// Takes the name of an open socket.
    pub(super) fn socket(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "socket", Kind::is_socket)
    }

    /// Takes the name of an open epoll.
    pub(super) fn epoll(&self, cursor: &mut Cursor<'_>) -> Result<Name, ParseError> {
        self.find(cursor, "epoll", |kind| kind == Kind::Epoll)
    }

    /// Takes the name of a descriptor that was registered: it may be closed.
    pub(super) fn reported(&self, cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
        let place = *cursor;
        let name = cursor.word();
        if self.0.iter().any(|known| known.name == name) {
            return Ok(name.to_string());
        }
        Err(place.expected(
            "a result: ok, a number, \"bytes\", an errno, nothing, ?, or a descriptor and its events",
        ))
    }

    pub(super) fn close(&mut self, name: Name) {
        self.0[name].is_open = false;
    }

    pub(super) fn kind(&self, name: Name) -> Kind {
        self.0[name].kind
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0.into_iter().map(|named| named.name).collect()
    }

    fn find(
        &self,
        cursor: &mut Cursor<'_>,
        what: &str,
        fits: impl Fn(Kind) -> bool,
    ) -> Result<Name, ParseError> {
        let place = *cursor;
        let name = cursor.word();
        let fitting = |known: &&Named| known.is_open && fits(known.kind);
        if let Some(at) = self.0.iter().position(|known| known.name == name && fitting(&known)) {
            return Ok(at);
        }
        let open: Vec<&str> =
            self.0.iter().filter(fitting).map(|known| known.name.as_str()).collect();
        let why = if open.is_empty() {
            format!("the name of an open {what}; there is none yet")
        } else {
            format!("the name of an open {what}: {}", open.join(", "))
        };
        Err(place.expected(&why))
    }
}
