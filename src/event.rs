//! What to watch for, how to be told, and what came: the words of epoll_ctl(2).
//!
//! Knows the bits by number and makes no call; that they are the kernel's numbers is
//! asserted where the kernel is.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use crate::token::Token;

/// `EPOLLIN`: there is something to read, to accept, or an end to be read.
pub const EPOLLIN: u32 = 0x001;
/// `EPOLLPRI`: urgent data.
pub const EPOLLPRI: u32 = 0x002;
/// `EPOLLOUT`: there is room to write.
pub const EPOLLOUT: u32 = 0x004;
/// `EPOLLERR`: an error is pending; reported unasked.
pub const EPOLLERR: u32 = 0x008;
/// `EPOLLHUP`: both directions are over; reported unasked.
pub const EPOLLHUP: u32 = 0x010;
/// `EPOLLRDHUP`: the peer has ended its direction.
pub const EPOLLRDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`: wake few of those who watch through different epolls.
pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`: disarm after one report.
pub const EPOLLONESHOT: u32 = 1 << 30;
/// `EPOLLET`: report arrivals, not states.
pub const EPOLLET: u32 = 1 << 31;

/// What a registration wants to hear of. `error` and `hup` come unasked.
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
    /// Nothing but the unasked `error` and `hup`. They cannot be masked: on a descriptor
    /// that has hung up, level-triggered, even this interest fires for ever.
    pub const NONE: Self = Self(0);
    /// Bytes, connections, datagrams, or an end to be read (`EPOLLIN`).
    pub const READABLE: Self = Self(EPOLLIN);
    /// Room to write (`EPOLLOUT`).
    pub const WRITABLE: Self = Self(EPOLLOUT);
    /// Urgent data (`EPOLLPRI`).
    pub const PRIORITY: Self = Self(EPOLLPRI);
    /// The peer's end, apart from the data before it (`EPOLLRDHUP`).
    pub const READ_CLOSED: Self = Self(EPOLLRDHUP);

    /// Whether all of `other` is wanted. Work: O(1).
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of epoll_ctl(2). Work: O(1).
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
        write!(f, "Interest({})", Mask(self.0))
    }
}

/// How a registration wants to be told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Trigger {
    /// As long as it is so. Forgiving; a mask that is always true makes a loop spin.
    #[default]
    Level,
    /// When something arrives, once an arrival (`EPOLLET`). Who does not drain must
    /// remember it himself: nobody reminds him.
    Edge,
    /// Once, then not at all, not even of an error, until re-armed (`EPOLLONESHOT`).
    OneShot,
    /// Both: one arrival, then nothing until re-armed.
    EdgeOneShot,
}

impl Trigger {
    /// Whether one report disarms it until it is armed again. Work: O(1).
    #[must_use]
    pub const fn disarms(self) -> bool {
        matches!(self, Self::OneShot | Self::EdgeOneShot)
    }

    /// The bits of epoll_ctl(2). Work: O(1).
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

/// How a registration that shares its descriptor with other epolls wants to be told:
/// one or some of them are woken instead of all (`EPOLLEXCLUSIVE`).
///
/// A type of its own because the kernel refuses most mixes: there is no exclusive one-shot
/// to be written down here, and no re-arming ([`Refusal::ExclusiveIsFixed`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exclusive {
    /// As long as it is so.
    Level,
    /// When something arrives.
    Edge,
}

/// A mask that epoll_ctl(2) will take: interest and trigger, checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watch(u32);

impl Watch {
    /// Any interest goes with any trigger. Work: O(1).
    #[must_use]
    pub const fn new(interest: Interest, trigger: Trigger) -> Self {
        Self(interest.0 | trigger.bits())
    }

