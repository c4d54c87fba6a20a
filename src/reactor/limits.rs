//! `Limits`: how much a reactor holds.

use core::num::NonZeroU32;

/// How many registrations a reactor holds and how many events one wait returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Registrations at once. Further ones fail with
    /// [`RegisterErrorKind::Full`](super::RegisterErrorKind::Full).
    pub registrations_max: u32,
    /// Events that one wait returns at most. More come with the next wait: the kernel returns
    /// them round-robin, so that a small number is fair and a large one is cheap.
    pub events_max: NonZeroU32,
}

impl Default for Limits {
    /// As many registrations as the largest machines have descriptors, and 256 events: 3 KiB,
    /// beyond which the cost of the call itself is negligible.
    fn default() -> Self {
        Self {
            registrations_max: 1 << 30,
            events_max: const { NonZeroU32::new(256).expect("256 is not zero") },
        }
    }
}
