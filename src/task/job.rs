//! One task: its future, how it ended, and who waits for that.
//!
//! Knows how to be polled and how to be given up. It has never heard of descriptors, nor of
//! the slot it is in.
//!
//! ```text
//!             poll: Ready
//!   Running --------------> Done       its output waits for the one who joins
//!      |  cancel, panic
//!      `------------------> Cancelled  its future is dropped then and there
//! ```

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};
use core::fmt;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// What a spawned future is kept in.
///
/// The future is taken out to be polled and put back afterwards. So it may cancel itself, and
/// one that panics is dropped on the way out, with all it owns.
pub(super) struct Job<F: Future> {
    bell: OnceCell<Waker>,
    future: Cell<Option<Pin<Box<F>>>>,
    output: Cell<Option<F::Output>>,
    joiner: Cell<Option<Waker>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    Done,
    Cancelled,
}

/// A task as the loop sees it.
pub(super) trait Run {
    /// Gives it the bell with which it asks to be polled.
    fn hang(&self, bell: Waker);

    /// Polls it once. Returns whether it is over.
    fn run(&self) -> bool;

    /// Drops its future, if it has not ended.
    fn cancel(&self);
}

/// A task as the one who joins sees it.
trait Join<T> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, Cancelled>>;
    fn cancel(&self);
    fn is_over(&self) -> bool;
}

/// What [`spawn`](super::Handle::spawn) gives: await it for the task's output.
///
/// To let it fall is to let the task go its own way; it is not cancelled by that.
///
/// # Panics
/// When it is polled again after it has given the output, as other futures do.
pub struct JoinHandle<T>(Rc<dyn Join<T>>);

/// The task had no end of its own: it was cancelled, it panicked, or the
/// [`Tasks`](super::Tasks) it belonged to is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cancelled;

impl<F: Future> Job<F> {
    pub(super) fn new(future: F) -> Self {
        Self {
            bell: OnceCell::new(),
            future: Cell::new(Some(Box::pin(future))),
            output: Cell::new(None),
            joiner: Cell::new(None),
            state: Cell::new(State::Running),
        }
    }

    fn ends(&self, state: State) {
        self.state.set(state);
        if let Some(joiner) = self.joiner.take() {
            joiner.wake();
        }
    }

    fn give_up(&self) {
        if self.state.get() != State::Running {
            return;
        }
        self.ends(State::Cancelled);
        // It is polled once more, finds that there is nothing left, and its slot comes free.
        if let Some(bell) = self.bell.get() {
            bell.wake_by_ref();
        }
        // Last of all: what a future does when it is dropped is its own affair.
        drop(self.future.take());
    }
}

/// Ends the job when its future panics.
struct Unwinding<'a, F: Future>(&'a Job<F>);

impl<F: Future> Drop for Unwinding<'_, F> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl<F: Future> Run for Job<F> {
    fn hang(&self, bell: Waker) {
        bell.wake_by_ref();
        assert!(self.bell.set(bell).is_ok(), "a task has one bell");
    }

    fn run(&self) -> bool {
        let (Some(mut future), Some(bell)) = (self.future.take(), self.bell.get()) else {
            return true;
        };
        let unwinding = Unwinding(self);
        let polled = future.as_mut().poll(&mut Context::from_waker(bell));
        mem::forget(unwinding);
        match polled {
            Poll::Pending if self.state.get() == State::Running => {
                self.future.set(Some(future));
                return false;
            }
            Poll::Ready(output) if self.state.get() == State::Running => {
                drop(future);
                self.output.set(Some(output));
                self.ends(State::Done);
            }
            // It has cancelled itself, or had it done by somebody it woke.
            _ => {}
        }
        true
    }

    fn cancel(&self) {
        self.give_up();
    }
}

impl<F: Future> Join<F::Output> for Job<F> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<F::Output, Cancelled>> {
        match self.state.get() {
            State::Running => {
                let joiner = self.joiner.take().filter(|joiner| joiner.will_wake(cx.waker()));
                self.joiner.set(Some(joiner.unwrap_or_else(|| cx.waker().clone())));
                Poll::Pending
            }
            State::Cancelled => Poll::Ready(Err(Cancelled)),
            State::Done => {
                Poll::Ready(Ok(self.output.take().expect("a task gives its output once")))
            }
        }
    }

    fn cancel(&self) {
        self.give_up();
    }

    fn is_over(&self) -> bool {
        self.state.get() != State::Running
    }
}

impl<T> JoinHandle<T> {
    pub(super) fn of<F: Future<Output = T> + 'static>(job: Rc<Job<F>>) -> Self {
        Self(job)
    }

    /// Ends the task now: its future is dropped before this returns, and what it owns is closed.
    /// A task that cancels itself is dropped at its next `await`. Nothing happens to one that has
    /// ended. Work: O(1), and what the drop does.
    ///
    /// Who awaits it afterwards hears [`Cancelled`].
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it has ended, in whatever way. Work: O(1).
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_over", &self.is_over()).finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl core::error::Error for Cancelled {}
