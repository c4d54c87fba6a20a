//! Data structures of the reactor and the servers: registrations, deadlines, received and unsent
//! bytes.
//!
//! Knows nothing of descriptors. Each has a naive model in `tests/properties`.

mod array;
#[cfg(feature = "alloc")]
mod recv_buffer;
mod slab;
mod slot_queue;
mod timer_heap;
#[cfg(feature = "alloc")]
mod write_buffer;

#[cfg(feature = "capi")]
pub(crate) use array::grown;
#[cfg(feature = "alloc")]
pub(crate) use array::part;
pub use array::{Array, LentArray, NoRoom};
#[cfg(feature = "alloc")]
pub use recv_buffer::RecvBuffer;
#[cfg(feature = "alloc")]
pub use slab::Slab;
pub use slab::{SlabFull, SlabIn, Slot};
pub(crate) use slot_queue::SlotQueue;
#[cfg(feature = "alloc")]
pub use timer_heap::TimerHeap;
pub use timer_heap::{Deadline, TimerHeapIn};
#[cfg(feature = "alloc")]
pub use write_buffer::{BufferFull, WriteBuffer};
