//! `Ready`: what the kernel reported.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use super::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, MaskDisplay};

/// What a descriptor is ready for.
///
/// ```
/// # use epollite::event::Ready;
/// let ready = Ready::from_bits(0x2001); // EPOLLIN | EPOLLRDHUP
/// assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_hup());
/// assert_eq!(ready.to_string(), "IN|RDHUP");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ready(u32);

impl Ready {
    /// Readable and nothing else.
    pub const READABLE: Self = Self(EPOLLIN);
    /// Writable and nothing else.
    pub const WRITABLE: Self = Self(EPOLLOUT);

    /// Takes the bits as epoll_wait(2) returns them. Cost: O(1).
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as epoll_wait(2) returns them. Cost: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Data, a connection or an end of file can be read. Cost: O(1).
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0 & EPOLLIN != 0
    }

    /// Room to write. Cost: O(1).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & EPOLLOUT != 0
    }

    /// The peer has half-closed; data before the end may still be unread. Cost: O(1).
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.0 & EPOLLRDHUP != 0
    }

    /// Both directions are shut down; data may still be unread. Cost: O(1).
    #[must_use]
    pub const fn is_hup(self) -> bool {
        self.0 & EPOLLHUP != 0
    }

    /// An error is pending, returned by the next call or by `SO_ERROR`. Cost: O(1).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & EPOLLERR != 0
    }

    /// Urgent data. Cost: O(1).
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0 & EPOLLPRI != 0
    }

    /// Whether a short read of a *TCP* socket proves that it is empty: nothing was reported that
    /// a read may stop at (an urgent mark) or that may follow the data (an end of file, an
    /// error). Cost: O(1).
    ///
    /// Only then may an edge-triggered reader omit the last `recv`, and only when it is registered
    /// for [`Interest::PRIORITY`](crate::Interest::PRIORITY) and
    /// [`Interest::READ_CLOSED`](crate::Interest::READ_CLOSED).
    #[must_use]
    pub const fn short_read_means_empty(self) -> bool {
        self.0 & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR) == 0
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MaskDisplay(self.0).fmt(f)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({self})")
    }
}
