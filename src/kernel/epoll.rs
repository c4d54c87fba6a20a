//! The values that epoll_ctl(2) and epoll_wait(2) pass to and fro.
//!
//! Knows the layout of the kernel's struct, which is asserted against libc's where libc is.

use core::fmt;

use crate::event::Ready;

/// `struct epoll_event`: a mask, and 64 bits that come back as they were given.
///
/// Laid out as the kernel wants it (packed on x86-64, where the kernel once wished to share
/// the layout of 32-bit programs), so that a slice of these goes to the kernel as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct EpollEvent {
    events: u32,
    data: u64,
}

impl EpollEvent {
    /// A mask of `EPOLL…` bits and what to be reminded of. Work: O(1).
    #[must_use]
    pub const fn new(events: u32, data: u64) -> Self {
        Self { events, data }
    }

    /// The mask. Work: O(1).
    #[must_use]
    pub const fn events(self) -> u32 {
        self.events
    }

    /// What was given at registration. Work: O(1).
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

/// What epoll_ctl(2) is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// `EPOLL_CTL_ADD`.
    Add(EpollEvent),
    /// `EPOLL_CTL_MOD`: also re-arms, and reports again what is so now.
    Modify(EpollEvent),
    /// `EPOLL_CTL_DEL`.
    Delete,
}
