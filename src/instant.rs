//! A point of the monotonic clock, in nanoseconds.
//!
//! Knows no clock: [`Kernel::now`](crate::Kernel::now) reads one, and a simulated kernel has its
//! own. It is separate from `std::time::Instant` because values of that type cannot be created
//! freely, nor without `std`.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since the clock's origin.
///
/// Everything in this crate waits for *deadlines*, not for timeouts: a deadline stays valid
/// when the wait is interrupted and repeated. Arithmetic saturates, so that
/// `now + Duration::MAX` is [`Instant::MAX`] and not an overflow that expires at once.
///
/// ```
/// # use epollite::Instant; use core::time::Duration;
/// let now = Instant::from_nanos(5);
/// assert_eq!(now + Duration::from_nanos(7) - now, Duration::from_nanos(7));
/// assert_eq!(now + Duration::MAX, Instant::MAX);
/// assert_eq!(now - Instant::MAX, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// The latest point, some 584 years after the origin.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin. Cost: O(1).
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin. Cost: O(1).
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin. Cost: O(1).
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).map_or(u64::MAX, |nanos| self.0.saturating_add(nanos)))
    }
}

/// The duration since `earlier`; zero if it is later.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}
