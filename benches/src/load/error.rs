//! Why a load failed: before its time, or because its time brought nothing. Each is one line for the reader and one exit code.

use std::fmt;

use epollite::{Errno, RegisterErrorKind};

use super::config::Target;
use super::mismatch::Mismatch;

/// What a load failed of. The results so far are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadError {
    /// Nobody answers where the server should be.
    ConnectFailed {
        /// Where that is.
        target: Target,
        /// What the kernel says.
        errno: Errno,
    },
    /// The connection would be one of a socket with itself: our own port is the one that was asked
    /// for, so no server has it.
    Itself {
        /// Where the server should be.
        target: Target,
    },
    /// A connection is neither established nor refused.
    Unanswered {
        /// Where the server should be.
        target: Target,
        /// How long that was waited for.
        seconds: f64,
    },
    /// The server closed a connection that is still wanted.
    Closed {
        /// Which.
        connection: u32,
        /// After so many bytes had come back.
        offset: u64,
        /// How many messages were still outstanding.
        outstanding: u64,
        /// How, when not in peace.
        errno: Option<Errno>,
    },
    /// Answers are outstanding and none comes, on any connection.
    Stalled {
        /// How long none came.
        seconds: f64,
        /// How many are outstanding.
        outstanding: u64,
        /// The connection that has waited longest.
        connection: u32,
    },
    /// All datagrams were lost, in a run too short to call it a stall.
    NoResponse {
        /// How many were given up.
        lost: u64,
    },
    /// This machine refused to send any datagram for so long, or all of a short run.
    Unsendable {
        /// How many.
        refused: u64,
        /// What the kernel says of the last one.
        errno: Errno,
    },
    /// Datagrams of this length cannot be sent from here.
    TooLong {
        /// Bytes of one.
        bytes: usize,
        /// Whether the kernel was to cut them (`UDP_SEGMENT`), which it does into whole packets only.
        is_segmented: bool,
    },
    /// Something came back other than it was sent.
    Mismatch(Mismatch),
    /// More descriptors are needed than there may be.
    Descriptors {
        /// So many.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// No free port is left to connect from.
    Ports {
        /// How many sockets there were.
        sockets: u32,
    },
    /// A rate so far above what the server can do that the messages that wait fill the memory.
    Backlog {
        /// How many wait.
        waiting: u64,
    },
    /// A call of ours failed.
    Call {
        /// Which.
        call: &'static str,
        /// How.
        errno: Errno,
    },
}

impl LoadError {
    /// 1 when the echo was wrong; 69 (`EX_UNAVAILABLE`) when there was none to judge.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Mismatch(_) => 1,
            _ => 69,
        }
    }

    /// Whether nobody was there at all: another address may have somebody.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::ConnectFailed { .. } | Self::Itself { .. } | Self::Unanswered { .. })
    }

    /// A registration that the reactor refused, for `map_err`.
    pub(super) fn epoll_ctl(reason: RegisterErrorKind) -> Self {
        Self::Call { call: "epoll_ctl", errno: reason.into() }
    }

    /// A call of ours that failed, for `map_err`.
    pub(super) const fn call(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Call { call, errno }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailed { target, errno } => {
                write!(f, "no server at {target}: {}", errno.description())
            }
            Self::Itself { target } => {
                write!(f, "no server at {target}: connected to itself")
            }
            Self::Unanswered { target, seconds } => {
                write!(f, "no server at {target}: no connection after {seconds:.1} s")
            }
            Self::Closed { connection, offset, outstanding, errno } => {
                let how = if errno.is_some() { "broke" } else { "closed" };
                write!(
                    f,
                    "the server {how} connection {connection} after {offset} bytes, \
                     with {outstanding} messages outstanding"
                )?;
                errno.map_or(Ok(()), |errno| write!(f, ": {}", errno.description()))
            }
            Self::Stalled { seconds, outstanding: 0, connection } => {
                write!(f, "the server does not close connection {connection} for {seconds:.1} s")
            }
            Self::Stalled { seconds, outstanding, connection } => write!(
                f,
                "the server stopped echoing: {outstanding} messages are outstanding and none has come for \
                 {seconds:.1} s; connection {connection} waits longest"
            ),
            Self::NoResponse { lost } => {
                write!(f, "nothing came back in time: {lost} of {lost} messages are lost")
            }
            Self::Unsendable { refused, errno } => write!(
                f,
                "this machine refused to send {refused} datagrams, and none came back: {}",
                errno.description()
            ),
            Self::TooLong { bytes, is_segmented: true } => write!(
                f,
                "with --gso a datagram must fit into one packet, and {bytes} bytes do not: take \
                 fewer, or leave out --gso"
            ),
            Self::TooLong { bytes, is_segmented: false } => {
                write!(f, "datagrams of {bytes} bytes are too long to be sent from here")
            }
            Self::Mismatch(mismatch) => mismatch.fmt(f),
            Self::Descriptors { needed, limit } => write!(
                f,
                "{needed} descriptors are needed and the limit is {limit}; raise it (ulimit -Hn) \
                 or take fewer connections"
            ),
            Self::Ports { sockets } => write!(
                f,
                "no free port is left to connect from, after {sockets} sockets; widen \
                 net.ipv4.ip_local_port_range or take fewer"
            ),
            Self::Backlog { waiting } => write!(
                f,
                "{waiting} messages wait to be sent: the server is far too slow for this rate"
            ),
            Self::Call { call, errno } => write!(f, "{call}: {}", errno.description()),
        }
    }
}

impl std::error::Error for LoadError {}

/// Whether an error of a socket is of this machine: no other one, nor the way there, has a part in it.
pub(super) const fn is_ours(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EPERM
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::EINVAL
            | Errno::EMSGSIZE
            | Errno::EAFNOSUPPORT
            | Errno::EOPNOTSUPP
            | Errno::EIO
    )
}

/// An error of a call that the library has no verb for.
pub(super) fn from_os(errno: nix::errno::Errno) -> Errno {
    Errno::new(errno as i32).unwrap_or(Errno::EIO)
}

impl From<Mismatch> for LoadError {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}
