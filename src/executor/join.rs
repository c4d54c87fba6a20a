//! One task: its future, its result, and the waker of the task that joins it.
//!
//! Knows how to be polled and cancelled. It knows no descriptors, and not its slot.
//!
//! ```text
//!             poll: Ready
//!   Running --------------> Done       the output is kept for the joining task
//!      |  cancel, panic
//!      `------------------> Cancelled  the future is dropped immediately
//! ```

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};
use core::fmt;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// The allocation of a spawned future.
///
/// The future is taken out while it is polled and put back afterwards. So it may cancel itself,
/// and one that panics is dropped during unwinding, with all it owns.
pub(super) struct Task<F: Future> {
    waker: OnceCell<Waker>,
    future: Cell<Option<Pin<Box<F>>>>,
    output: Cell<Option<F::Output>>,
    join_waker: Cell<Option<Waker>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    Done,
    Cancelled,
}

/// The executor's view of a task.
pub(super) trait Runnable {
    /// Sets the waker that schedules the task.
    fn set_waker(&self, waker: Waker);

    /// Polls it once. Returns whether it has finished.
    fn run(&self) -> bool;

    /// Drops its future, if it has not finished.
    fn cancel(&self);
}

/// The joining task's view of a task.
trait Join<T> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, JoinError>>;
    fn cancel(&self);
    fn is_finished(&self) -> bool;
}

/// Returned by [`spawn`](super::Handle::spawn): await it for the task's output.
///
/// Dropping it detaches the task and does not cancel it.
///
/// # Panics
/// When it is polled again after it has returned the output, as other futures do.
pub struct JoinHandle<T>(Rc<dyn Join<T>>);

/// The task did not complete: it was cancelled, it panicked, or its
/// [`Executor`](super::Executor) was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct JoinError;

impl<F: Future> Task<F> {
    pub(super) fn new(future: F) -> Self {
        Self {
            waker: OnceCell::new(),
            future: Cell::new(Some(Box::pin(future))),
            output: Cell::new(None),
            join_waker: Cell::new(None),
            state: Cell::new(State::Running),
        }
    }

    fn finish(&self, state: State) {
        self.state.set(state);
        if let Some(waker) = self.join_waker.take() {
            waker.wake();
        }
    }

    fn abort(&self) {
        if self.state.get() != State::Running {
            return;
        }
        self.finish(State::Cancelled);
        // The task is polled once more, finds no future, and its slot is freed.
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
        // Last, because dropping a future may run arbitrary code.
        drop(self.future.take());
    }
}

/// Aborts the task when its future panics.
struct AbortOnUnwind<'a, F: Future>(&'a Task<F>);

impl<F: Future> Drop for AbortOnUnwind<'_, F> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<F: Future> Runnable for Task<F> {
    fn set_waker(&self, waker: Waker) {
        waker.wake_by_ref();
        assert!(self.waker.set(waker).is_ok(), "a task has one waker");
    }

    fn run(&self) -> bool {
        let (Some(mut future), Some(waker)) = (self.future.take(), self.waker.get()) else {
            return true;
        };
        let unwinding = AbortOnUnwind(self);
        let polled = future.as_mut().poll(&mut Context::from_waker(waker));
        mem::forget(unwinding);
        match polled {
            Poll::Pending if self.state.get() == State::Running => {
                self.future.set(Some(future));
                return false;
            }
            Poll::Ready(output) if self.state.get() == State::Running => {
                drop(future);
                self.output.set(Some(output));
                self.finish(State::Done);
            }
            // It was cancelled during the poll, by itself or by a task that it woke.
            _ => {}
        }
        true
    }

    fn cancel(&self) {
        self.abort();
    }
}

impl<F: Future> Join<F::Output> for Task<F> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<F::Output, JoinError>> {
        match self.state.get() {
            State::Running => {
                let waker = self.join_waker.take().filter(|waker| waker.will_wake(cx.waker()));
                self.join_waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
                Poll::Pending
            }
            State::Cancelled => Poll::Ready(Err(JoinError)),
            State::Done => {
                Poll::Ready(Ok(self.output.take().expect("a task gives its output once")))
            }
        }
    }

    fn cancel(&self) {
        self.abort();
    }

    fn is_finished(&self) -> bool {
        self.state.get() != State::Running
    }
}

impl<T> JoinHandle<T> {
    pub(super) fn new<F: Future<Output = T> + 'static>(task: Rc<Task<F>>) -> Self {
        Self(task)
    }

    /// Cancels the task: its future is dropped before this returns, and what it owns is closed. A
    /// task that cancels itself is dropped at its next `await`. No effect on a finished task.
    /// Cost: O(1), and the cost of the drop.
    ///
    /// Awaiting it afterwards returns [`JoinError`].
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it has finished, in whatever way. Cost: O(1).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl core::error::Error for JoinError {}
