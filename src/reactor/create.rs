//! Creating a reactor: on the heap, or in memory that the caller lends.
//!
//! Knows the storage of a reactor, and nothing of what it does.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::limits::Limits;
use super::reactor::Reactor;
#[cfg(feature = "alloc")]
use super::storage::{Heap, Parts};
use super::storage::{Lent, Room};
use crate::errno::Errno;
use crate::kernel::Kernel;
#[cfg(feature = "alloc")]
use crate::linux::Linux;

#[cfg(feature = "alloc")]
impl<T> Reactor<T> {
    /// Creates a reactor on the real kernel. Cost: one system call.
    ///
    /// # Errors
    /// As [`with_kernel`](Self::with_kernel).
    pub fn new() -> Result<Self, Errno> {
        Self::with_kernel(Linux)
    }
}

#[cfg(feature = "alloc")]
impl<T, K: Kernel> Reactor<T, K> {
    /// Creates a reactor on `kernel`, with the default limits. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of descriptors or memory.
    ///
    /// Man page: epoll_create1(2)
    #[doc(alias = "epoll_create1")]
    pub fn with_kernel(kernel: K) -> Result<Self, Errno> {
        Self::with_limits(kernel, Limits::default())
    }

    /// Creates a reactor on `kernel` with `limits`. Cost: one system call and one allocation, 12
    /// bytes per event.
    ///
    /// # Errors
    /// As [`with_kernel`](Self::with_kernel).
    pub fn with_limits(kernel: K, limits: Limits) -> Result<Self, Errno> {
        let mut events = Vec::new();
        let events_max = limits.events_max.get() as usize;
        events.try_reserve_exact(events_max).map_err(|_| Errno::ENOMEM)?;
        let parts = Parts::<T, Heap> {
            slots: Vec::new(),
            events,
            deadlines: Vec::new(),
            positions: Vec::new(),
            requeued: Vec::new(),
        };
        Self::in_parts(kernel, limits, parts)
    }
}

impl<'m, T: 'm, K: Kernel> Reactor<T, K, Lent<'m>> {
    /// Creates a reactor on `kernel` that holds everything in `room`, and never allocates.
    /// Cost: one system call.
    ///
    /// A registration beyond the room fails with
    /// [`RegisterErrorKind::Full`](super::RegisterErrorKind::Full).
    ///
    /// # Errors
    /// As [`with_kernel`](Reactor::with_kernel).
    pub fn in_room<const REGISTRATIONS: usize, const EVENTS: usize>(
        kernel: K,
        room: &'m mut Room<T, REGISTRATIONS, EVENTS>,
    ) -> Result<Self, Errno> {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let events_max = NonZeroU32::new(number(EVENTS)).ok_or(Errno::EINVAL)?;
        let limits = Limits { registrations_max: number(REGISTRATIONS), events_max };
        Self::in_parts(kernel, limits, room.parts())
    }
}
