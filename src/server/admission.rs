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
/// `Arc<Mutex<_>>` (with the feature `std`), which is an `Admission` too: each call locks it.
///
/// A server calls it in its own thread, while it accepts or receives: an implementation does not
/// block, and does not panic. What it returns is final: a connection that is refused is closed
/// right after accept4(2), and counted ([`StreamStats`](super::stream::StreamStats)); a datagram
/// that is refused is dropped. [`PeerLimits`](super::PeerLimits) is one by address; another one
/// needs a single method:
///
/// ```
/// use epollite::server::stream::{StreamConfig, StreamServer};
/// use epollite::server::{Admission, AdmissionId, PortSharing, Refusal, bind_stream};
/// use epollite::sim::Sim;
/// use epollite::kernel::SocketType;
/// use epollite::{Addr, Instant, Kernel};
///
/// /// Serves peers from even ports.
/// #[derive(Debug)]
/// struct EvenPorts;
///
/// impl Admission for EvenPorts {
///     fn admit(&mut self, peer: &Addr, _now: Instant) -> Result<AdmissionId, Refusal> {
///         let is_even = peer.port().is_some_and(|port| port % 2 == 0);
///         // It keeps nothing about a connection, and need not hear of its end.
///         if is_even { Ok(AdmissionId::NONE) } else { Err(Refusal::NotAllowed) }
///     }
/// }
///
/// let mut clients = Sim::default();
/// let mut server = StreamServer::<_>::new(clients.new_process(), StreamConfig::default())?;
/// server.set_admission(Box::new(EvenPorts));
/// let addr = "127.0.0.1:7777".parse()?;
/// let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive)?;
/// server.add_listener(listener)?;
/// for from in ["127.0.0.1:4000", "127.0.0.1:4001"] {
///     let client = clients.socket(epollite::net::AddressFamily::Inet, SocketType::Stream)?;
///     clients.bind(&client, &from.parse()?)?;
///     let _in_progress = clients.connect(&client, &addr);
///     let now = server.kernel().now();
///     server.run_once(Some(now))?;
/// # core::mem::forget(client);
/// }
/// assert_eq!((server.stats().accepted, server.stats().refused_not_allowed), (1, 1));
/// # core::mem::forget((server, clients));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Admission: fmt::Debug + Send {
    /// Decides about a connection that was accepted from `peer` at `now`, a time of the server's
    /// kernel. Of several servers that share it one may call with an earlier time than another did
    /// before.
    ///
    /// If it is served, the server calls [`release`](Self::release) with the result, once: when the
    /// connection closes, when it cannot be served for lack of memory after all, when another
    /// admission is set, or when the server is dropped. For [`AdmissionId::NONE`] it does not.
    /// Cost: O(1), besides what the rules cost.
    ///
    /// # Errors
    /// Why it is closed at once; it is not released.
    fn admit(&mut self, peer: &Addr, now: Instant) -> Result<AdmissionId, Refusal>;

    /// A connection that was admitted as `id` is over. By default nothing. Cost: O(1).
    fn release(&mut self, id: AdmissionId) {
        let _ = id;
    }

    /// Decides about `count` datagrams, at least one, that came from `peer` at once, as segments of
    /// one packet: all of them get an answer, or none. By default they do. Cost: as
    /// [`admit`](Self::admit).
    ///
    /// # Errors
    /// Why they get no answer.
    fn admit_datagrams(&mut self, peer: &Addr, count: u32, now: Instant) -> Result<(), Refusal> {
        let _ = (peer, count, now);
        Ok(())
    }
}

/// The name that an [`Admission`] has for a connection that it has admitted: any number that it
/// chooses, the same for several connections if it likes, but that of [`NONE`](Self::NONE).
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
