//! Whether a write to stdout or stderr would wait for somebody who does not read.
//!
//! A server that waits for the reader of its log serves nobody meanwhile, and hears no signal.
//! So a pipe is asked first, and what would wait is dropped. The question is an epoll_wait of
//! the log's own, which statistics and traces of the server do not count.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use epollite::kernel::{Control, EpollEvent};
use epollite::{Fd, Interest, Kernel, Linux};

/// A stream that cannot be waited on is tried again after so long.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Asks about one stream. Made at the first question, or before there is one.
pub(crate) struct Gate(OnceLock<Option<Asked>>);

/// An epoll that watches one stream for room.
struct Asked {
    epoll: Fd,
    /// A duplicate of the stream, open as long as the epoll is.
    _stream: Fd,
}

impl Gate {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Whether a line can be written to `stream` now. What cannot be asked is always open: a
    /// regular file takes every write, and a stream that is closed refuses at once.
    pub(crate) fn is_open(&self, stream: &impl AsFd) -> bool {
        self.0.get_or_init(|| Asked::about(stream)).as_ref().is_none_or(|asked| asked.wait(0))
    }

    /// Waits until `stream` has room, at most so long.
    pub(crate) fn wait(&self, stream: &impl AsFd, patience: Duration) {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX >> 1).max(1);
        match self.0.get_or_init(|| Asked::about(stream)) {
            Some(asked) => _ = asked.wait(millis),
            None => std::thread::sleep(patience.min(BETWEEN_TRIES)),
        }
    }
}

impl Asked {
    /// Whether there is room, or something is wrong, within so long.
    fn wait(&self, millis: u32) -> bool {
        let mut events = [EpollEvent::default()];
        // Level-triggered: it says how it is, as often as it is asked.
        Linux.epoll_wait(&self.epoll, &mut events, Some(millis)) != Ok(0)
    }

    fn about(stream: &impl AsFd) -> Option<Self> {
        let stream: OwnedFd = stream.as_fd().try_clone_to_owned().ok()?;
        let stream = Fd::from(stream);
        let epoll = Linux.epoll_create1().ok();
        let wanted = Control::Add(EpollEvent::new(Interest::WRITABLE.bits(), 0));
        match epoll.map(|epoll| (Linux.epoll_ctl(&epoll, wanted, &stream), epoll)) {
            Some((Ok(()), epoll)) => Some(Self { epoll, _stream: stream }),
            refused => {
                for fd in [Some(stream), refused.map(|(_, epoll)| epoll)].into_iter().flatten() {
                    let _ = Linux.close(fd);
                }
                None
            }
        }
    }
}
