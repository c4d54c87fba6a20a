//! `Interest`: the conditions that a registration waits for.

use core::fmt;
use core::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Sub, SubAssign};

use super::{EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, MaskDisplay};

/// What a registration waits for. `error` and `hup` are always reported.
///
/// ```
/// # use epollite::Interest;
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.contains(Interest::READABLE));
/// assert!(!both.contains(Interest::READ_CLOSED));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u32);

impl Interest {
    /// Nothing but `error` and `hup`. They cannot be masked: level-triggered, on a descriptor
    /// that has hung up, even this interest is reported endlessly.
    pub const NONE: Self = Self(0);
    /// Bytes, connections, datagrams, or an end of file to be read (`EPOLLIN`).
    pub const READABLE: Self = Self(EPOLLIN);
    /// Room to write (`EPOLLOUT`).
    pub const WRITABLE: Self = Self(EPOLLOUT);
    /// Urgent data (`EPOLLPRI`).
    pub const PRIORITY: Self = Self(EPOLLPRI);
    /// The peer's half-close, apart from the data before it (`EPOLLRDHUP`).
    pub const READ_CLOSED: Self = Self(EPOLLRDHUP);

    /// Whether it contains all of `other`. Cost: O(1).
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it contains anything of `other`. Cost: O(1).
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is [`NONE`](Self::NONE). Cost: O(1).
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either, as `|`. Cost: O(1).
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both, as `&`. Cost: O(1).
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Without what is in `other`, as `-`. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Interest;
    /// const BOTH: Interest = Interest::READABLE.union(Interest::WRITABLE);
    /// let mut flushed = BOTH;
    /// flushed -= Interest::WRITABLE; // The write buffer is empty.
    /// assert_eq!(flushed, Interest::READABLE);
    /// assert_eq!(BOTH.difference(BOTH), Interest::NONE);
    /// ```
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits of epoll_ctl(2). Cost: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl BitAnd for Interest {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl BitAndAssign for Interest {
    fn bitand_assign(&mut self, other: Self) {
        *self = self.intersection(other);
    }
}

impl Sub for Interest {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.difference(other)
    }
}

impl SubAssign for Interest {
    fn sub_assign(&mut self, other: Self) {
        *self = self.difference(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interest({})", MaskDisplay(self.0))
    }
}
