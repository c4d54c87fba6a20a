//! What a stream server can be told beforehand, what it counts, and what it tells.
//!
//! Values only.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::addr::Addr;
use crate::errno::Errno;
use crate::event::Trigger;
use crate::reactor::Limits;
use crate::token::Token;

/// How a stream server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How connections are watched.
    pub trigger: Trigger,
    /// Connections at once; further ones wait in the queue of the listener.
    pub connections_max: u32,
    /// The one buffer that all connections are read into; and so the most that one connection
    /// can make us hold, when its peer does not read.
    pub buffer_bytes: usize,
    /// Bytes read from one connection before the others have their turn (edge mode; in the
    /// other modes it is one `recv`, and the kernel reminds).
    pub budget_bytes: usize,
    /// Events that one wait brings at most ([`Limits::events_max`](crate::Limits::events_max)).
    pub events_max: NonZeroU32,
    /// Connections accepted from one listener before the others have their turn.
    pub accepts_max: u32,
    /// Silence after which a connection is ended; `None` for never. That the peer takes what was
    /// sent to it is no silence; one that takes nothing is ended after one to two such times.
    pub idle: Option<Duration>,
    /// How long, after [`stop`](super::Server::stop), connections have to take what they are
    /// owed.
    pub drain: Duration,
    /// How long a connection that *we* end has to end its side, so that no reset destroys
    /// what is still on its way. It begins anew as often as the peer takes something of that.
    pub linger: Duration,
    /// Whether to tell of every arrival, departure and message ([`Note`]).
    pub tell: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trigger: Trigger::Edge,
            connections_max: 1 << 20,
            buffer_bytes: 256 << 10,
            budget_bytes: 1 << 20,
            events_max: Limits::default().events_max,
            accepts_max: 64,
            idle: None,
            drain: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            tell: false,
        }
    }
}

/// The longest idle time that is kept apart from for ever: connections remember in 32 bits of
/// milliseconds when they were last active, and half of that range is 24 days.
pub const IDLE_MAX: Duration = Duration::from_millis(1 << 31);

/// What a stream server has counted since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that ended, however.
    pub closed: u64,
    /// Of these: broken by the peer.
    pub reset: u64,
    /// Connections asked to leave for their silence.
    pub timed_out: u64,
    /// Connections that were gone before they could be served.
    pub aborted: u64,
    /// How often accepting was paused, for want of descriptors or at the limit.
    pub pauses: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Messages: `recv` calls that brought bytes to be echoed.
    pub echoes: u64,
    /// Events after which something was done.
    pub useful: u64,
    /// Events after which there was nothing to do.
    pub spurious: u64,
    /// Events that came too late, for a connection that had ended.
    pub stale: u64,
}

impl Stats {
    /// Adds what another server counted. Work: O(1).
    pub const fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.closed += other.closed;
        self.reset += other.reset;
        self.timed_out += other.timed_out;
        self.aborted += other.aborted;
        self.pauses += other.pauses;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.echoes += other.echoes;
        self.useful += other.useful;
        self.spurious += other.spurious;
        self.stale += other.stale;
    }
}

/// Something worth telling.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// A connection was accepted.
    Connected {
        /// Its name from here on.
        token: Token,
        /// Who is at the other end.
        peer: Addr,
    },
    /// It sent something.
    Said {
        /// Who.
        token: Token,
        /// How much.
        bytes: usize,
    },
    /// It has ended, and its descriptor is closed.
    Left {
        /// Who.
        token: Token,
        /// Why.
        why: Left,
    },
    /// A listener can accept no more, and has been closed: it was shut by somebody who has a
    /// duplicate of it. The others go on. Told whatever [`Config::tell`] says.
    ListenerFailed {
        /// What [`open`](super::Server::open) had returned.
        token: Token,
        /// What accept4(2) said; of a shared one, what epoll_ctl(2) said when it was to be watched
        /// again.
        errno: Errno,
    },
    /// Nothing is accepted for now. Told whatever [`Config::tell`] says.
    Paused {
        /// Why: what accept4(2) said, or `None` at the limit of connections.
        errno: Option<Errno>,
    },
}

/// Why a connection ended.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// The peer had said its last byte and got everything back; or we left, and it agreed.
    Closed,
    /// A call failed: the peer broke it, or worse.
    Failed(Errno),
    /// It was silent for too long.
    Idle,
    /// We were leaving, and it did not end in time.
    Expired,
}
