//! `TriggerMode`: where the four trigger modes differ for a connection.
//!
//! Knows no socket and no state but what the echo machine wants.

use crate::echo::Want;
use crate::event::{Interest, Ready, Trigger};

/// How the trigger changes what has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct TriggerMode {
    pub(super) trigger: Trigger,
    pub(super) is_unix: bool,
}

impl TriggerMode {
    /// Whether the kernel reports unread data again: level-triggered by itself, one-shot when
    /// re-armed. In pure edge-triggered mode it does not.
    pub(super) const fn kernel_repeats(self) -> bool {
        !matches!(self.trigger, Trigger::Edge)
    }

    /// Whether nothing is to be read after a read of `count` bytes, which is less than `below`:
    /// the kernel reports the rest; or, if `below` is at most the room for the read, the socket is
    /// empty, so that the `recv` that would return `EAGAIN` can be omitted. See
    /// [`Ready::short_read_means_empty`]; a Unix socket also returns short reads where descriptors
    /// were passed.
    #[inline]
    pub(super) const fn read_is_over(self, ready: Ready, count: usize, below: usize) -> bool {
        count < below && (self.kernel_repeats() || !self.is_unix && ready.short_read_means_empty())
    }

    /// The `below` of a read with `room`.
    pub(super) const fn over_below(self, room: usize) -> usize {
        if self.kernel_repeats() { usize::MAX } else { room }
    }

    /// The interest to register when the state machine wants `want`.
    ///
    /// * Level-triggered and one-shot: only what is wanted, or the kernel reports the rest
    ///   endlessly.
    /// * Edge-triggered TCP: everything, once, and no further epoll_ctl.
    /// * Edge-triggered Unix: each read of the peer is an edge of `WRITABLE`, so that is
    ///   registered only while the write buffer holds data.
    pub(super) fn interest(self, want: Want) -> Interest {
        let edge = Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY;
        match (self.kernel_repeats(), want) {
            (true, Want::Write) => Interest::WRITABLE,
            (true, _) => Interest::READABLE,
            (false, want) if self.is_unix && want != Want::Write => edge,
            (false, _) => edge | Interest::WRITABLE,
        }
    }
}
