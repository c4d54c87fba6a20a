//! `Trigger`: when a registration is reported.

use super::{EPOLLET, EPOLLONESHOT};

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
/// cannot be expressed, nor re-arming
/// ([`MaskError::ExclusiveImmutable`](super::MaskError::ExclusiveImmutable)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExclusiveTrigger {
    /// Level-triggered.
    Level,
    /// Edge-triggered.
    Edge,
}
