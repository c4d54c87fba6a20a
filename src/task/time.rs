//! Time: sleeping, and not waiting longer than that.
//!
//! Knows deadlines and who waits for them. It reads no clock: the loop says what time it is.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::{Handle, Shared};
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::slab::Slab;
use crate::timer::Timers;
use crate::token::Token;

/// Everybody who sleeps.
#[derive(Debug)]
pub(super) struct Sleepers {
    /// Who is to be woken; nobody once that has happened.
    beds: Slab<Option<Waker>>,
    timers: Timers,
}

impl Sleepers {
    pub(super) const fn new() -> Self {
        Self { beds: Slab::new(u32::MAX), timers: Timers::new() }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.timers.earliest()
    }

    /// One who has slept long enough.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Waker> {
        let slot = self.timers.expire(now)?;
        let bed = self.beds.token_at(slot).expect("a deadline is cancelled with its bed");
        self.beds.get_mut(bed).expect("it was found just now").take()
    }

    pub(super) const fn len(&self) -> usize {
        self.timers.len()
    }
}

/// Until a deadline. Dropping it takes the deadline back.
#[must_use = "it begins to wait when it is awaited"]
pub struct Sleep<K: Kernel> {
    shared: Rc<Shared<K>>,
    deadline: Instant,
    bed: Option<Token>,
}

/// The deadline came first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Late;

impl<K: Kernel> Handle<K> {
    /// Waits for `span` to pass. Work: at most two looks at the clock, O(log sleepers).
    ///
    /// The time counts from this call, not from the `await`.
    pub fn sleep(&self, span: Duration) -> Sleep<K> {
        self.sleep_until(self.now() + span)
    }

    /// Waits for `deadline`. Work: one look at the clock, O(log sleepers).
    pub fn sleep_until(&self, deadline: Instant) -> Sleep<K> {
        Sleep { shared: Rc::clone(&self.0), deadline, bed: None }
    }

    /// Waits for `future`, but no longer than `span`. Work: as [`sleep`](Self::sleep).
    ///
    /// A future that is late is dropped, and with it what it was doing. Of the futures here none
    /// loses bytes by that: what was received has been given out, what was sent has been sent
    /// (and of a [`send_all`](super::Stream::send_all) nobody knows how much that was).
    ///
    /// # Errors
    /// [`Late`]: the time has passed first.
    pub async fn timeout<F: Future>(&self, span: Duration, future: F) -> Result<F::Output, Late> {
        let mut sleep = self.sleep(span);
        let mut future = pin!(future);
        poll_fn(|cx| {
            let has_turn = self.0.calls_left.get() > 0;
            // What is there in time counts, even if nobody has looked before.
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if !has_turn {
                // It had no call left to look with.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(Late))
        })
        .await
    }
}

impl<K: Kernel> Future for Sleep<K> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(bed) = self.bed {
            let mut sleepers = self.shared.sleepers.borrow_mut();
            let waker = sleepers.beds.get_mut(bed).expect("a bed is left by its sleeper alone");
            return match waker {
                None => Poll::Ready(()),
                Some(waker) if waker.will_wake(cx.waker()) => Poll::Pending,
                Some(waker) => {
                    let old = core::mem::replace(waker, cx.waker().clone());
                    // A stranger's waker may do as it likes when it falls: not under a borrow.
                    drop(sleepers);
                    drop(old);
                    Poll::Pending
                }
            };
        }
        // Not by the clock: what had arrived by then is to be reported first.
        if self.deadline <= self.shared.reactor.borrow().reported_until() {
            // A loop of sleeps that are over lets the others have their turn.
            return self.shared.poll_turn(cx);
        }
        let waker = cx.waker().clone();
        let mut sleepers = self.shared.sleepers.borrow_mut();
        let bed = sleepers.beds.insert(Some(waker)).expect("more sleepers than fit in memory");
        sleepers.timers.set(bed.slot(), self.deadline);
        drop(sleepers);
        self.bed = Some(bed);
        Poll::Pending
    }
}

impl<K: Kernel> Drop for Sleep<K> {
    fn drop(&mut self) {
        let Some(bed) = self.bed else { return };
        let mut sleepers = self.shared.sleepers.borrow_mut();
        sleepers.timers.cancel(bed.slot());
        let waker = sleepers.beds.remove(bed);
        drop(sleepers);
        drop(waker);
    }
}

impl<K: Kernel> fmt::Debug for Sleep<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it took too long")
    }
}

impl core::error::Error for Late {}
