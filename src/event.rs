//! Interest, trigger mode and events: the flags of epoll_ctl(2).
//!
//! Defines the bits by number and makes no system call; `linux/` asserts that they are the
//! kernel's numbers.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use crate::token::Token;

/// `EPOLLIN`: data, a connection or an end of file can be read.
pub const EPOLLIN: u32 = 0x001;
/// `EPOLLPRI`: urgent data.
pub const EPOLLPRI: u32 = 0x002;
/// `EPOLLOUT`: there is room in the send buffer.
pub const EPOLLOUT: u32 = 0x004;
/// `EPOLLERR`: an error is pending; always reported.
pub const EPOLLERR: u32 = 0x008;
/// `EPOLLHUP`: both directions are shut down; always reported.
pub const EPOLLHUP: u32 = 0x010;
/// `EPOLLRDHUP`: the peer has shut its write side down.
pub const EPOLLRDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`: wake one or some of the epolls that wait for the same file.
pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`: disarm after one report.
pub const EPOLLONESHOT: u32 = 1 << 30;
/// `EPOLLET`: report changes, not states.
pub const EPOLLET: u32 = 1 << 31;

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

    /// The bits of epoll_ctl(2). Cost: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interest({})", MaskDisplay(self.0))
    }
}

/// When a registration is reported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Trigger {
    /// Level-triggered: reported as long as the condition holds. Interest in a condition that
    /// always holds makes the loop busy-poll.
    #[default]
    Level,
    /// Edge-triggered (`EPOLLET`): reported once per arrival. A caller that stops before `EAGAIN`
    /// must keep track of the descriptor: the kernel does not report it again.
    Edge,
    /// Reported once, then not at all, not even errors, until re-armed (`EPOLLONESHOT`).
    OneShot,
    /// Both: reported for one arrival, then not until re-armed.
    EdgeOneShot,
}

impl Trigger {
    /// Whether one report disarms it until it is re-armed. Cost: O(1).
    #[must_use]
    pub const fn is_oneshot(self) -> bool {
        matches!(self, Self::OneShot | Self::EdgeOneShot)
    }

    /// The bits of epoll_ctl(2). Cost: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Level => 0,
            Self::Edge => EPOLLET,
            Self::OneShot => EPOLLONESHOT,
            Self::EdgeOneShot => EPOLLET | EPOLLONESHOT,
        }
    }
}

/// The trigger mode of a registration that shares its file with other epolls: one or some of them
/// are woken instead of all (`EPOLLEXCLUSIVE`).
///
/// A type of its own because the kernel rejects most combinations: an exclusive one-shot mask
/// cannot be expressed, nor re-arming ([`MaskError::ExclusiveImmutable`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExclusiveTrigger {
    /// Level-triggered.
    Level,
    /// Edge-triggered.
    Edge,
}

/// A mask that epoll_ctl(2) accepts: interest and trigger, validated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventMask(u32);

impl EventMask {
    /// Combines any interest with any trigger. Cost: O(1).
    #[must_use]
    pub const fn new(interest: Interest, trigger: Trigger) -> Self {
        Self(interest.0 | trigger.bits())
    }

    /// An exclusive mask. Cost: O(1).
    ///
    /// # Errors
    /// * [`MaskError::ExclusiveInterest`]: `interest` has `PRIORITY` or `READ_CLOSED`, for which
    ///   the kernel returns `EINVAL`.
    ///
    /// Man page: epoll_ctl(2)
    pub const fn exclusive(
        interest: Interest,
        exclusive: ExclusiveTrigger,
    ) -> Result<Self, MaskError> {
        if interest.0 & !(EPOLLIN | EPOLLOUT) != 0 {
            return Err(MaskError::ExclusiveInterest);
        }
        let trigger = match exclusive {
            ExclusiveTrigger::Level => 0,
            ExclusiveTrigger::Edge => EPOLLET,
        };
        Ok(Self(interest.0 | trigger | EPOLLEXCLUSIVE))
    }

    /// Whether `EPOLLEXCLUSIVE` is in it. Cost: O(1).
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        self.0 & EPOLLEXCLUSIVE != 0
    }

    /// The bits of epoll_ctl(2). Cost: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventMask({})", MaskDisplay(self.0))
    }
}

/// A combination that the kernel would reject, detected before the call is made.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MaskError {
    /// Exclusive masks may contain `READABLE` and `WRITABLE` only.
    ExclusiveInterest,
    /// An exclusive registration cannot be modified, nor another become exclusive:
    /// deregister it and register it again.
    ExclusiveImmutable,
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExclusiveInterest => "an exclusive registration takes only READABLE and WRITABLE",
            Self::ExclusiveImmutable => "an exclusive registration cannot be re-armed",
        })
    }
}

impl core::error::Error for MaskError {}

/// What a descriptor is ready for.
///
/// ```
/// # use epollite::Ready;
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
    /// Only then may an edge-triggered reader omit the last `recv`, and only when it is
    /// registered for [`Interest::PRIORITY`] and [`Interest::READ_CLOSED`].
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

/// What [`Reactor::next`](crate::Reactor::next) returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A live registration is ready.
    Io {
        /// Its token.
        token: Token,
        /// What it is ready for.
        ready: Ready,
    },
    /// A registration's deadline has passed. It is no longer set.
    Timer {
        /// Its token.
        token: Token,
    },
    /// Another thread has called [`Waker::wake`](crate::Waker::wake), at least once.
    Woken,
}

/// Prints the bits of a mask by the names of epoll_ctl(2), unknown ones in hexadecimal.
struct MaskDisplay(u32);

impl fmt::Display for MaskDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 9] = [
            (EPOLLIN, "IN"),
            (EPOLLPRI, "PRI"),
            (EPOLLOUT, "OUT"),
            (EPOLLERR, "ERR"),
            (EPOLLHUP, "HUP"),
            (EPOLLRDHUP, "RDHUP"),
            (EPOLLEXCLUSIVE, "EXCLUSIVE"),
            (EPOLLONESHOT, "ONESHOT"),
            (EPOLLET, "ET"),
        ];
        let mut rest = self.0;
        let mut between = "";
        for (bit, name) in NAMES {
            if rest & bit != 0 {
                write!(f, "{between}{name}")?;
                between = "|";
                rest &= !bit;
            }
        }
        if rest != 0 || self.0 == 0 {
            write!(f, "{between}{rest:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn masks_print_as_the_man_page_names_them() {
        let mask = EventMask::new(Interest::READABLE | Interest::READ_CLOSED, Trigger::EdgeOneShot);
        assert_eq!(format!("{mask:?}"), "EventMask(IN|RDHUP|ONESHOT|ET)");
        assert_eq!(format!("{}", Ready::from_bits(0)), "0x0");
        assert_eq!(format!("{}", Ready::from_bits(0x101)), "IN|0x100");
    }

    #[test]
    fn exclusive_refuses_what_the_kernel_would() {
        for bad in [Interest::PRIORITY, Interest::READ_CLOSED] {
            let mask = EventMask::exclusive(Interest::READABLE | bad, ExclusiveTrigger::Edge);
            assert_eq!(mask, Err(MaskError::ExclusiveInterest));
        }
        let mask =
            EventMask::exclusive(Interest::READABLE | Interest::WRITABLE, ExclusiveTrigger::Level);
        assert!(mask.is_ok_and(EventMask::is_exclusive));
    }
}
