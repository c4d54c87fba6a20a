//! Time: sleeping, and timeouts.
//!
//! Knows deadlines and wakers. It reads no clock: the executor passes the time in.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;

use super::{Handle, Shared};
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::token::Token;

/// Completes at a deadline. Dropping it cancels the deadline.
#[must_use = "it begins to wait when it is awaited"]
pub struct Sleep<K: Kernel> {
    shared: Rc<Shared<K>>,
    deadline: Instant,
    slot: Option<Token>,
}

/// The timeout passed before the future completed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Elapsed;

impl<K: Kernel> Handle<K> {
    /// Waits for `span` to pass. Cost: at most two reads of the clock, O(log sleeps).
    ///
    /// The time counts from this call, not from the `await`.
    pub fn sleep(&self, span: Duration) -> Sleep<K> {
        self.sleep_until(self.now() + span)
    }

    /// Waits for `deadline`. Cost: one read of the clock, O(log sleeps).
    pub fn sleep_until(&self, deadline: Instant) -> Sleep<K> {
        Sleep { shared: Rc::clone(&self.0), deadline, slot: None }
    }

    /// Waits for `future`, but no longer than `span`. Cost: as [`sleep`](Self::sleep).
    ///
    /// A future that times out is dropped, and with it what it was doing. No future of this module
    /// loses received bytes by that: they have been returned, and sent bytes have been sent (but
    /// how many a [`write_all`](super::Stream::write_all) has sent is unknown).
    ///
    /// # Errors
    /// [`Elapsed`]: the timeout passed first.
    pub async fn timeout<F: Future>(
        &self,
        span: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut sleep = self.sleep(span);
        let mut future = pin!(future);
        poll_fn(|cx| {
            let has_budget = self.0.budget_left.get() > 0;
            // A result that is there in time counts, even if it has not been polled before.
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if !has_budget {
                // It had no budget to make its call with.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}

const SLOT_IS_OURS: &str = "only the sleep itself frees its slot";

impl<K: Kernel> Future for Sleep<K> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(token) = self.slot {
            let sleep_timers = self.shared.sleep_timers.borrow();
            match sleep_timers.slots.get(token).expect(SLOT_IS_OURS) {
                None => return Poll::Ready(()),
                Some(waker) if waker.will_wake(cx.waker()) => return Poll::Pending,
                Some(_) => drop(sleep_timers),
            }
            // Cloning and dropping a user-supplied waker may run arbitrary code: not under a
            // borrow.
            let waker = cx.waker().clone();
            let mut sleep_timers = self.shared.sleep_timers.borrow_mut();
            let place = sleep_timers.slots.get_mut(token).expect(SLOT_IS_OURS);
            if place.is_none() {
                return Poll::Ready(());
            }
            let old = place.replace(waker);
            drop(sleep_timers);
            drop(old);
            return Poll::Pending;
        }
        // Not the clock: what had arrived by the deadline must be reported first.
        if self.deadline <= self.shared.reactor.borrow().reported_until() {
            // A loop of sleeps that have expired must let other tasks run.
            return self.shared.poll_proceed(cx);
        }
        let waker = cx.waker().clone();
        let mut sleep_timers = self.shared.sleep_timers.borrow_mut();
        let token = sleep_timers.slots.insert(Some(waker)).expect("fewer than 2^32 sleeps");
        sleep_timers.timers.set(token.slot(), self.deadline);
        drop(sleep_timers);
        self.slot = Some(token);
        Poll::Pending
    }
}

impl<K: Kernel> Drop for Sleep<K> {
    fn drop(&mut self) {
        let Some(token) = self.slot else { return };
        let mut sleep_timers = self.shared.sleep_timers.borrow_mut();
        sleep_timers.timers.cancel(token.slot());
        let waker = sleep_timers.slots.remove(token);
        drop(sleep_timers);
        drop(waker);
    }
}

impl<K: Kernel> fmt::Debug for Sleep<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the timeout passed")
    }
}

impl core::error::Error for Elapsed {}
