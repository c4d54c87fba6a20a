//! `CallError`: an error with the name of its call, for functions that make several.
//!
//! Values only. A function that makes one call returns a plain [`Errno`].

use core::fmt;

use super::Syscall;
use crate::errno::Errno;

/// Which call failed, and its error.
///
/// ```
/// use epollite::Errno;
/// use epollite::kernel::{CallError, Syscall};
/// let error = CallError { call: Syscall::Bind, errno: Errno::EADDRINUSE };
/// assert!(error.to_string().starts_with("bind: EADDRINUSE: "));
/// assert_eq!(Errno::from(error), Errno::EADDRINUSE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallError {
    /// The call.
    pub call: Syscall,
    /// Its error.
    pub errno: Errno,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call.name(), self.errno)
    }
}

impl core::error::Error for CallError {}

/// For callers that pass only the errno on.
impl From<CallError> for Errno {
    fn from(error: CallError) -> Self {
        error.errno
    }
}
