//! The reactor: waits for many descriptors in one place.
//!
//! Knows a [`Kernel`](crate::Kernel) and its own parts, and no server.

mod borrowed;
#[cfg(feature = "alloc")]
mod connect;
mod create;
#[cfg(feature = "alloc")]
mod interest_list;
pub(crate) mod io;
mod limits;
mod next_deadline;
mod pause;
mod polling;
#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
pub(crate) mod reactor;
mod register;
mod register_error;
pub(crate) mod registration;
pub(crate) mod retry;
mod spin;
pub(crate) mod storage;
mod sweep;
mod timer;
mod vectored;
#[cfg(feature = "alloc")]
mod waker;

#[cfg(feature = "alloc")]
pub use connect::{ConnectConfig, ConnectError, ConnectProgress, Connector};
#[cfg(feature = "alloc")]
pub(crate) use io::{Io, Received, Sent};
pub use limits::Limits;
#[cfg(feature = "alloc")]
pub(crate) use reactor::{BatchStep, Reactor};
pub use register_error::{RegisterError, RegisterErrorKind};
pub use spin::Spin;
pub use storage::{Heap, Lent, Room, Storage, StorageOf};
#[cfg(feature = "alloc")]
pub use waker::Waker;

use core::time::Duration;

/// How long to pause what failed for lack of descriptors or memory (accept4(2), for example),
/// unless a descriptor is freed before. A retry costs one system call; a quarter of a second is
/// short for a client that waits.
pub const RETRY_DELAY: Duration = Duration::from_millis(250);
