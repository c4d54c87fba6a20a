//! A bounded channel: values from any number of tasks to one.
//!
//! Knows capacity and order, and no descriptor.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::num::NonZeroUsize;

use super::wait_queue::WaitQueue;

/// Creates a channel that holds up to `capacity` values. Cost: one allocation; memory grows with
/// the values.
///
/// It connects tasks of one thread. When it is full, senders wait, in the order in which they
/// came: a slow receiver slows its senders, and memory is bounded.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use core::num::NonZeroUsize;
///
/// use epollite::executor::{Executor, channel};
///
/// let mut executor = Executor::new()?;
/// let (sender, mut receiver) = channel(NonZeroUsize::new(2).expect("two"));
/// let task = executor.handle().spawn(async move {
///     for n in 0..10 {
///         sender.send(n).await.expect("the receiver is there");
///     }
/// });
/// let sum = executor.block_on(async {
///     let mut sum = 0;
///     while let Some(n) = receiver.recv().await {
///         sum += n;
///     }
///     sum
/// })?;
/// assert_eq!(sum, 45);
/// # drop(task);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[must_use]
pub fn channel<T>(capacity: NonZeroUsize) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        values: RefCell::new(VecDeque::new()),
        room: WaitQueue::new(capacity.get(), capacity.get()),
        arrived: WaitQueue::new(0, 1),
        senders: Cell::new(1),
        is_closed: Cell::new(false),
    });
    (Sender(Rc::clone(&channel)), Receiver(channel))
}

/// The sending end of a [`channel`]. Clones send to the same receiver.
pub struct Sender<T>(Rc<Channel<T>>);

/// The receiving end of a [`channel`].
pub struct Receiver<T>(Rc<Channel<T>>);

/// The receiver is gone; the value that was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SendError<T>(pub T);

/// Why [`Sender::try_send`] did not send, with the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrySendError<T> {
    /// As many values wait as the channel holds, or other tasks wait to send.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

struct Channel<T> {
    values: RefCell<VecDeque<T>>,
    /// A permit for each value that there is room for.
    room: WaitQueue,
    /// A permit when the receiver should look again.
    arrived: WaitQueue,
    senders: Cell<usize>,
    /// Whether the receiver is gone.
    is_closed: Cell<bool>,
}

impl<T> Channel<T> {
    fn push(&self, value: T) {
        self.values.borrow_mut().push_back(value);
        self.arrived.release();
    }
}

impl<T> Sender<T> {
    /// Sends `value`, once there is room for it. Cost: O(1).
    ///
    /// Cancel-safe: dropped before it completes, it has sent nothing, and `value` is dropped.
    ///
    /// # Errors
    /// [`SendError`]: the receiver is gone. It returns the value.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        if !self.0.is_closed.get() {
            self.0.room.acquire().await;
        }
        if self.0.is_closed.get() {
            return Err(SendError(value));
        }
        self.0.push(value);
        Ok(())
    }

    /// Sends `value` if there is room for it now. Cost: O(1).
    ///
    /// # Errors
    /// [`TrySendError`]: there is no room, or no receiver. It returns the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.0.is_closed.get() {
            return Err(TrySendError::Closed(value));
        }
        if !self.0.room.try_acquire() {
            return Err(TrySendError::Full(value));
        }
        self.0.push(value);
        Ok(())
    }

    /// Whether the receiver is gone. Cost: O(1).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.get()
    }
}

impl<T> Receiver<T> {
    /// Receives a value, in the order in which they were sent; `None` when there is none and every
    /// sender is gone. Cost: O(1).
    ///
    /// Cancel-safe: dropped before it completes, it has received nothing.
    pub async fn recv(&mut self) -> Option<T> {
        loop {
            if let Some(value) = self.try_recv() {
                return Some(value);
            }
            if self.0.senders.get() == 0 {
                return None;
            }
            self.0.arrived.acquire().await;
        }
    }

    /// Receives a value if there is one now. Cost: O(1).
    pub fn try_recv(&mut self) -> Option<T> {
        let value = self.0.values.borrow_mut().pop_front()?;
        self.0.room.release();
        Some(value)
    }

    /// How many values wait. Cost: O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values.borrow().len()
    }

    /// Whether no value waits. Cost: O(1).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0 {
            self.0.arrived.release();
        }
    }
}

impl<T> Drop for Receiver<T> {
    /// Values that were not received are dropped; senders that wait get theirs back.
    fn drop(&mut self) {
        self.0.is_closed.set(true);
        self.0.room.release_all();
        // Dropping a value may run arbitrary code: not under a borrow.
        let values = self.0.values.take();
        drop(values);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the receiver is gone")
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Closed(_) => "the receiver is gone",
        })
    }
}

impl<T: fmt::Debug> core::error::Error for SendError<T> {}

impl<T: fmt::Debug> core::error::Error for TrySendError<T> {}
