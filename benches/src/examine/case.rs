//! A case: what is done, what is right, and why. The cases are in `cases/`.

use super::context::Context;
use super::failure::Checked;
use crate::case::Transport;

/// The transports that a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Tcp,
    Unix,
    /// TCP and Unix.
    Stream,
    Udp,
    /// Every transport.
    All,
}

impl On {
    pub(super) fn includes(self, transport: Transport) -> bool {
        match self {
            Self::Tcp => transport == Transport::Tcp,
            Self::Unix => transport == Transport::Unix,
            Self::Stream => transport != Transport::Udp,
            Self::Udp => transport == Transport::Udp,
            Self::All => true,
        }
    }

    /// For the list of cases.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix",
            Self::Stream => "TCP, Unix",
            Self::Udp => "UDP",
            Self::All => "all",
        }
    }
}

/// What a case does.
pub(super) type Run = Box<dyn Fn(&mut Context<'_>) -> Checked>;

/// One case.
pub(super) struct Case {
    /// A word for `--only`, unique in its class.
    pub(super) name: String,
    /// What belongs together.
    pub(super) class: &'static str,
    /// What a right server does.
    pub(super) right: String,
    /// The document that says so.
    pub(super) because: &'static str,
    pub(super) on: On,
    /// Whether the server must be started here.
    pub(super) needs_process: bool,
    /// Whether the server must serve more than one client at a time.
    pub(super) needs_many: bool,
    pub(super) run: Run,
}

impl Case {
    /// `class/name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.class, self.name)
    }
}

/// A case of streams that needs one client at a time.
pub(super) fn stream(
    name: &str,
    right: &str,
    because: &'static str,
    run: impl Fn(&mut Context<'_>) -> Checked + 'static,
) -> Case {
    Case {
        name: name.to_owned(),
        class: "",
        right: right.to_owned(),
        because,
        on: On::Stream,
        needs_process: false,
        needs_many: false,
        run: Box::new(run),
    }
}

/// A case of streams with several clients at a time.
pub(super) fn many(
    name: &str,
    right: &str,
    because: &'static str,
    run: impl Fn(&mut Context<'_>) -> Checked + 'static,
) -> Case {
    Case { needs_many: true, ..stream(name, right, because, run) }
}

/// A case of datagrams.
pub(super) fn datagrams(
    name: &str,
    right: &str,
    because: &'static str,
    run: impl Fn(&mut Context<'_>) -> Checked + 'static,
) -> Case {
    Case { on: On::Udp, ..stream(name, right, because, run) }
}
