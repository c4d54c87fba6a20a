//! Decisions of a reactor and a server, as values: what they do because of what the kernel said.
//!
//! Knows numbers, and nothing of the layers that decide. A kernel is told of them by
//! [`Kernel::on_decision`](crate::Kernel::on_decision): the [`Linux`](crate::Linux) of a program
//! ignores them, at no cost; a [`Tracer`](crate::instrument::Tracer) passes them to its sink.

use crate::errno::Errno;
use crate::event::{Interest, Ready};
use crate::token::Token;

/// A decision. Connections and listeners are named by their descriptors' numbers, which system
/// calls show too.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// About one connection.
    Connection {
        /// Its descriptor.
        fd: u32,
        /// What was decided.
        what: ConnectionDecision,
    },
    /// About one listener.
    Listener {
        /// Its descriptor.
        fd: u32,
        /// What was decided.
        what: ListenerDecision,
    },
    /// An event is dropped: its registration has ended.
    StaleEvent {
        /// The registration.
        token: Token,
        /// What was reported.
        ready: Ready,
    },
    /// Before a wait that blocks the reactor polled.
    Polled {
        /// Whether an event came in that time.
        has_found: bool,
    },
    /// No further connection is accepted for now.
    AcceptPaused {
        /// The error of accept4(2); `None` at the connection limit.
        errno: Option<Errno>,
        /// Connections that are open.
        connections: u32,
    },
    /// Connections are accepted again.
    AcceptResumed,
    /// The server stops: listeners close, connections end when what has arrived is answered.
    DrainBegins {
        /// Connections that are open.
        connections: u32,
    },
    /// The drain timeout has passed.
    DrainTimedOut {
        /// Connections that are closed now.
        connections: u32,
    },
}

/// What is done with a connection, and why.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionDecision {
    /// It is served next without an event: data may have arrived that was not reported yet, or the
    /// server stops.
    NotReported,
    /// It is served.
    Event {
        /// Because of this, which was reported, requeued, or is assumed.
        ready: Ready,
        /// Bytes that are still buffered for the peer.
        unsent_bytes: usize,
    },
    /// The event brought nothing to do.
    Spurious {
        /// What it was served for.
        ready: Ready,
    },
    /// Reading stops.
    ReadingStopped {
        /// Why.
        why: StopReason,
        /// Bytes of the last read.
        bytes: usize,
    },
    /// It was put on the requeue list: it is served again after the others, without an event.
    Requeued {
        /// With this.
        ready: Ready,
    },
    /// The send buffer did not take everything: reading stops until the rest is sent.
    Buffered {
        /// Bytes that are kept.
        bytes: usize,
    },
    /// There is room neither to send what has arrived nor to keep it: it stays in the receive
    /// queue until there is room to send.
    Held {
        /// Bytes that have arrived.
        bytes: usize,
    },
    /// The peer cannot receive what is buffered: it is lost.
    Discarded {
        /// Bytes that were unsent.
        bytes: usize,
    },
    /// Everything that was buffered has been sent: reading goes on.
    Flushed,
    /// It is registered for another interest.
    InterestChanged {
        /// The interest.
        interest: Interest,
    },
    /// recv(2) returned 0: the peer has shut its write side down.
    ReceivedEof {
        /// Bytes that are still buffered for the peer.
        unsent_bytes: usize,
    },
    /// This side is shut down for writing, and the peer's end is awaited.
    HalfClosed,
    /// The idle timeout has passed: it begins to close.
    IdleTimedOut,
    /// A deadline has passed, and it is not time yet: the peer was active.
    StillActive,
    /// From here on its bytes are moved by splice(2), or again by recv(2) and send(2).
    Streams {
        /// Whether by splice(2).
        is_streaming: bool,
    },
    /// It is closed.
    Closed {
        /// Why.
        why: CloseReason,
        /// Bytes that were buffered, and are lost.
        unsent_bytes: usize,
    },
}

/// Why a server stops to read a connection.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// `EAGAIN`: the socket is empty.
    WouldBlock,
    /// Edge-triggered TCP: a short read, and the event had nothing that may hide behind it.
    ShortRead,
    /// Level-triggered or one-shot: the kernel reports what is left.
    KernelRepeats,
    /// The read budget of this turn is spent.
    BudgetSpent,
}

/// Why a connection ended.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer closed and received its whole echo; or the server drained, and the peer closed.
    PeerClosed,
    /// A call failed: the peer reset the connection, or another error.
    Error(Errno),
    /// It was inactive for too long.
    IdleTimeout,
    /// The server was draining, or waited for the peer's end, and it did not end in time.
    DrainTimeout,
}

/// Why a peer is not served, though it could be.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// Its address is in none of the networks that are served.
    NotAllowed,
    /// Its address has as many connections as one may have.
    Connections,
    /// Its address has connected or sent as often as one may.
    Rate,
    /// There is no memory to count its address.
    NoMemory,
}

/// What is done with a listener, and why.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerDecision {
    /// A connection was accepted.
    Accepted {
        /// Its token.
        token: Token,
    },
    /// A connection was accepted, and closed at once.
    Refused {
        /// Why.
        why: Refusal,
    },
    /// `EAGAIN`: the accept queue is empty.
    QueueEmpty {
        /// Connections taken from the queue in this turn, refused ones included.
        accepted: u32,
    },
    /// Accepting stops at the limit of one turn.
    BatchFull {
        /// Connections taken from the queue in this turn, refused ones included.
        accepted: u32,
    },
    /// accept4(2) failed for one connection: the next one is tried.
    Aborted {
        /// Its error.
        errno: Errno,
    },
    /// It accepts no more, and is closed.
    Failed {
        /// The error of accept4(2).
        errno: Errno,
    },
    /// The server stops, and what is left in the accept queue is reset by the close.
    BacklogDropped {
        /// The error of accept4(2); `None` at the connection limit.
        errno: Option<Errno>,
    },
}
