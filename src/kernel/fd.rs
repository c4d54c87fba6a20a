//! A file descriptor as a value: moved, never copied, closed only by a kernel.
//!
//! Knows no system call. It adds ownership to a number.

use core::fmt;

/// An owned file descriptor.
///
/// It is moved and never copied, so that exactly one owner can close it. It has no `Drop`:
/// closing is a call of the kernel that created it ([`Kernel::close`](crate::Kernel::close)), and
/// a simulated kernel uses that to detect leaks. Dropping one leaks it; the
/// [`Reactor`](crate::Reactor) never does.
///
/// It is non-blocking: a kernel creates it so, and what comes from elsewhere is a
/// [`MaybeBlockingFd`](crate::kernel::MaybeBlockingFd) until it was made so.
///
/// Real and simulated descriptors share the type and cannot be confused: a simulated one
/// passed to the real kernel is `EBADF`.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
#[must_use = "dropping a descriptor leaks it: register it or close it"]
pub struct Fd(i32);

impl Fd {
    /// The descriptor `number` of a kernel that is not the real one. Cost: O(1).
    ///
    /// For implementations of [`Kernel`](crate::Kernel) outside this crate. Real descriptors come
    /// from the real kernel, from `OwnedFd`, or from
    /// [`Linux::from_raw_fd`](crate::Linux::from_raw_fd), which is `unsafe` because a number alone
    /// proves no ownership.
    ///
    /// # Panics
    /// `number` is over `i32::MAX`.
    pub const fn simulated(number: u32) -> Self {
        assert!(number <= i32::MAX.cast_unsigned(), "descriptors are non-negative numbers");
        Self(!number.cast_signed())
    }

    /// Whether it belongs to a kernel that is not the real one. Cost: O(1).
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        self.0 < 0
    }

    /// Its number in the kernel that created it. Cost: O(1).
    #[must_use]
    pub const fn number(&self) -> u32 {
        if self.0 < 0 { !self.0.cast_unsigned() } else { self.0.cast_unsigned() }
    }

    /// For the real kernel: the argument of a call. Negative, and so `EBADF`, when simulated.
    pub(crate) const fn raw(&self) -> i32 {
        self.0
    }

    /// For the real kernel, which has just returned `raw`; and for code that shares one
    /// descriptor between owners and decides itself which of them closes it.
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
    fn a_simulated_fd_is_ebadf_on_linux() {
        for number in [0, 1, 7, i32::MAX.cast_unsigned()] {
            let fd = Fd::simulated(number);
            assert_eq!((fd.number(), fd.is_simulated()), (number, true));
            assert!(fd.raw() < 0);
        }
    }
}
