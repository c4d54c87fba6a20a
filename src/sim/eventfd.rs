//! Eventfd: a counter that can be polled.
//!
//! Knows only itself, and versions.

use super::file::{Result, err_if, mask_if};
use super::version::Version;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLIN, EPOLLOUT};

/// The maximal value that a write may reach.
///
/// Man page: eventfd(2)
const COUNTER_MAX: u64 = u64::MAX - 1;

pub(super) struct EventFd(pub(super) u64);

impl EventFd {
    /// Reference: fs/eventfd.c: `eventfd_poll`
    pub(super) fn poll(&self) -> u32 {
        let Self(count) = *self;
        mask_if(count > 0, EPOLLIN)
            | mask_if(count == u64::MAX, EPOLLERR)
            | mask_if(count < COUNTER_MAX, EPOLLOUT)
    }

    /// Returns the whole count and sets it to zero.
    ///
    /// Reference: fs/eventfd.c: `eventfd_read`
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let bytes = buf.first_chunk_mut().ok_or(Errno::EINVAL)?;
        err_if(self.0 == 0, Errno::EAGAIN)?;
        *bytes = core::mem::take(&mut self.0).to_ne_bytes();
        Ok(bytes.len())
    }

    /// Adds. Before Linux 6.9 bytes beyond the eighth were ignored; since then they are rejected.
    ///
    /// Reference: fs/eventfd.c: `eventfd_write`; changed by "eventfd: strictly check the count
    /// parameter of eventfd_write to avoid inputting illegal strings"
    pub(super) fn write(&mut self, buf: &[u8], version: Version) -> Result<usize> {
        let bytes = buf.first_chunk().ok_or(Errno::EINVAL)?;
        err_if(buf.len() > bytes.len() && version >= Version::LINUX_6_9, Errno::EINVAL)?;
        let more = u64::from_ne_bytes(*bytes);
        err_if(more == u64::MAX, Errno::EINVAL)?;
        let sum = self.0.checked_add(more).filter(|sum| *sum <= COUNTER_MAX);
        self.0 = sum.ok_or(Errno::EAGAIN)?;
        Ok(bytes.len())
    }
}
