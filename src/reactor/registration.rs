//! `Registration`: what a reactor stores for each descriptor, and its readiness while it waits in
//! the requeue list.

use crate::event::{EPOLLRDHUP, Ready};
use crate::kernel::Fd;

/// The reactor's own bits in a registration's mask: whether it is in the requeue list, and with
/// which readiness. They are never passed to the kernel.
pub(super) const REQUEUED_BIT: u32 = 1 << 27;
pub(super) const REQUEUE_MASK: u32 = REQUEUED_BIT | 0x3f << REQUEUE_SHIFT;
const REQUEUE_SHIFT: u32 = 16;

/// In the mask of a timer, which has no descriptor. Never passed to the kernel either.
pub(super) const TIMER_BIT: u32 = 1 << 26;

/// In the mask of a registration that is paused: the kernel does not watch it.
/// Never passed to the kernel either.
pub(super) const PAUSED_BIT: u32 = 1 << 25;

/// What the slab holds for one registration.
#[expect(missing_debug_implementations, reason = "its parts are not the user's")]
pub struct Registration<T> {
    pub(super) watched: Watched,
    pub(super) state: T,
}

/// A descriptor, and what it is registered for.
pub(crate) struct Watched {
    pub(crate) fd: Fd,
    /// The mask registered with the kernel, and [`REQUEUE_MASK`].
    pub(super) mask: u32,
}

impl Watched {
    /// Without a descriptor: a number that no kernel has given out.
    pub(super) const fn timer() -> Self {
        Self { fd: Fd::simulated(i32::MAX.cast_unsigned()), mask: TIMER_BIT }
    }

    /// Whether there is no descriptor.
    pub(super) const fn is_timer(&self) -> bool {
        self.mask & TIMER_BIT != 0
    }
}

/// Packs the six bits of a [`Ready`] into [`REQUEUE_MASK`]: five of them are already adjacent.
pub(super) const fn pack_ready(ready: Ready) -> u32 {
    let read_closed_bit = (ready.is_read_closed() as u32) << 5;
    REQUEUED_BIT | (ready.bits() & 0x1f | read_closed_bit) << REQUEUE_SHIFT
}

/// The inverse of [`pack_ready`].
pub(super) const fn unpack_ready(mask: u32) -> Ready {
    let packed = mask >> REQUEUE_SHIFT & 0x3f;
    let read_closed = if packed & 0x20 != 0 { EPOLLRDHUP } else { 0 };
    Ready::from_bits(packed & 0x1f | read_closed)
}
