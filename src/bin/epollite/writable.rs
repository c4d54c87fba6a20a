//! Whether a write to stdout or stderr would block.
//!
//! A server that blocks on its log serves no client and reads no signal in that time. So a pipe is
//! polled before a write, and text that would block is dropped. The poll is an epoll_wait of the
//! log's own, which the statistics and traces of the server do not count.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use epollite::kernel::{EpollEvent, EpollOp};
use epollite::{Fd, Interest, Kernel, Linux};

/// Delay before retrying a stream that cannot be polled.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Polls one stream for room. Its descriptors are allocated on first use.
pub(crate) struct WriteGuard(OnceLock<Option<WritePoller>>);

/// An epoll that watches one stream for writability.
struct WritePoller {
    epoll: Fd,
    /// A duplicate of the stream, open as long as the epoll is.
    _stream: Fd,
}

impl WriteGuard {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Whether a line can be written to `stream` now. A stream that cannot be polled is always
    /// writable: a regular file takes every write, and a closed stream fails at once.
    pub(crate) fn is_writable(&self, stream: &impl AsFd) -> bool {
        self.0
            .get_or_init(|| WritePoller::watch(stream))
            .as_ref()
            .is_none_or(|poller| poller.wait(0))
    }

    /// Waits until `stream` has room, for at most `timeout`.
    pub(crate) fn wait(&self, stream: &impl AsFd, timeout: Duration) {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX >> 1).max(1);
        match self.0.get_or_init(|| WritePoller::watch(stream)) {
            Some(poller) => _ = poller.wait(millis),
            None => std::thread::sleep(timeout.min(RETRY_INTERVAL)),
        }
    }
}

impl WritePoller {
    /// Whether there is room or an error, within `millis`.
    fn wait(&self, millis: u32) -> bool {
        let mut events = [EpollEvent::default()];
        // Level-triggered: every call reports the current state.
        Linux.epoll_wait(&self.epoll, &mut events, Some(millis)) != Ok(0)
    }

    fn watch(stream: &impl AsFd) -> Option<Self> {
        let stream: OwnedFd = stream.as_fd().try_clone_to_owned().ok()?;
        let stream = Fd::from(stream);
        let epoll = Linux.epoll_create1().ok();
        let interest = EpollOp::Add(EpollEvent::new(Interest::WRITABLE.bits(), 0));
        match epoll.map(|epoll| (Linux.epoll_ctl(&epoll, interest, &stream), epoll)) {
            Some((Ok(()), epoll)) => Some(Self { epoll, _stream: stream }),
            failed => {
                for fd in [Some(stream), failed.map(|(_, epoll)| epoll)].into_iter().flatten() {
                    let _ = Linux.close(fd);
                }
                None
            }
        }
    }
}
