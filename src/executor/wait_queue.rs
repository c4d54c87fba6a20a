//! `WaitQueue`: tasks of one thread that wait for permits, first come, first served.
//!
//! Knows wakers and counts, and not what a permit stands for.

use alloc::collections::VecDeque;
use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// Hands out permits. A permit that is given to a waiting task is never taken by a later one.
#[derive(Debug)]
pub(super) struct WaitQueue {
    state: RefCell<State>,
    /// How many permits can be stored.
    permits_max: usize,
}

#[derive(Debug)]
struct State {
    /// Permits that no task waits for.
    permits: usize,
    /// The tasks that wait, oldest first, by ticket.
    waiting: VecDeque<(u64, Waker)>,
    /// Tickets that have been served and not been collected yet, and whether a permit that is not
    /// collected goes to another task.
    served: VecDeque<(u64, bool)>,
    next_ticket: u64,
}

/// Completes with a permit.
#[derive(Debug)]
#[must_use = "it begins to wait when it is awaited"]
pub(super) struct Acquire<'a> {
    queue: &'a WaitQueue,
    ticket: Option<u64>,
}

impl WaitQueue {
    pub(super) const fn new(permits: usize, permits_max: usize) -> Self {
        let state =
            State { permits, waiting: VecDeque::new(), served: VecDeque::new(), next_ticket: 0 };
        Self { state: RefCell::new(state), permits_max }
    }

    /// Takes a permit, unless a task waits for one.
    pub(super) fn try_acquire(&self) -> bool {
        let mut state = self.state.borrow_mut();
        // A permit is stored only while no task waits.
        let is_left = state.permits > 0;
        state.permits -= usize::from(is_left);
        is_left
    }

    pub(super) const fn acquire(&self) -> Acquire<'_> {
        Acquire { queue: self, ticket: None }
    }

    /// Gives a permit to the task that has waited longest, or stores it; one more than
    /// `permits_max` is dropped.
    pub(super) fn release(&self) {
        let mut state = self.state.borrow_mut();
        let Some((ticket, waker)) = state.waiting.pop_front() else {
            state.permits = self.permits_max.min(state.permits + 1);
            return;
        };
        state.served.push_back((ticket, true));
        // A user-supplied waker may run arbitrary code: not under a borrow.
        drop(state);
        waker.wake();
    }

    /// Gives a permit to every task that waits now. Those that are not collected are lost.
    pub(super) fn release_all(&self) {
        let mut state = self.state.borrow_mut();
        let waiting = core::mem::take(&mut state.waiting);
        state.served.extend(waiting.iter().map(|&(ticket, _)| (ticket, false)));
        drop(state);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl State {
    /// Where a ticket is among the served ones.
    fn position(&self, ticket: u64) -> Option<usize> {
        self.served.iter().position(|&(served, _)| served == ticket)
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let queue = self.queue;
        let Some(ticket) = self.ticket else {
            if queue.try_acquire() {
                return Poll::Ready(());
            }
            // A user-supplied waker may run arbitrary code when it is cloned: not under a borrow.
            // It may have brought a permit.
            let waker = cx.waker().clone();
            let mut state = queue.state.borrow_mut();
            if state.permits > 0 {
                state.permits -= 1;
                drop(state);
                return Poll::Ready(());
            }
            let ticket = state.next_ticket;
            // 2^64 waits take longer than any machine runs.
            state.next_ticket += 1;
            state.waiting.push_back((ticket, waker));
            drop(state);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        // A user-supplied waker may run arbitrary code when it is cloned: not under a borrow.
        let waker = cx.waker().clone();
        let mut state = queue.state.borrow_mut();
        if let Some(at) = state.position(ticket) {
            state.served.remove(at);
            drop(state);
            self.ticket = None;
            return Poll::Ready(());
        }
        // Tickets are issued in ascending order.
        let Ok(at) = state.waiting.binary_search_by_key(&ticket, |&(ticket, _)| ticket) else {
            unreachable!("a ticket waits until it is served");
        };
        if !state.waiting[at].1.will_wake(cx.waker()) {
            let old = core::mem::replace(&mut state.waiting[at].1, waker);
            drop(state);
            drop(old);
        }
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    /// A permit that was given and not collected goes to the next task.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.queue.state.borrow_mut();
        if let Some(at) = state.position(ticket) {
            let served = state.served.remove(at);
            drop(state);
            if served.is_some_and(|(_, is_passed_on)| is_passed_on) {
                self.queue.release();
            }
        } else if let Ok(at) = state.waiting.binary_search_by_key(&ticket, |&(ticket, _)| ticket) {
            let removed = state.waiting.remove(at);
            drop(state);
            drop(removed);
        }
    }
}
