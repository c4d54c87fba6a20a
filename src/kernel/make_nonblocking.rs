//! Making a descriptor non-blocking that may not be.
//!
//! Knows ioctl(2) and close(2).

use super::{Fd, Kernel, MaybeBlockingFd, close_quietly};
use crate::errno::Errno;

impl MaybeBlockingFd {
    /// Makes it non-blocking. That is a property of the open file: every duplicate of it, in this
    /// process and in others, is non-blocking from then on. Cost: one system call.
    ///
    /// # Errors
    /// Those of [`Kernel::ioctl_fionbio`]; the descriptor is closed.
    ///
    /// Man page: ioctl(2), `FIONBIO`
    pub fn into_nonblocking<K: Kernel + ?Sized>(self, kernel: &mut K) -> Result<Fd, Errno> {
        match kernel.ioctl_fionbio(self.get()) {
            Ok(()) => Ok(self.into_fd_as_is()),
            Err(errno) => {
                self.close(kernel);
                Err(errno)
            }
        }
    }

    /// Closes it. Cost: one system call.
    ///
    /// Man page: close(2)
    pub fn close<K: Kernel + ?Sized>(self, kernel: &mut K) {
        close_quietly(kernel, self.into_fd_as_is());
    }
}
