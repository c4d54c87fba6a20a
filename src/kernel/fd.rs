//! A file descriptor as a value: moved, never copied, closed only by a kernel.
//!
//! Knows no system call. What it adds to a number is who may hold it.

use core::fmt;

/// A file descriptor, owned.
///
/// It is moved and never copied, so that exactly one holder can close it. It has no `Drop`:
/// closing is a verb of the kernel that made it ([`Kernel::close`](crate::Kernel::close)), and
/// a simulated kernel counts on that to catch leaks. Whoever lets one fall leaks it; the
/// [`Reactor`](crate::Reactor) never does.
///
/// Real and simulated descriptors share the type and cannot be mixed up: a simulated one
/// handed to the real kernel is `EBADF`.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use = "a descriptor that falls is leaked: register it or close it"]
pub struct Fd(i32);

impl Fd {
    /// The descriptor `number` of a kernel that is not the real one. Work: O(1).
    ///
    /// Whoever writes a [`Kernel`](crate::Kernel) of his own makes his descriptors with this.
    /// Real ones come from the real kernel, from `OwnedFd`, or from
    /// [`Linux::adopt`](crate::Linux::adopt), which is `unsafe` because a number alone proves
    /// no ownership.
    ///
    /// # Panics
    /// `number` is over `i32::MAX`.
    pub const fn simulated(number: u32) -> Self {
        assert!(number <= i32::MAX.cast_unsigned(), "descriptors are non-negative numbers");
        Self(!number.cast_signed())
    }

    /// Whether it belongs to a kernel that is not the real one. Work: O(1).
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        self.0 < 0
    }

    /// Its number, as the kernel that made it counts. Work: O(1).
    #[must_use]
    pub const fn number(&self) -> u32 {
        if self.0 < 0 { !self.0.cast_unsigned() } else { self.0.cast_unsigned() }
    }

    /// For the real kernel: what to pass to a call. Negative, and so `EBADF`, when simulated.
    pub(crate) const fn raw(&self) -> i32 {
        self.0
    }

    /// For the real kernel, which has just been given `raw`; and for those who hold one
    /// descriptor in two hands and settle between themselves who closes it.
    pub(crate) const fn from_raw(raw: i32) -> Self {
        Self(raw)
    }
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_simulated() { "~" } else { "" };
        write!(f, "Fd({kind}{})", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_descriptor_is_nobody_to_the_real_kernel() {
        for number in [0, 1, 7, i32::MAX.cast_unsigned()] {
            let fd = Fd::simulated(number);
            assert_eq!((fd.number(), fd.is_simulated()), (number, true));
            assert!(fd.raw() < 0);
        }
    }
}
