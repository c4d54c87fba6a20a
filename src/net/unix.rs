//! `UnixAddr`: the three kinds of Unix socket names.
//!
//! Unnamed, a path in the file system, or an abstract name: any bytes, valid in one network
//! namespace, removed with the socket. It opens no file and does not know whether a path exists.

use core::fmt;

use super::addr_error::AddrError;

/// The offset of `sun_path` in `sockaddr_un`: after the family.
pub(crate) const SUN_PATH_OFFSET: usize = 2;
/// The size of `sun_path`.
pub(crate) const SUN_PATH_BYTES: usize = 108;

/// The name of a Unix socket: unnamed, a path, or abstract.
///
/// Man page: unix(7)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnixAddr {
    /// The content of `sun_path`, without the NUL after a path. An abstract name begins with its
    /// NUL, a path never does, so the bytes determine the kind. Unused bytes are zero, so that
    /// equal names are equal values.
    sun_path: [u8; SUN_PATH_BYTES],
    len: u8,
}

impl UnixAddr {
    /// The name of an unnamed socket: a client, or one end of a socket pair.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert!(UnixAddr::unnamed().is_unnamed());
    /// ```
    #[must_use]
    pub const fn unnamed() -> Self {
        Self { sun_path: [0; SUN_PATH_BYTES], len: 0 }
    }

    /// A path in the file system, of 1 to 108 bytes.
    ///
    /// A path of 108 bytes leaves no room for the NUL in `sun_path`. Linux accepts it all the
    /// same, and so does this; other systems reject it and many C programs misread it.
    /// Cost: O(bytes).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert_eq!(UnixAddr::path(b"/run/echo")?.as_path(), Some(&b"/run/echo"[..]));
    /// assert!(UnixAddr::path(&[b'a'; 109]).is_err());
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    ///
    /// # Errors
    /// * [`AddrError::Empty`]: no bytes; use [`UnixAddr::unnamed`] for that.
    /// * [`AddrError::TooLong`]: more than 108 bytes; use a shorter path, or a relative one.
    /// * [`AddrError::NulInPath`]: the kernel would truncate the path there.
    ///
    /// Man page: unix(7), "Pathname sockets"
    pub fn path(path: &[u8]) -> Result<Self, AddrError> {
        if path.is_empty() {
            return Err(AddrError::Empty);
        }
        if path.contains(&0) {
            return Err(AddrError::NulInPath);
        }
        Self::from_parts(&[], path)
    }

    /// An abstract name of 0 to 107 bytes of any value, without the leading NUL. Cost: O(bytes).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert_eq!(UnixAddr::abstract_name(b"echo")?.to_string(), "unix:@echo");
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    ///
    /// # Errors
    /// * [`AddrError::TooLong`]: more than 107 bytes.
    ///
    /// Man page: unix(7), "Abstract sockets"
    pub fn abstract_name(name: &[u8]) -> Result<Self, AddrError> {
        Self::from_parts(&[0], name)
    }

    /// Decodes what follows the family. The kernel ends a path with a NUL, which may be the 109th
    /// byte; a program that fills `sun_path` completely has none.
    pub(super) fn from_sun_path(bytes: &[u8]) -> Result<Self, AddrError> {
        match bytes {
            [] => Ok(Self::unnamed()),
            [0, name @ ..] => Self::abstract_name(name),
            _ => Self::path(bytes.split(|byte| *byte == 0).next().unwrap_or_default()),
        }
    }

    /// The name of `first`, and `rest`.
    fn from_parts(first: &[u8], rest: &[u8]) -> Result<Self, AddrError> {
        let mut unix = Self::unnamed();
        for byte in first.iter().chain(rest) {
            let room = unix.sun_path.get_mut(usize::from(unix.len)).ok_or(AddrError::TooLong)?;
            *room = *byte;
            unix.len += 1;
        }
        Ok(unix)
    }

    pub(super) fn sun_path(&self) -> &[u8] {
        self.sun_path.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The path, without a NUL, if the name is one. Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert_eq!(UnixAddr::path(b"echo")?.as_path(), Some(&b"echo"[..]));
    /// assert_eq!(UnixAddr::abstract_name(b"echo")?.as_path(), None);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub fn as_path(&self) -> Option<&[u8]> {
        match self.sun_path() {
            [] | [0, ..] => None,
            path => Some(path),
        }
    }

