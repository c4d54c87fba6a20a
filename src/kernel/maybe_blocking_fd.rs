//! `MaybeBlockingFd`: a descriptor that no kernel of this crate has created.
//!
//! Knows no system call. It adds to an [`Fd`] that it may be blocking.

use super::Fd;

/// An owned descriptor that may be blocking: its open file was created elsewhere. It was
/// [received](super::Descriptors) or inherited, or comes from
/// [`Linux::from_raw_fd`](crate::Linux::from_raw_fd) or `Linux::from_owned_fd`.
///
/// An [`Fd`] is non-blocking, and that is what reactors, servers and tasks take: registered with
/// one of them, a blocking descriptor would stop the whole loop at the first call that finds
/// nothing. So this type is not registered; it is
/// [made non-blocking](Self::into_nonblocking) first, or passed to
/// [`Reactor::register_nonblocking`](crate::Reactor::register_nonblocking). `Fd::from` does the
/// same for what is from `std`.
///
/// ```compile_fail,E0308
/// # use epollite::{Interest, Linux, Reactor, Trigger};
/// # fn f(mut reactor: Reactor<()>, socket: std::os::fd::OwnedFd) {
/// let socket = Linux::from_owned_fd(socket);
/// let _ = reactor.register(socket, Interest::READABLE, Trigger::Level, ()); // It may block.
/// # }
/// ```
///
/// ```
/// # #[cfg(feature = "std")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use epollite::{Errno, Interest, Kernel, Linux, Reactor, Trigger};
/// use std::os::unix::net::UnixStream;
///
/// let (near, _far) = UnixStream::pair()?;
/// let socket = Linux::from_owned_fd(near.into()).into_nonblocking(&mut Linux)?;
/// assert_eq!(Linux.recv(&socket, &mut [0; 8]), Err(Errno::EAGAIN));
/// let mut reactor = Reactor::new()?;
/// reactor.register_or_close(socket, Interest::READABLE, Trigger::Level, ())?;
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))]
/// # fn main() {}
/// ```
#[derive(PartialEq, Eq, Hash, Debug)]
#[must_use = "dropping a descriptor leaks it: make it non-blocking or close it"]
pub struct MaybeBlockingFd(Fd);

impl MaybeBlockingFd {
    /// For calls of a [`Kernel`](crate::Kernel), each of which may block. Cost: O(1).
    pub const fn get(&self) -> &Fd {
        &self.0
    }

    /// The descriptor with the flags that it has: it is non-blocking, as the caller knows, or it is
    /// never registered. Cost: O(1).
    pub fn into_fd_as_is(self) -> Fd {
        self.0
    }
}

/// One that may have become blocking since it was created.
impl From<Fd> for MaybeBlockingFd {
    fn from(fd: Fd) -> Self {
        Self(fd)
    }
}
