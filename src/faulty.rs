//! A kernel that fails on purpose: call n, with errno e, once or for ever.
//!
//! Knows which errnos a call's man page allows, and nothing of who makes the call. The method
//! is SQLite's: fail call 0, then call 1, … until a run that no fault reached.

use crate::errno::Errno;
use crate::kernel::{Call, Tap, Tapped};

/// A kernel that fails on purpose.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use epollite::{Errno, Faults, Faulty, Kernel, Linux};
/// let mut kernel = Faulty::over(Linux, Faults::once(1, Errno::EMFILE));
/// let first = kernel.eventfd(0).unwrap();             // call 0
/// assert_eq!(kernel.eventfd(0), Err(Errno::EMFILE));  // call 1
/// let third = kernel.eventfd(0).unwrap();             // call 2
/// assert!(kernel.tap.has_struck());
/// # kernel.close(first).unwrap(); kernel.close(third).unwrap();
/// # }
/// ```
pub type Faulty<K> = Tapped<K, Faults>;

impl<K> Faulty<K> {
    /// `kernel`, failing as `faults` say. Work: O(1).
    pub const fn over(kernel: K, faults: Faults) -> Self {
        Self { kernel, tap: faults }
    }
}

/// Which call fails, how, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    at: u64,
    errno: Errno,
    lasts: bool,
    only: Option<Call>,
    made: u64,
    struck: u64,
}

impl Faults {
    /// Call number `at`, from 0, fails with `errno`; no other does. Work: O(1).
    #[must_use]
    pub const fn once(at: u64, errno: Errno) -> Self {
        Self { at, errno, lasts: false, only: None, made: 0, struck: 0 }
    }

    /// Call number `at`, from 0, and every later one fails with `errno`. Work: O(1).
    #[must_use]
    pub const fn for_ever(at: u64, errno: Errno) -> Self {
        Self { lasts: true, ..Self::once(at, errno) }
    }

    /// Only calls of this kind are counted, and fail. Work: O(1).
    #[must_use]
    pub const fn only(self, call: Call) -> Self {
        Self { only: Some(call), ..self }
    }

    /// Whether calls fail from some point on for ever. Work: O(1).
    #[must_use]
    pub const fn lasts(&self) -> bool {
        self.lasts
    }

    /// Whether any call was made to fail. Work: O(1).
    #[must_use]
    pub const fn has_struck(&self) -> bool {
        self.struck > 0
    }

    /// How many calls were made to fail. Work: O(1).
    #[must_use]
    pub const fn struck(&self) -> u64 {
        self.struck
    }

    /// How many calls were counted. Work: O(1).
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// How the call may fail when its caller has made no mistake: what the network, other
    /// processes, signals or want of resources do. `EAGAIN` is not among them: it is a fact
    /// about the descriptor, and a kernel that lies about it breaks edge triggering.
    /// Work: O(1).
    #[must_use]
    pub const fn of(call: Call) -> &'static [Errno] {
        type E = Errno;
        match call {
            Call::Socket | Call::Socketpair => {
                &[E::EMFILE, E::ENFILE, E::ENOBUFS, E::ENOMEM, E::EACCES, E::EAFNOSUPPORT]
            }
            Call::Bind => &[E::EADDRINUSE, E::EACCES, E::EADDRNOTAVAIL, E::ENOMEM],
            Call::Listen => &[E::EADDRINUSE],
            Call::Accept4 => &[
                E::EINTR,
                E::EMFILE,
                E::ENFILE,
                E::ENOBUFS,
                E::ENOMEM,
                E::ECONNABORTED,
                E::EPROTO,
                E::EPERM,
                E::ENETDOWN,
                E::EHOSTUNREACH,
                E::ENETUNREACH,
                E::ETIMEDOUT,
            ],
            Call::Connect => {
                &[E::EINTR, E::ECONNREFUSED, E::ENETUNREACH, E::ETIMEDOUT, E::EADDRNOTAVAIL]
            }
            Call::Getsockname | Call::Getpeername => &[E::ENOBUFS, E::ENOTCONN],
            Call::Setsockopt | Call::Getsockopt => &[E::ENOMEM, E::ENOPROTOOPT],
            Call::Recv | Call::Recvfrom | Call::Recvmmsg | Call::Recvmsg => &[
                E::EINTR,
                E::ECONNRESET,
                E::ECONNREFUSED,
                E::ETIMEDOUT,
                E::EHOSTUNREACH,
                E::ENOMEM,
                E::ENOBUFS,
            ],
            Call::Send | Call::Sendto | Call::Sendmmsg | Call::Sendmsg => &[
                E::EINTR,
                E::ECONNRESET,
                E::EPIPE,
                E::ETIMEDOUT,
                E::EHOSTUNREACH,
                E::ENETUNREACH,
                E::EPERM,
                E::ENOMEM,
                E::ENOBUFS,
                E::EMSGSIZE,
            ],
            // A sandbox that knows no such request.
            Call::Ioctl => &[E::EPERM, E::ENOSYS],
            Call::Shutdown => &[E::ENOTCONN],
            Call::Read | Call::Write | Call::Splice => &[E::EINTR, E::EIO, E::ENOMEM],
            Call::Pipe2 | Call::Eventfd | Call::Signalfd | Call::Dup => {
                &[E::EMFILE, E::ENFILE, E::ENOMEM]
            }
            Call::Sigprocmask => &[],
            Call::Close => &[E::EINTR, E::EIO],
            Call::EpollCreate1 => &[E::EMFILE, E::ENFILE, E::ENOMEM],
            Call::EpollCtl => &[E::ENOMEM, E::ENOSPC],
            Call::EpollWait => &[E::EINTR],
            Call::EpollPwait2 => &[E::EINTR, E::ENOSYS],
            Call::Prlimit => &[E::EPERM],
            // No kernel of ours makes these: there is nothing to refuse.
            Call::Poll | Call::Select | Call::Fork | Call::Waitpid | Call::Kill => &[],
        }
    }
}

impl Tap for Faults {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        if self.only.is_some_and(|only| only != call) {
            return Ok(());
        }
        let number = self.made;
        self.made += 1;
        let strikes = if self.lasts { number >= self.at } else { number == self.at };
        if strikes {
            self.struck += 1;
            return Err(self.errno);
        }
        Ok(())
    }

    fn leave(&mut self, _: Call, _: Option<Errno>) {}
}
