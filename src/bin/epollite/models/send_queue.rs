//! Whether a silent client still reads: only its send queue shows that.
//!
//! Linux reports writability when a third of the send buffer is free, which may take a slow reader
//! longer than the idle timeout. So while the queue is not empty, it is sampled four times per idle
//! timeout, and each change counts as activity. It knows no socket.

use std::time::Duration;

/// Samples per idle timeout; as many without a change end a connection.
pub(super) const POLLS_PER_TIMEOUT: u32 = 4;

/// The observed state of one client's send queue.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SendQueue {
    unsent_bytes: usize,
    polls: u32,
}

impl SendQueue {
    /// Takes a sample, after the client has been silent for the idle timeout or since the last
    /// sample. Returns whether the queue is empty and unchanged, or has not changed for `polls`
    /// samples.
    pub(super) fn is_stuck(&mut self, unsent_bytes: usize, polls: u32) -> bool {
        let is_changed = unsent_bytes != self.unsent_bytes;
        self.polls = if is_changed { 0 } else { self.polls + 1 };
        self.unsent_bytes = unsent_bytes;
        unsent_bytes == 0 && !is_changed || self.polls >= polls
    }

    /// The delay until the next sample.
    pub(super) fn pause(idle: Duration) -> Duration {
        (idle / POLLS_PER_TIMEOUT).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_is_idle_at_once() {
        assert!(SendQueue::default().is_stuck(0, POLLS_PER_TIMEOUT));
    }

    #[test]
    fn a_shrinking_queue_is_not_stuck_and_an_unchanged_one_is_after_four_samples() {
        let mut queue = SendQueue::default();
        for bytes in [900, 800, 700, 0] {
            assert!(
                !queue.is_stuck(bytes, POLLS_PER_TIMEOUT),
                "{bytes} bytes are fewer than before"
            );
        }
        assert!(queue.is_stuck(0, POLLS_PER_TIMEOUT));
        let mut queue = SendQueue::default();
        let polls = (0..9).position(|_| queue.is_stuck(900, POLLS_PER_TIMEOUT));
        assert_eq!(polls, Some(4), "the first sample has nothing to compare with");
    }
}
