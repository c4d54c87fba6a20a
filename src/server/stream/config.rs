//! The stream server's configuration, counters and events.
//!
//! Values only.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::errno::Errno;
use crate::event::Trigger;
pub use crate::kernel::decision::CloseReason;
use crate::kernel::decision::Refusal;
use crate::net::Addr;
use crate::reactor::Limits;
use crate::token::Token;

/// Configuration of a stream server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamConfig {
    /// The trigger mode of connections.
    pub trigger: Trigger,
    /// Concurrent connections; further ones wait in the listener's accept queue.
    pub connections_max: u32,
    /// Size of the receive buffer shared by all connections, if `budget_bytes` is not less; also
    /// the most that is buffered for one connection whose peer does not read.
    pub buffer_bytes: usize,
    /// The most that is buffered for all connections together, in write buffers (their capacity)
    /// and in pipes. Default: 64 MiB; `usize::MAX` for no bound.
    /// While there is no room for one more read, what arrives stays in the receive queues, and is
    /// taken from there when it has been sent: a peer that reads is served on, with one more call
    /// and one more copy for each message, and a peer that does not read waits for itself.
    /// A kernel without [`recv_peek`](crate::Kernel::recv_peek) ends the connections that need it.
    /// Not less than `buffer_bytes`, or nothing is ever buffered: that is valid, also 0.
    /// It is a bound of this server: several share nothing.
    /// [`StreamStats::buffer_bytes`] is what is used, [`StreamStats::buffer_waits`] how often a
    /// connection was held.
    pub buffer_total_bytes: usize,
    /// Bytes read from one connection before other connections are served. Only edge-triggered mode
    /// uses it up: in the others one `recv` is usual, since the kernel reports the rest again.
    pub budget_bytes: usize,
    /// Events that one wait returns at most
    /// ([`Limits::events_max`](crate::reactor::Limits::events_max)).
    pub events_max: NonZeroU32,
    /// Connections accepted from one listener before other descriptors are served. From a
    /// level-triggered one as many as arrive together: it is reported again if there are more.
    pub accepts_max: u32,
    /// Inactivity after which a connection is closed; `None` for never. A peer that reads what
    /// was sent to it is active; one that reads nothing is closed after one to two such times.
    pub idle_timeout: Option<Duration>,
    /// How long, after [`begin_shutdown`](super::StreamServer::begin_shutdown), peers have to read
    /// what is still in the write buffers.
    pub drain_timeout: Duration,
    /// How long the peer has to close its side after *this* side has closed, so that no reset
    /// destroys data in flight. Restarts whenever the peer reads some of that data.
    pub linger_timeout: Duration,
    /// How the bytes of connections move: through the receive buffer, or through a pipe by
    /// splice(2).
    pub bulk: Bulk,
    /// Pipes that the server has at most, each twice the size of the receive buffer, up to 1 MiB:
    /// with the defaults 2 MiB of the kernel's memory, and 32 descriptors. One serves all
    /// connections whose peers read; a peer that does not read keeps one occupied. A connection
    /// that finds none copies.
    pub pipes_max: u8,
    /// Whether to report every accept, close and receive ([`ServerEvent`]).
    pub emit_events: bool,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            trigger: Trigger::Edge,
            connections_max: 1 << 20,
            buffer_bytes: 64 << 10,
            buffer_total_bytes: 64 << 20,
            budget_bytes: 128 << 10,
            events_max: Limits::default().events_max,
            accepts_max: 64,
            idle_timeout: None,
            drain_timeout: Duration::from_secs(5),
            linger_timeout: LINGER_TIMEOUT,
            bulk: Bulk::Copy,
            pipes_max: 16,
            emit_events: false,
        }
    }
}

/// How the bytes of connections move.
///
/// A send by splice(2) to a connection that the peer has closed raises SIGPIPE, which ends a
/// process that neither ignores nor blocks it. Programs of Rust's `std` ignore it; where `main` is
/// not Rust's, ignore it before you set anything but `Copy`.
///
/// Man page: splice(2), signal(7)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Bulk {
    /// They are received into the server's buffer and sent from there.
    #[default]
    Copy,
    /// From the first byte on they are moved by splice(2), without a copy in user space. For
    /// messages of a few kilobytes this costs more than to copy. A connection that finds no pipe
    /// copies, and returns to splice(2) after four large events.
    Splice,
    /// Those of a connection that streams are moved by splice(2): after four events with 64 KiB or
    /// more each, until three events in a row have brought less.
    Auto,
}

/// The default of [`StreamConfig::linger_timeout`].
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest idle timeout: connections store the time of their last activity as 32 bits of
/// milliseconds, and half of that range is 24 days.
pub const IDLE_TIMEOUT_MAX: Duration = Duration::from_millis(1 << 31);

