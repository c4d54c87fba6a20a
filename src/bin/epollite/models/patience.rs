//! Whether a silent client still reads: only its send queue tells.
//!
//! Linux tells of room when a third of the send buffer is free, which may take a slow reader longer
//! than the idle time. So while something is left there, the queue is looked at four times in an
//! idle time, and each change counts as activity. It knows no socket.

use std::time::Duration;

/// Looks in an idle time, and as many without a change end a client.
pub(super) const LOOKS: u32 = 4;

/// What was seen of one client's send queue.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SendQueue {
    unsent_bytes: usize,
    looks: u32,
}

impl SendQueue {
    /// A look at the queue of a client that has been silent for long enough, or since the last
    /// look. Returns whether nothing is left there, or nothing has gone for so many `looks`.
    pub(super) fn is_stuck(&mut self, unsent_bytes: usize, looks: u32) -> bool {
        let is_changed = unsent_bytes != self.unsent_bytes;
        self.looks = if is_changed { 0 } else { self.looks + 1 };
        self.unsent_bytes = unsent_bytes;
        unsent_bytes == 0 && !is_changed || self.looks >= looks
    }

    /// How long to wait until the next look.
    pub(super) fn pause(idle: Duration) -> Duration {
        (idle / LOOKS).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_is_idle_at_once() {
        assert!(SendQueue::default().is_stuck(0, LOOKS));
    }

    #[test]
    fn what_falls_is_not_stuck_and_what_stays_is_after_four_looks() {
        let mut queue = SendQueue::default();
        for bytes in [900, 800, 700, 0] {
            assert!(!queue.is_stuck(bytes, LOOKS), "{bytes} bytes are fewer than before");
        }
        assert!(queue.is_stuck(0, LOOKS));
        let mut queue = SendQueue::default();
        let looks = (0..9).position(|_| queue.is_stuck(900, LOOKS));
        assert_eq!(looks, Some(4), "the first look knows nothing of before");
    }
}
