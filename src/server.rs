//! Servers built with the reactor: streams, datagrams, and how their sockets are created.

mod admission;
mod bind;
pub mod datagram;
mod peer_limits;
mod peer_table;
pub mod stream;

pub use admission::{Admission, AdmissionId, Refusal};

#[cfg(feature = "capi")]
pub(crate) use bind::create_socket;
pub use bind::{
    PortSharing, bind_datagram, bind_datagram_everywhere, bind_stream, bind_stream_everywhere,
};
pub use peer_limits::{PeerLimits, PeerLimitsConfig};
pub use peer_table::Rate;

/// Whether there are an [`Admission`], [`stream::Bulk`], shared listeners and events. The libraries
/// for C have no function for them, and leave their code out: kilobytes.
const HAS_OPTIONS: bool = !cfg!(epl_staticlib);
