//! An experiment as data: what it asks, what it does, and what is expected.
//!
//! Values only. Descriptors are numbered in the order in which their names appear.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use super::expectation::{Expectation, Pattern};
use crate::kernel::{
    Access, BadAddress, ChildRole, Device, DeviceOption, IoctlRequest, MessageFlag, Shutdown,
    Signal, SignalSet, SocketOption, SocketOptionName, SocketType,
};
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
    /// The place of this crate that relies on the result, as `src/file.rs: function`.
    pub depends: Option<String>,
    /// Why the model cannot run it, though it has the calls.
    pub unmodelled: Option<String>,
    /// The oldest kernel that it can run on.
    pub since: Option<Version>,
    /// The calls, in order.
    pub steps: Vec<ExperimentStep>,
    /// The names of descriptors, in the order in which they appear.
    pub(super) names: Vec<String>,
}

impl Experiment {
    /// The names of its descriptors, in the order in which they appear: an event of its waits
    /// carries the place of a name. Cost: O(1).
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// One call of an experiment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExperimentStep {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The thread or process that makes the call: `w1` of `@w1 wait e0`. `None` is the one that
    /// runs the experiment.
    pub actor: Option<String>,
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
    Bind {
        socket: Name,
        place: Place,
    },
    Listen {
        socket: Name,
        backlog: u32,
    },
    Connect {
        socket: Name,
        to: Target,
    },
    /// Connects as many clients, which stay open and have no names.
    Clients {
        listener: Name,
        count: u32,
    },
    /// Accepts until none is left, and closes what was accepted.
    AcceptAll {
        listener: Name,
    },
    GetPeer {
        socket: Name,
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
        to: Target,
        bytes: Vec<u8>,
    },
    SendFlag {
        socket: Name,
        bytes: Vec<u8>,
        flag: MessageFlag,
    },
    /// Equal datagrams in one call; with a length of segments, each is cut by the kernel.
    SendMany {
        socket: Name,
        to: Target,
        count: usize,
        bytes: Vec<u8>,
        segment_bytes: u16,
    },
    Recv {
        socket: Name,
        len_max: usize,
    },
    RecvFlag {
        socket: Name,
        len_max: usize,
        flag: MessageFlag,
    },
    RecvFrom {
        socket: Name,
        len_max: usize,
    },
    RecvMany {
        socket: Name,
        count_max: usize,
    },
    Splice {
        from: Name,
        into: Name,
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
    /// Sends datagrams of one byte to an address until there is no room.
    FillTo {
        socket: Name,
        to: Target,
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
    SetPipeSize {
        pipe: Name,
        bytes: usize,
    },
    OutQueue {
        socket: Name,
    },
    SetOption {
        socket: Name,
        option: SocketOption,
    },
    GetOption {
        socket: Name,
        name: SocketOptionName,
    },
    /// How long the fastest of several waits takes, in microseconds.
    Fastest {
        epoll: Name,
        timeout: Timeout,
    },
    /// Lets this process open as many more descriptors, or as many as before.
    Nofile {
        spare: Option<u64>,
    },
    Block {
        signals: SignalSet,
    },
    Signalfd {
        fd: Name,
        signals: SignalSet,
    },
    ReadSignal {
        fd: Name,
    },
    Device(DeviceAction),
    Actor(ActorAction),
}

/// A timeout, and so the call that takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timeout {
    /// Of epoll_wait(2).
    Millis(u32),
    /// Of epoll_pwait2(2).
    Micros(u32),
}

/// Where a socket is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// A port that the kernel chooses.
    Ip(IpAddr),
    /// A Unix name that the kernel chooses.
    Unix,
    /// The address of another socket, which may be closed.
    Same(Name),
    /// Another address, with the port of a socket.
    Beside(Name, IpAddr),
}

/// An address: that of a socket, which may be closed, or another one with the same port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) name: Name,
    pub(super) ip: Option<Ipv4Addr>,
}

/// A call of [`Devices`](crate::kernel::Devices).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum DeviceAction {
    Raise {
        signal: Signal,
    },
    /// Creates a descriptor, of another one where its kind says so.
    Create {
        fd: Name,
        device: Device,
        of: Option<Name>,
    },
    Settime {
        fd: Name,
        first: Duration,
        interval: Duration,
    },
    Open {
        fd: Name,
        path: String,
    },
    /// Opens the file of a descriptor again.
    Reopen {
        from: Name,
        fd: Name,
        access: Access,
    },
    Watch {
        into: Name,
        file: Name,
        is_fanotify: bool,
    },
    Seqpacket {
        near: Name,
        far: Name,
    },
    SendRights {
        socket: Name,
        passed: Name,
        bytes: Vec<u8>,
    },
    RecvRights {
        socket: Name,
        len_max: usize,
        fd: Name,
    },
    /// The errno of a message of the error queue, or its code.
    ErrorQueue {
        socket: Name,
        is_code: bool,
    },
    SetOption {
        socket: Name,
        name: DeviceOption,
        value: i32,
    },
    GetOption {
        socket: Name,
        name: DeviceOption,
    },
    OptionLen {
        socket: Name,
        name: DeviceOption,
    },
    Ioctl {
        fd: Name,
        request: IoctlRequest,
        value: u32,
    },
    SetFlags {
        fd: Name,
        is_nonblocking: bool,
    },
    ReadNowait {
        fd: Name,
        len_max: usize,
    },
    WaitAt {
        epoll: Name,
        address: BadAddress,
        events_max: u32,
    },
    /// Lets all signals in while it waits.
    Pwait {
        epoll: Name,
        millis: u32,
    },
    /// Installs a handler that does nothing.
    Handle {
        signal: Signal,
    },
    RingQueue {
        ring: Name,
    },
    RingEnter {
        ring: Name,
    },
    BpfOutput {
        ring: Name,
    },
    BindMount {
        mounts: Name,
    },
    PtraceFactor,
}

/// What another thread or process does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ActorAction {
    /// Without `blocks` it does not wait.
    Begin {
        actor: Name,
        epoll: Name,
        events_max: usize,
        blocks: bool,
    },
    /// A recvmmsg(2) with a timeout.
    BeginReceive {
        actor: Name,
        socket: Name,
        messages_max: usize,
        millis: u32,
    },
    End {
        actor: Name,
    },
    Fork {
        actor: Name,
    },
    /// Forks a child that makes a descriptor.
    ForkWith {
        actor: Name,
        fd: Name,
        role: ChildRole,
    },
    Kill {
        actor: Name,
        signal: Signal,
    },
    Pidfd {
        actor: Name,
        fd: Name,
    },
    Reap {
        actor: Name,
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
        use Action::{Control, Epoll, Fastest, Wait};
        matches!(self, Epoll { .. } | Control { .. } | Wait { .. } | Fastest { .. })
    }

    /// The socket whose address it uses, if that is another's.
    pub(super) const fn target(&self) -> Option<Name> {
        match self {
            Self::Connect { to, .. }
            | Self::SendTo { to, .. }
            | Self::SendMany { to, .. }
            | Self::FillTo { to, .. } => Some(to.name),
            Self::Bind { place: Place::Same(name) | Place::Beside(name, _), .. } => Some(*name),
            _ => None,
        }
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
