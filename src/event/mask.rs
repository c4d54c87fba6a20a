//! `EventMask`: interest and trigger together, checked as the kernel would.

use core::fmt;

use super::{
    EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLOUT, ExclusiveTrigger, Interest, MaskDisplay, Trigger,
};

/// A mask that epoll_ctl(2) accepts: interest and trigger, validated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventMask(u32);

impl EventMask {
    /// Combines any interest with any trigger. Cost: O(1).
    #[must_use]
    pub const fn new(interest: Interest, trigger: Trigger) -> Self {
        Self(interest.bits() | trigger.bits())
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
        if interest.bits() & !(EPOLLIN | EPOLLOUT) != 0 {
            return Err(MaskError::ExclusiveInterest);
        }
        let trigger = match exclusive {
            ExclusiveTrigger::Level => 0,
            ExclusiveTrigger::Edge => EPOLLET,
        };
        Ok(Self(interest.bits() | trigger | EPOLLEXCLUSIVE))
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