    /// An exclusive watch. Work: O(1).
    ///
    /// # Errors
    /// * [`Refusal::ExclusiveInterest`]: `interest` has `PRIORITY` or `READ_CLOSED`, which
    ///   the kernel answers with `EINVAL`.
    ///
    /// Man page: epoll_ctl(2)
    pub const fn exclusive(interest: Interest, exclusive: Exclusive) -> Result<Self, Refusal> {
        if interest.0 & !(EPOLLIN | EPOLLOUT) != 0 {
            return Err(Refusal::ExclusiveInterest);
        }
        let trigger = match exclusive {
            Exclusive::Level => 0,
            Exclusive::Edge => EPOLLET,
        };
        Ok(Self(interest.0 | trigger | EPOLLEXCLUSIVE))
    }

    /// Whether `EPOLLEXCLUSIVE` is in it. Work: O(1).
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        self.0 & EPOLLEXCLUSIVE != 0
    }

    /// The bits of epoll_ctl(2). Work: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", Mask(self.0))
    }
}

/// A mix that the kernel would refuse, named before the call is made.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// Exclusive watches hear of `READABLE` and `WRITABLE` only.
    ExclusiveInterest,
    /// An exclusive registration cannot be changed, nor another become exclusive:
    /// deregister it and register it anew.
    ExclusiveIsFixed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExclusiveInterest => "an exclusive watch takes only READABLE and WRITABLE",
            Self::ExclusiveIsFixed => "an exclusive registration cannot be re-armed",
        })
    }
}

impl core::error::Error for Refusal {}

/// What came, each fact apart.
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

    /// Takes the bits as epoll_wait(2) gives them. Work: O(1).
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as epoll_wait(2) gives them. Work: O(1).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Something to read, to accept, or an end to be read. Work: O(1).
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0 & EPOLLIN != 0
    }

    /// Room to write. Work: O(1).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & EPOLLOUT != 0
    }

    /// The peer has ended its direction; data may still stand before the end. Work: O(1).
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.0 & EPOLLRDHUP != 0
    }

    /// Both directions are over; data may still be there to be read. Work: O(1).
    #[must_use]
    pub const fn is_hup(self) -> bool {
        self.0 & EPOLLHUP != 0
    }

    /// An error waits to be taken, by the next call or by `SO_ERROR`. Work: O(1).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & EPOLLERR != 0
    }

    /// Urgent data. Work: O(1).
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0 & EPOLLPRI != 0
    }

    /// Whether a short read of a *TCP* socket proves that it is empty: nothing came that a
    /// read may stop short at (an urgent mark) or that may hide behind the data (an end, an
    /// error). Work: O(1).
    ///
    /// Only with this may an edge-triggered reader leave out the last `recv`, and only when
    /// it watches [`Interest::PRIORITY`] and [`Interest::READ_CLOSED`].
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
        Mask(self.0).fmt(f)
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
        /// Whose.
        token: Token,
        /// For what.
        ready: Ready,
    },
    /// A registration's deadline has passed. It is not set any more.
    Timer {
        /// Whose.
        token: Token,
    },
    /// Another thread has called [`Waker::wake`](crate::Waker::wake), at least once.
    Woken,
}

/// Prints the bits of a mask by the names of epoll_ctl(2), strangers in hexadecimal.
struct Mask(u32);

impl fmt::Display for Mask {
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
        let mask = Watch::new(Interest::READABLE | Interest::READ_CLOSED, Trigger::EdgeOneShot);
        assert_eq!(format!("{mask:?}"), "Watch(IN|RDHUP|ONESHOT|ET)");
        assert_eq!(format!("{}", Ready::from_bits(0)), "0x0");
        assert_eq!(format!("{}", Ready::from_bits(0x101)), "IN|0x100");
    }

    #[test]
    fn exclusive_refuses_what_the_kernel_would() {
        for bad in [Interest::PRIORITY, Interest::READ_CLOSED] {
            let mix = Watch::exclusive(Interest::READABLE | bad, Exclusive::Edge);
            assert_eq!(mix, Err(Refusal::ExclusiveInterest));
        }
        let mix = Watch::exclusive(Interest::READABLE | Interest::WRITABLE, Exclusive::Level);
        assert!(mix.is_ok_and(Watch::is_exclusive));
    }
}
