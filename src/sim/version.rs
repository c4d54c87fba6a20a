//! Versions of Linux, as far as a rule of the model depends on them.
//!
//! Values only. Each constant names what changed there; the rules read `config.version`.

use core::fmt;

/// A release series of Linux, such as 6.12: its newest release, with everything backported to it.
///
/// Versions are compared with the series in which mainline changed.
///
/// ```
/// use epollite::sim::{SimConfig, Version};
/// use epollite::{Errno, Kernel};
/// use epollite::kernel::{Shutdown, SocketType};
/// use epollite::net::AddressFamily;
/// use epollite::sim::Sim;
/// let mut old = Sim::new(SimConfig { version: Version::LINUX_6_1, ..SimConfig::default() });
/// let socket = old.socket(AddressFamily::Unix, SocketType::Datagram)?;
/// old.shutdown(&socket, Shutdown::Write)?;
/// // The newest returns EPIPE.
/// assert_eq!(old.send(&socket, b"hello"), Err(Errno::ENOTCONN));
/// old.close(socket)?;
/// # Ok::<(), Errno>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    major: u16,
    minor: u16,
}

impl Version {
    /// The oldest version that the model is compared with.
    pub const LINUX_6_1: Self = Self::new(6, 1);
    /// A splice from a pipe to a socket is one send, no longer one per page.
    pub const LINUX_6_5: Self = Self::new(6, 5);
    /// A write of more than eight bytes to an eventfd is rejected; an epoll has ioctls of its own.
    pub const LINUX_6_9: Self = Self::new(6, 9);
    /// The other long-term series that the model is compared with.
    pub const LINUX_6_12: Self = Self::new(6, 12);
    /// A send on a Unix datagram socket checks its default peer last, no longer first.
    pub const LINUX_6_14: Self = Self::new(6, 14);
    /// Only Unix sockets may pass credentials.
    pub const LINUX_6_16: Self = Self::new(6, 16);
    /// The newest version that the model is compared with; the default.
    pub const NEWEST: Self = Self::new(6, 18);

    /// A version by its two numbers. Cost: O(1).
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version in a kernel's release string as of uname(2): `6.12.117+deb12-cloud-amd64`.
    /// `None` when it does not begin with two numbers. Cost: O(length).
    #[must_use]
    pub fn from_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self::new(number()?, number()?))
    }
}

impl fmt::Display for Version {
    /// `6.12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::NEWEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_its_version() {
        for (release, version) in [
            ("6.1.0-56-cloud-amd64", Some(Version::LINUX_6_1)),
            ("6.12.117+deb12-cloud-amd64", Some(Version::LINUX_6_12)),
            ("7.0-rc1", Some(Version::new(7, 0))),
            ("6", None),
            ("", None),
            ("v6.1", None),
        ] {
            assert_eq!(Version::from_release(release), version, "release {release:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        assert!(Version::new(5, 19) < Version::LINUX_6_1);
        assert!(Version::LINUX_6_1 < Version::LINUX_6_12);
        assert!(Version::LINUX_6_12 < Version::LINUX_6_14);
        assert!(Version::LINUX_6_14 < Version::NEWEST);
    }
}
