//! An experiment as data: what it asks, what it does, and what is expected.
//!
//! Values only. Descriptors are numbered in the order in which their names appear.

use alloc::string::String;
use alloc::vec::Vec;

use super::expectation::{Expectation, Pattern};
use crate::kernel::{Shutdown, SocketOption, SocketOptionName, SocketType};
use crate::net::AddressFamily;
use crate::sim::Version;

/// A question about the kernel, and the calls that answer it.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Experiment {
    /// The question, in one line.
    pub question: String,
    /// How the descriptors are connected: `t0 -(et)- e0 -(in)- s0`, a line for each chain.
    pub wiring: String,
    /// What most people expect.
    pub people: String,
    /// The man page, or the function of the kernel, that explains the result.
    pub because: String,
    /// What to remember.
    pub lesson: String,
    /// The oldest kernel that it can run on.
    pub since: Option<Version>,
    /// The calls, in order.
    pub steps: Vec<ExperimentStep>,
    /// The names of descriptors, in the order in which they appear.
    pub(super) names: Vec<String>,
}

/// One call of an experiment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExperimentStep {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The call, as it is written in the file.
    pub call: String,
    /// What Linux is expected to return. Without an expectation the call must not fail.
    pub expected: Option<Expectation>,
    /// What most people expect, where the experiment asks.
    pub people: Option<Pattern>,
    /// A remark; may be empty.
    pub note: String,
    pub(super) action: Action,
}

/// The place of a name in [`Experiment::names`].
pub(super) type Name = usize;

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Socketpair {
        near: Name,
        far: Name,
        kind: SocketType,
    },
    /// A connection over the loopback interface without Nagle's algorithm.
    Tcp {
        server: Name,
        client: Name,
    },
    Socket {
        socket: Name,
        family: AddressFamily,
        kind: SocketType,
    },
    /// To a port of the loopback interface, or a Unix name, that the kernel chooses.
    Bind {
        socket: Name,
        family: AddressFamily,
    },
    Listen {
        socket: Name,
        backlog: u32,
    },
    Connect {
        socket: Name,
        to: Name,
    },
    Accept {
        listener: Name,
        accepted: Name,
    },
    Epoll {
        epoll: Name,
    },
    Control {
        epoll: Name,
        change: Change,
        target: Name,
    },
    Wait {
        epoll: Name,
        events_max: usize,
    },
    Send {
        socket: Name,
        bytes: Vec<u8>,
    },
    SendTo {
        socket: Name,
        to: Name,
        bytes: Vec<u8>,
    },
    Recv {
        socket: Name,
        len_max: usize,
    },
    Write {
        fd: Name,
        bytes: Vec<u8>,
    },
    Read {
        fd: Name,
        len_max: usize,
    },
    /// Sends or writes until there is no room.
    Fill {
        fd: Name,
        is_socket: bool,
    },
    /// Receives or reads until that many bytes are read, or nothing is left.
    Drain {
        fd: Name,
        is_socket: bool,
        len_max: usize,
    },
    Shutdown {
        socket: Name,
        how: Shutdown,
    },
    Close {
        fd: Name,
    },
    Dup {
        fd: Name,
        copy: Name,
    },
    Eventfd {
        fd: Name,
        initial: u32,
    },
    Pipe {
        reader: Name,
        writer: Name,
    },
    SetOption {
        socket: Name,
        option: SocketOption,
    },
    GetOption {
        socket: Name,
        name: SocketOptionName,
    },
}

/// What an epoll_ctl(2) changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Add(u32),
    Modify(u32),
    Delete,
}

impl Action {
    /// Whether it cannot make packets travel, so that what had arrived before it has arrived after.
    pub(super) const fn is_local(&self) -> bool {
        matches!(self, Self::Epoll { .. } | Self::Control { .. } | Self::Wait { .. })
    }

    /// Whether it makes a socket that sends over the network.
    pub(super) const fn uses_network(&self) -> bool {
        match self {
            Self::Tcp { .. } => true,
            Self::Socket { family, .. } => !matches!(family, AddressFamily::Unix),
            _ => false,
        }
    }
}
