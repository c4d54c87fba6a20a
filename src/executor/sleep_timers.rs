//! `SleepTimers`: the deadlines of sleeping tasks.
//!
//! Knows wakers, and reads no clock: the time is passed in.

use core::task::Waker;

use crate::collections::{Slab, TimerHeap};
use crate::instant::Instant;

/// All sleeping tasks.
#[derive(Debug)]
pub(super) struct SleepTimers {
    /// The waker of each sleep; `None` once it has been taken to be called.
    pub(super) slots: Slab<Option<Waker>>,
    pub(super) timers: TimerHeap,
}

impl SleepTimers {
    pub(super) const fn new() -> Self {
        Self { slots: Slab::new(u32::MAX), timers: TimerHeap::new() }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Removes one expired sleep and returns its waker.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Waker> {
        let slot = self.timers.pop_expired(now)?;
        let token = self.slots.token_at(slot).expect("a deadline is cancelled with its slot");
        self.slots.get_mut(token).expect("it was found just now").take()
    }

    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }
}