    /// The abstract name, without the leading NUL, if it is one. Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert_eq!(UnixAddr::abstract_name(b"echo")?.as_abstract(), Some(&b"echo"[..]));
    /// assert_eq!(UnixAddr::path(b"echo")?.as_abstract(), None);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub fn as_abstract(&self) -> Option<&[u8]> {
        match self.sun_path() {
            [0, name @ ..] => Some(name),
            _ => None,
        }
    }

    /// Whether it is unnamed. Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::UnixAddr;
    /// assert!(!UnixAddr::abstract_name(b"")?.is_unnamed(), "an empty name is one");
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub const fn is_unnamed(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for UnixAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixAddr({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::super::addr::Addr;
    use super::*;

    fn sockaddr(sun_path: &[u8]) -> Vec<u8> {
        [&1_u16.to_ne_bytes()[..], sun_path].concat()
    }

    fn path(path: &[u8]) -> Addr {
        Addr::Unix(UnixAddr::path(path).unwrap())
    }

    #[test]
    fn an_unnamed_socket_is_the_family_alone() {
        let unnamed = Addr::Unix(UnixAddr::unnamed());
        assert_eq!(unnamed.encode().as_bytes(), sockaddr(b""));
        assert_eq!(Addr::decode(&sockaddr(b"")), Ok(unnamed));
        assert!(UnixAddr::unnamed().is_unnamed());
    }

    #[test]
    fn a_path_ends_with_a_nul_and_is_read_without_one_too() {
        assert_eq!(path(b"/run/echo").encode().as_bytes(), sockaddr(b"/run/echo\0"));
        assert_eq!(Addr::decode(&sockaddr(b"/run/echo\0")), Ok(path(b"/run/echo")));
        assert_eq!(Addr::decode(&sockaddr(b"/run/echo")), Ok(path(b"/run/echo")));
        assert_eq!(Addr::decode(&sockaddr(b"/run/echo\0\0junk")), Ok(path(b"/run/echo")));
    }

    #[test]
    fn a_path_that_fills_sun_path_is_sent_without_a_nul_and_read_with_one_more() {
        let full = [b'p'; SUN_PATH_BYTES];
        assert_eq!(path(&full).encode().as_bytes(), sockaddr(&full));
        assert_eq!(path(&full[..107]).encode().as_bytes().len(), 110);
        assert_eq!(Addr::decode(&sockaddr(&full)), Ok(path(&full)));
        let from_the_kernel = sockaddr(&[&full[..], b"\0"].concat());
        assert_eq!(from_the_kernel.len(), 111);
        assert_eq!(Addr::decode(&from_the_kernel), Ok(path(&full)));
    }

    #[test]
    fn an_abstract_name_keeps_its_exact_length() {
        for name in [&b""[..], b"echo", b"\0a\0", &[0; 107]] {
            let addr = Addr::Unix(UnixAddr::abstract_name(name).unwrap());
            let bytes = sockaddr(&[b"\0", name].concat());
            assert_eq!(addr.encode().as_bytes(), bytes);
            assert_eq!(Addr::decode(&bytes), Ok(addr));
            assert!(matches!(addr, Addr::Unix(unix) if unix.as_abstract() == Some(name)));
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_rejected() {
        assert_eq!(UnixAddr::path(b""), Err(AddrError::Empty));
        assert_eq!(UnixAddr::path(b"a\0b"), Err(AddrError::NulInPath));
        assert_eq!(UnixAddr::path(&[b'a'; 109]), Err(AddrError::TooLong));
        assert_eq!(UnixAddr::abstract_name(&[b'a'; 108]), Err(AddrError::TooLong));
        assert_eq!(Addr::decode(&sockaddr(&[b'a'; 109])), Err(AddrError::TooLong));
        assert_eq!(Addr::decode(&sockaddr(&[0; 109])), Err(AddrError::TooLong));
    }

    #[test]
    fn paths_and_abstract_names_differ() {
        let (by_path, by_name) =
            (UnixAddr::path(b"a").unwrap(), UnixAddr::abstract_name(b"a").unwrap());
        assert_eq!((by_path.as_path(), by_path.as_abstract()), (Some(&b"a"[..]), None));
        assert_eq!((by_name.as_path(), by_name.as_abstract()), (None, Some(&b"a"[..])));
        assert_ne!(by_path, by_name);
        assert_eq!(format!("{by_name:?}"), "UnixAddr(unix:@a)");
    }

    #[cfg(feature = "std")]
    #[test]
    fn std_addresses_are_converted() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixStream};

        let by_path = SocketAddr::from_pathname("/run/echo").unwrap();
        assert_eq!(Addr::from(&by_path), path(b"/run/echo"));
        let by_name = SocketAddr::from_abstract_name(b"echo\0").unwrap();
        let expected = UnixAddr::abstract_name(b"echo\0").unwrap();
        assert_eq!(Addr::from(&by_name), Addr::Unix(expected));
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Addr::from(&one.local_addr().unwrap()), Addr::Unix(UnixAddr::unnamed()));
    }
}
