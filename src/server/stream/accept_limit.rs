//! `AcceptLimit`: how many connections to accept before the kernel is asked again.
//!
//! Pure arithmetic. It saves the `accept4` that would return `EAGAIN`: a level-triggered listener
//! is reported again anyway if there are more.

/// Batches in a row that reach the limit before it is raised.
const FULL_BATCHES_MAX: u8 = 8;

/// A limit that follows the number of connections that arrive together.
#[derive(Clone, Copy, Debug)]
pub(super) struct AcceptLimit {
    limit: u32,
    full_batches: u8,
}

impl AcceptLimit {
    pub(super) const fn new(accepts_max: u32) -> Self {
        Self { limit: accepts_max, full_batches: 0 }
    }

    pub(super) const fn get(&self) -> u32 {
        self.limit
    }

    /// Records that as many connections were accepted as the limit allows.
    pub(super) fn record_full(&mut self, accepts_max: u32) {
        self.full_batches += 1;
        if self.full_batches == FULL_BATCHES_MAX {
            *self = Self::new(self.limit.saturating_mul(2).min(accepts_max));
        }
    }

    /// Records that there were fewer.
    pub(super) fn record_last(&mut self, accepted: u32) {
        *self = Self::new(accepted.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts from queues of these lengths; returns how many calls returned `EAGAIN`.
    fn refused_calls(limit: &mut AcceptLimit, queues: impl IntoIterator<Item = u32>) -> u32 {
        let mut refused = 0;
        for queue in queues {
            if queue >= limit.get() {
                limit.record_full(64);
            } else {
                limit.record_last(queue);
                refused += 1;
            }
        }
        refused
    }

    #[test]
    fn connections_that_arrive_singly_cost_one_refused_call_in_nine() {
        let mut limit = AcceptLimit::new(64);
        assert_eq!(refused_calls(&mut limit, [1]), 1, "the first one shows that it was alone");
        assert_eq!(refused_calls(&mut limit, core::iter::repeat_n(1, 900)), 100);
        assert_eq!(limit.get(), 1);
    }

    #[test]
    fn a_queue_that_does_not_end_is_accepted_in_full_batches() {
        let mut limit = AcceptLimit::new(64);
        refused_calls(&mut limit, [0]);
        assert_eq!(limit.get(), 1, "a limit of none would accept none");
        assert_eq!(refused_calls(&mut limit, core::iter::repeat_n(1_000, 48)), 0);
        assert_eq!(limit.get(), 64);
        assert_eq!(refused_calls(&mut limit, core::iter::repeat_n(1_000, 100)), 0);
        assert_eq!(limit.get(), 64, "no more than the configured number");
    }
}
