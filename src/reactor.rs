//! The reactor: waits for many descriptors in one place.
//!
//! Knows a [`Kernel`](crate::Kernel) and its own parts, and no server.

pub(crate) mod io;
#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
pub(crate) mod reactor;
mod register;
mod waker;

pub(crate) use io::{Io, Received, Sent};
pub(crate) use reactor::Reactor;
pub use register::{RegisterError, RegisterErrorKind};
pub use waker::Waker;

use core::num::NonZeroU32;
use core::time::Duration;

/// How long to pause what failed for lack of descriptors or memory (accept4(2), for example),
/// unless a descriptor is freed before. A retry costs one system call; a quarter of a second is
/// short for a client that waits.
pub const RETRY_DELAY: Duration = Duration::from_millis(250);

/// How many registrations a reactor holds and how many events one wait returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Registrations at once. Further ones fail with [`RegisterErrorKind::Full`].
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
