//! The arguments and results of epoll_ctl(2) and epoll_wait(2).
//!
//! Knows the layout of the kernel's struct; `linux/layout.rs` asserts that it equals libc's.

use core::fmt;

use crate::event::Ready;

/// `struct epoll_event`: a mask, and 64 bits that are returned as they were registered.
///
/// It has the kernel's layout (packed on x86-64, so that 32-bit programs have the same), and a
/// slice of these is passed to the kernel as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct EpollEvent {
    events: u32,
    data: u64,
}

impl EpollEvent {
    /// A mask of `EPOLL…` bits and the data to be returned with events. Cost: O(1).
    #[must_use]
    pub const fn new(events: u32, data: u64) -> Self {
        Self { events, data }
    }

    /// The mask. Cost: O(1).
    #[must_use]
    pub const fn events(self) -> u32 {
        self.events
    }

    /// The data given at registration. Cost: O(1).
    #[must_use]
    pub const fn data(self) -> u64 {
        self.data
    }
}

impl fmt::Debug for EpollEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}, {:#x}}}", Ready::from_bits(self.events()), self.data())
    }
}

/// The operation of epoll_ctl(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpollOp {
    /// `EPOLL_CTL_ADD`.
    Add(EpollEvent),
    /// `EPOLL_CTL_MOD`: also re-arms, and reports existing readiness again.
    Modify(EpollEvent),
    /// `EPOLL_CTL_DEL`.
    Delete,
}
