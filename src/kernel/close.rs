//! Closing what has no data on a disk.

use super::{Descriptors, Fd, Kernel};

/// Closes a descriptor without data on a disk: a socket, an epoll, an eventfd. The result is
/// ignored: an error could only concern such data, and the descriptor is closed in any case.
/// Cost: one system call.
///
/// Man page: close(2)
pub fn close_quietly<K: Kernel + ?Sized>(kernel: &mut K, fd: Fd) {
    let _ = kernel.close(fd);
}

impl Descriptors {
    /// Closes all that are left. Cost: one system call for each.
    ///
    /// Man page: close(2)
    pub fn close_all<K: Kernel + ?Sized>(mut self, kernel: &mut K) {
        while let Some(fd) = self.take() {
            close_quietly(kernel, fd.into_fd_as_is());
        }
    }
}
