//! `Admission`: which peers are served. A server asks it about each connection that it has
//! accepted, and about each datagram.
//!
//! Knows addresses, and no socket. [`PeerLimits`](super::PeerLimits) is the one that the crate has.

use core::fmt;

use crate::instant::Instant;
pub use crate::kernel::decision::Refusal;
use crate::net::Addr;

/// Decides which peers are served.
///
/// A server without one serves every peer, and pays nothing. Several servers share one through
/// `Arc<Mutex<_>>` (with the feature `std`), which is an `Admission` too.
pub trait Admission: fmt::Debug + Send {
    /// Decides about a connection that was accepted from `peer`. If it is served, what is
    /// returned is [released](Self::release) when it closes. Cost: O(1), besides what the rules cost.
    ///
    /// # Errors
    /// Why it is closed at once.
    fn admit(&mut self, peer: &Addr, now: Instant) -> Result<AdmissionId, Refusal>;

    /// A connection has closed. Cost: O(1).
    fn release(&mut self, id: AdmissionId) {
        let _ = id;
    }

    /// Decides about `count` datagrams that came from `peer` at once. Cost: as
    /// [`admit`](Self::admit).
    ///
    /// # Errors
    /// Why they get no answer.
    fn admit_datagrams(&mut self, peer: &Addr, count: u32, now: Instant) -> Result<(), Refusal> {
        let _ = (peer, count, now);
        Ok(())
    }
}

/// The name that an [`Admission`] has for a connection that it has admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdmissionId(pub u32);

impl AdmissionId {
    /// Of a connection that is not counted: it is not released.
    pub const NONE: Self = Self(u32::MAX);
}

#[cfg(feature = "std")]
impl<A: Admission> Admission for alloc::sync::Arc<std::sync::Mutex<A>> {
    fn admit(&mut self, peer: &Addr, now: Instant) -> Result<AdmissionId, Refusal> {
        lock(self).admit(peer, now)
    }

    fn release(&mut self, id: AdmissionId) {
        lock(self).release(id);
    }

    fn admit_datagrams(&mut self, peer: &Addr, count: u32, now: Instant) -> Result<(), Refusal> {
        lock(self).admit_datagrams(peer, count, now)
    }
}

/// Ignores poisoning: an admission has no state that a panic elsewhere could leave half changed.
#[cfg(feature = "std")]
fn lock<A>(shared: &std::sync::Mutex<A>) -> std::sync::MutexGuard<'_, A> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
