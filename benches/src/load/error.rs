//! Why a load failed: before its end, or because nothing came back. Each error is one line of text
//! and one exit code.

use std::fmt;

use epollite::Errno;
use epollite::reactor::RegisterErrorKind;

use super::config::Target;
use super::mismatch::Mismatch;

/// A result of a load.
pub type Result<T, E = LoadError> = std::result::Result<T, E>;

/// The error that ended a load. The results so far are kept.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// No server answers at the target.
    #[error("no server at {target}: {}", .errno.description())]
    ConnectFailed {
        /// The target.
        target: Target,
        /// The error of connect(2).
        errno: Errno,
    },
    /// The socket was connected to itself: the kernel chose the target port as the local port, so
    /// no server has it.
    #[error("no server at {target}: connected to itself")]
    Itself {
        /// The target.
        target: Target,
    },
    /// A connection was neither established nor refused.
    #[error("no server at {target}: no connection after {seconds:.1} s")]
    Unanswered {
        /// The target.
        target: Target,
        /// How long it was waited for.
        seconds: f64,
    },
    /// The server closed a connection that was still in use.
    #[error(fmt = closed)]
    Closed {
        /// Index of the connection.
        connection: u32,
        /// How many bytes had been received.
        offset: u64,
        /// Number of outstanding messages.
        outstanding: u64,
        /// The error, unless it was an orderly close.
        errno: Option<Errno>,
    },
    /// Responses are outstanding and none arrives, on any connection.
    #[error(fmt = stalled)]
    Stalled {
        /// Time since the last response.
        seconds: f64,
        /// Number of outstanding messages.
        outstanding: u64,
        /// The connection that has waited longest.
        connection: u32,
    },
    /// All datagrams were lost, in a run too short to call it a stall.
    #[error("no response in time: {lost} of {lost} messages are lost")]
    NoResponse {
        /// Number of lost messages.
        lost: u64,
    },
    /// This machine refused to send any datagram for the stall timeout, or all of a short run.
    #[error(
        "this machine refused to send {refused} datagrams, and no response was received: {}",
        .errno.description()
    )]
    Unsendable {
        /// Number of refused datagrams.
        refused: u64,
        /// The error of the last one.
        errno: Errno,
    },
    /// Datagrams of this length cannot be sent from here.
    #[error(fmt = too_long)]
    TooLong {
        /// Bytes per datagram.
        bytes: usize,
        /// Whether the kernel was to segment them (`UDP_SEGMENT`), which requires each to fit into
        /// one packet.
        is_segmented: bool,
    },
    /// The echo differs from what was sent.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// More descriptors are needed than the hard limit allows.
    #[error(
        "{needed} descriptors are needed and the limit is {limit}; raise it (ulimit -Hn) or use \
         fewer connections"
    )]
    Descriptors {
        /// Number needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// No free port is left to connect from.
    #[error(
        "no free source port after {sockets} sockets; widen net.ipv4.ip_local_port_range or use \
         fewer connections"
    )]
    Ports {
        /// Number of sockets opened before.
        sockets: u32,
    },
    /// The rate is so far above the server's capacity that the queue of unsent messages fills the
    /// memory.
    #[error("{waiting} messages are queued to be sent: the server is far too slow for this rate")]
    Backlog {
        /// Number of queued messages.
        waiting: u64,
    },
    /// A system call failed locally.
    #[error("{call}: {}", .errno.description())]
    Call {
        /// Name of the call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
}

impl LoadError {
    /// 1 when the echo was wrong; 69 (`EX_UNAVAILABLE`) otherwise.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Mismatch(_) => 1,
            _ => 69,
        }
    }

    /// Whether no server was found: another address of the name may have one.
    pub(crate) const fn is_no_server(&self) -> bool {
        matches!(self, Self::ConnectFailed { .. } | Self::Itself { .. } | Self::Unanswered { .. })
    }

    /// A registration that the reactor rejected, for `map_err`.
    pub(super) fn epoll_ctl(reason: RegisterErrorKind) -> Self {
        Self::Call { call: "epoll_ctl", errno: reason.into() }
    }

    /// A system call that failed, for `map_err`.
    pub(super) const fn call(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Call { call, errno }
    }
}

fn closed(
    connection: &u32,
    offset: &u64,
    outstanding: &u64,
    errno: &Option<Errno>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let rest = format!("after {offset} bytes, with {outstanding} messages outstanding");
    match errno {
        None => write!(f, "the server closed connection {connection} {rest}"),
        Some(errno) => write!(f, "connection {connection} failed {rest}: {}", errno.description()),
    }
}

fn stalled(
    seconds: &f64,
    outstanding: &u64,
    connection: &u32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match outstanding {
        0 => write!(f, "the server has not closed connection {connection} for {seconds:.1} s"),
        _ => write!(
            f,
            "the server stopped echoing: {outstanding} messages are outstanding and none was \
             received for {seconds:.1} s; connection {connection} has waited longest"
        ),
    }
}

fn too_long(bytes: &usize, is_segmented: &bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if *is_segmented {
        f.write_str("with --gso a datagram must fit into one packet, and ")?;
        return write!(f, "{bytes} bytes do not: use fewer, or omit --gso");
    }
    write!(f, "datagrams of {bytes} bytes are too long to be sent from here")
}

/// Whether an error of a socket is local: caused by this machine, not by the network or the peer.
pub(super) const fn is_local(errno: Errno) -> bool {
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

/// Converts the error of a call that the library does not provide.
pub(super) fn from_os(errno: nix::errno::Errno) -> Errno {
    Errno::new(errno as i32).unwrap_or(Errno::EIO)
}
