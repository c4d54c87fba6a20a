//! What kind of day it is, where its decisions come from, and what it comes to.
//!
//! Values only.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use epollite::server::stream::Stats;
use epollite::sim::Odds;
use epollite::{Call, Errno, Faults, Trigger};

/// What kind of day it is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// How the server watches.
    pub(crate) trigger: Trigger,
    /// Whether clients come over Unix sockets instead of TCP.
    pub(crate) local: bool,
    /// Clients at once.
    pub(crate) clients_max: usize,
    /// Connections the server takes at once.
    pub(crate) connections_max: u32,
    /// Descriptors the server may have.
    pub(crate) descriptors_max: u32,
    /// The server's buffer, and so the bound of what one connection makes it hold.
    pub(crate) buffer_bytes: usize,
    /// What one connection may read in one turn.
    pub(crate) budget_bytes: usize,
    /// Events that one wait of the server brings.
    pub(crate) events_max: NonZeroU32,
    /// Silence after which the server ends a connection.
    pub(crate) idle: Option<Duration>,
    /// Room in each direction of a connection.
    pub(crate) socket_bytes: usize,
    /// How often the kernel does what it may.
    pub(crate) odds: Odds,
    /// Which of the server's calls fails.
    pub(crate) faults: Option<Faults>,
}

impl Weather {
    /// Draws a day's weather, before anything else; `trigger` when it is wished for. With
    /// `has_faults`, one kind of call fails, once or for ever.
    pub(crate) fn draw(dice: &mut impl Dice, trigger: Option<Trigger>, has_faults: bool) -> Self {
        let mut pick = |end| dice.pick(end).unwrap_or(0);
        let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
        let drawn = triggers[pick(triggers.len())];
        let faults = has_faults.then(|| {
            let call = Call::of_kernel()[pick(Call::of_kernel().len())];
            let errnos = Faults::of(call);
            let errno = errnos.get(pick(errnos.len().max(1))).copied().unwrap_or(Errno::EINTR);
            let at = pick(2_000) as u64;
            let lasts = pick(4) == 0;
            let faults = if lasts { Faults::for_ever(at, errno) } else { Faults::once(at, errno) };
            faults.only(call)
        });
        Self {
            trigger: trigger.unwrap_or(drawn),
            local: pick(2) == 0,
            clients_max: 1 + pick(200),
            connections_max: 1 + u32::try_from(pick(200)).unwrap_or(0),
            descriptors_max: 8 + u32::try_from(pick(200)).unwrap_or(0),
            buffer_bytes: 1 + pick(2_000),
            budget_bytes: 1 + pick(2_000),
            events_max: NonZeroU32::MIN.saturating_add(u32::try_from(pick(20)).unwrap_or(0)),
            idle: (pick(3) == 0).then(|| Duration::from_millis(20 + pick(2_000) as u64)),
            socket_bytes: 256 + pick(4_000),
            odds: if pick(2) == 0 { Odds::SOME } else { Odds::default() },
            faults,
        }
    }
}

/// Where a day's decisions come from.
pub(crate) trait Dice {
    /// A number under `end`, which is not 0; `None` when there are no more decisions.
    fn pick(&mut self, end: usize) -> Option<usize>;
}

/// A law that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    /// Which, in a sentence.
    pub(crate) law: String,
    /// After how many steps.
    pub(crate) step: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law broken at step {}: {}", self.step, self.law)
    }
}

/// What a day came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    /// Decisions taken.
    pub(crate) steps: u64,
    /// What the server counted.
    pub(crate) stats: Stats,
    /// Calls it made.
    pub(crate) calls: u64,
    /// Calls that were made to fail.
    pub(crate) faults: u64,
}
