//! Data structures of the reactor and the servers: registrations, deadlines, received and unsent
//! bytes.
//!
//! Knows nothing of descriptors. Each has a naive model in `tests/properties`.

mod recv_buffer;
mod slab;
mod timer_heap;
mod write_buffer;

pub use recv_buffer::RecvBuffer;
pub use slab::{Slab, SlabFull};
pub use timer_heap::TimerHeap;
pub use write_buffer::{BufferFull, WriteBuffer};