/// Counters of a stream server since its creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed, for any reason.
    pub closed: u64,
    /// Of these: reset by the peer.
    pub reset: u64,
    /// Connections closed for their inactivity.
    pub timed_out: u64,
    /// Connections aborted before they were accepted or served.
    pub aborted: u64,
    /// Connections that were closed at once because their address is not allowed
    /// ([`PeerLimits`](crate::server::PeerLimits)). None of those is counted as accepted.
    pub refused_not_allowed: u64,
    /// Connections that were closed at once because their address has too many.
    pub refused_connections: u64,
    /// Connections that were closed at once because their address connects too often, or because
    /// there was no memory to count it.
    pub refused_rate: u64,
    /// How often accepting was paused, for lack of descriptors or at the limit.
    pub accept_pauses: u64,
    /// How often a connection was held: there was room neither to send nor to keep what had arrived
    /// ([`StreamConfig::buffer_total_bytes`]).
    pub buffer_waits: u64,
    /// Bytes that are kept now for peers that do not read: memory of write buffers, and what pipes
    /// hold.
    pub buffer_bytes: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Messages: calls of recv(2) or splice(2) that brought bytes to be echoed.
    pub echoes: u64,
    /// Events that were handled.
    pub events_handled: u64,
    /// Events for which there was nothing to do.
    pub events_spurious: u64,
    /// Events for a connection that had already been closed.
    pub events_stale: u64,
}

impl StreamStats {
    /// Counts a connection that has closed. Cost: O(1).
    pub const fn record_close(&mut self, why: CloseReason) {
        self.closed += 1;
        if let CloseReason::Error(Errno::ECONNRESET | Errno::EPIPE) = why {
            self.reset += 1;
        }
    }

    /// Counts a connection that was refused. Cost: O(1).
    pub(super) const fn record_refusal(&mut self, why: Refusal) {
        match why {
            Refusal::NotAllowed => self.refused_not_allowed += 1,
            Refusal::Connections => self.refused_connections += 1,
            Refusal::Rate | Refusal::NoMemory => self.refused_rate += 1,
        }
    }

    /// Counts an event. Cost: O(1).
    #[inline]
    pub(super) const fn record_event(&mut self, was_handled: bool) {
        if was_handled {
            self.events_handled += 1;
        } else {
            self.events_spurious += 1;
        }
    }

    /// Adds another server's counters. Cost: O(1).
    pub const fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.closed += other.closed;
        self.reset += other.reset;
        self.timed_out += other.timed_out;
        self.aborted += other.aborted;
        self.refused_not_allowed += other.refused_not_allowed;
        self.refused_connections += other.refused_connections;
        self.refused_rate += other.refused_rate;
        self.accept_pauses += other.accept_pauses;
        self.buffer_waits += other.buffer_waits;
        self.buffer_bytes += other.buffer_bytes;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.echoes += other.echoes;
        self.events_handled += other.events_handled;
        self.events_spurious += other.events_spurious;
        self.events_stale += other.events_stale;
    }
}

/// Something that happened to the server.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerEvent {
    /// A connection was accepted.
    Accepted {
        /// Its token.
        token: Token,
        /// The peer's address.
        peer: Addr,
    },
    /// Bytes were received.
    Received {
        /// The connection's token.
        token: Token,
        /// How many.
        bytes: usize,
    },
    /// A connection has ended, and its descriptor is closed.
    Closed {
        /// The connection's token.
        token: Token,
        /// Why.
        why: CloseReason,
    },
    /// A listener can accept no more, and has been closed: a process that holds a duplicate has
    /// shut it down. Other listeners continue. Reported whatever [`StreamConfig::emit_events`] is.
    ListenerFailed {
        /// What [`add_listener`](super::StreamServer::add_listener) had returned.
        token: Token,
        /// What accept4(2) returned; for a shared listener, what epoll_ctl(2) returned when it was
        /// registered again.
        errno: Errno,
    },
    /// A connection was accepted and closed at once, because the server's
    /// [`Admission`](crate::server::Admission) refused it. It has no token, no
    /// [`Accepted`](Self::Accepted) and no [`Closed`](Self::Closed).
    ///
    /// With [`StreamConfig::emit_events`] every one is reported, as long as the queue of events has
    /// room. Without, at most one is queued: the next one is reported after that was taken. All are
    /// counted in `StreamStats::refused_*`.
    Refused {
        /// The peer's address, with its port.
        peer: Addr,
        /// Which rule has refused it.
        why: Refusal,
    },
    /// Accepting is paused. Reported whatever [`StreamConfig::emit_events`] is.
    AcceptPaused {
        /// Why: what accept4(2) returned, or `None` at the limit of connections.
        errno: Option<Errno>,
    },
}
