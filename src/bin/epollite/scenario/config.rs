//! The configuration of a scenario, the source of its choices, and its report.
//!
//! Values only.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use epollite::instrument::FaultPlan;
use epollite::kernel::Syscall;
use epollite::server::stream::{Bulk, StreamStats};
use epollite::sim::Probabilities;
use epollite::{Errno, Trigger};

/// The configuration of one scenario.
#[derive(Clone, Debug)]
pub(crate) struct ScenarioConfig {
    pub(crate) trigger: Trigger,
    /// Whether clients connect over Unix sockets instead of TCP.
    pub(crate) local: bool,
    /// Concurrent clients.
    pub(crate) clients_max: usize,
    /// The server's limit of concurrent connections.
    pub(crate) connections_max: u32,
    /// The server's limit of descriptors.
    pub(crate) descriptors_max: u32,
    /// The server's buffer size, which also bounds the write buffer of one connection.
    pub(crate) buffer_bytes: usize,
    /// The most that the server buffers for all connections together.
    pub(crate) buffer_total_bytes: usize,
    /// The read budget of one connection per event.
    pub(crate) budget_bytes: usize,
    /// The most events that one wait of the server returns.
    pub(crate) events_max: NonZeroU32,
    pub(crate) idle: Option<Duration>,
    /// How the server moves bytes.
    pub(crate) bulk: Bulk,
    /// The server's limit of pipes.
    pub(crate) pipes_max: u8,
    /// The buffer size in each direction of a connection.
    pub(crate) socket_bytes: usize,
    /// How often the kernel takes an allowed but unusual action.
    pub(crate) odds: Probabilities,
    /// Which of the server's calls fail.
    pub(crate) faults: Option<FaultPlan>,
}

impl ScenarioConfig {
    /// Generates a configuration, before any other choice; with `trigger` if it is given. With
    /// `has_faults`, one kind of call fails, once or persistently.
    pub(crate) fn generate(
        choices: &mut impl Choices,
        trigger: Option<Trigger>,
        has_faults: bool,
    ) -> Self {
        let mut pick = |end| choices.choose(end).unwrap_or(0);
        let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];
        let chosen = triggers[pick(triggers.len())];
        let faults = has_faults.then(|| {
            let call = Syscall::ALL[pick(Syscall::ALL.len())];
            let errnos = call.errnos();
            let errno = errnos.get(pick(errnos.len().max(1))).copied().unwrap_or(Errno::EINTR);
            let nth = pick(2_000) as u64;
            let is_persistent = pick(4) == 0;
            let faults = if is_persistent {
                FaultPlan::persistent(nth, errno)
            } else {
                FaultPlan::once(nth, errno)
            };
            faults.for_syscall(call)
        });
        // One choice for several: so older plans and seeds begin as they did.
        let drawn = pick(96);
        let clients_max = 1 + pick(200);
        let connections_max = 1 + u32::try_from(pick(200)).unwrap_or(0);
        let descriptors_max = 8 + u32::try_from(pick(200)).unwrap_or(0);
        let buffer_bytes = 1 + pick(2_000);
        Self {
            trigger: trigger.unwrap_or(chosen),
            local: drawn % 2 == 0,
            bulk: [Bulk::Copy, Bulk::Auto, Bulk::Splice][drawn / 2 % 3],
            pipes_max: [16, 0, 1, 2][drawn / 6 % 4],
            clients_max,
            connections_max,
            descriptors_max,
            buffer_bytes,
            buffer_total_bytes: if drawn / 24 == 3 {
                small_total(buffer_bytes, clients_max)
            } else {
                usize::MAX
            },
            budget_bytes: 1 + pick(2_000),
            events_max: NonZeroU32::MIN.saturating_add(u32::try_from(pick(20)).unwrap_or(0)),
            idle: (pick(3) == 0).then(|| Duration::from_millis(20 + pick(2_000) as u64)),
            socket_bytes: 256 + pick(4_000),
            odds: if pick(2) == 0 { Probabilities::MODERATE } else { Probabilities::default() },
            faults,
        }
    }

    pub(super) fn has_persistent_fault(&self) -> bool {
        self.faults.is_some_and(|faults| faults.is_persistent())
    }
}

/// Room for none to a few connections that buffer; by `drawn`.
pub(crate) const fn small_total(buffer_bytes: usize, drawn: usize) -> usize {
    buffer_bytes * (drawn % 8) / 2
}

/// The source of a scenario's choices.
pub(crate) trait Choices {
    /// A number below `end`, which is not 0; `None` when the choices are exhausted.
    fn choose(&mut self, end: usize) -> Option<usize>;
}

/// An endless sequence of choices, from a seed.
pub(crate) struct SeededChoices(pub(crate) u64);

impl Choices for SeededChoices {
    /// SplitMix64, whose outputs are uniformly distributed.
    fn choose(&mut self, end: usize) -> Option<usize> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).ok().map(|drawn| drawn % end)
    }
}

/// A violated invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    /// The invariant, in a sentence.
    pub(crate) invariant: String,
    /// The step at which it was violated.
    pub(crate) step: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant violated at step {}: {}", self.step, self.invariant)
    }
}

/// The result of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct ScenarioReport {
    /// Choices taken.
    pub(crate) steps: u64,
    pub(crate) stats: StreamStats,
    /// System calls of the server.
    pub(crate) calls: u64,
    /// Calls that failed by injection.
    pub(crate) faults: u64,
}
