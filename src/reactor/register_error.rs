//! `RegisterError`: why a registration failed, with what was to be registered.

use core::fmt;

use crate::errno::Errno;
use crate::event::MaskError;
use crate::kernel::{CallError, Fd};

/// Why a registration, or a change of one, failed.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterErrorKind {
    /// There are `registrations_max` registrations.
    Full,
    /// A combination of flags that Linux does not accept; no call was made.
    InvalidMask(MaskError),
    /// epoll_ctl(2) failed, or there is no memory (`ENOMEM`).
    Os(Errno),
    /// A call before that failed, which makes the descriptor non-blocking or duplicates it.
    Call(CallError),
}

/// A failed registration: the descriptor and the state are returned.
#[must_use = "the descriptor is yours again: close it or keep it"]
pub struct RegisterError<T> {
    /// The cause.
    pub kind: RegisterErrorKind,
    /// Open, and not registered.
    pub fd: Fd,
    /// The state that was passed in.
    pub state: T,
}

impl<T> fmt::Debug for RegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisterError({:?}, {:?})", self.kind, self.fd)
    }
}

impl fmt::Display for RegisterErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the reactor is full"),
            Self::InvalidMask(error) => error.fmt(f),
            Self::Os(errno) => errno.fmt(f),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RegisterErrorKind {}

impl From<Errno> for RegisterErrorKind {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

/// For callers that pass an errno on: `ENOSPC` for a full reactor, as Linux returns it for a full
/// epoll, and `EINVAL` for a combination of flags that Linux does not accept.
impl From<RegisterErrorKind> for Errno {
    fn from(kind: RegisterErrorKind) -> Self {
        match kind {
            RegisterErrorKind::Full => Self::ENOSPC,
            RegisterErrorKind::InvalidMask(_) => Self::EINVAL,
            RegisterErrorKind::Os(errno) => errno,
            RegisterErrorKind::Call(error) => error.errno,
        }
    }
}
