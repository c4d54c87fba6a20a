//! Properties of the executor's channel, compared with a queue and a line of senders.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use core::num::NonZeroUsize;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;

use epollite::executor::{Receiver, SendError, Sender, TrySendError, channel};

/// Sends, receives, polls and cancels as `plan` directs, one operation per two bytes, and checks
/// each result. Its first byte is the capacity.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_queue(plan: &[u8]) {
    let Some((capacity, plan)) = plan.split_first() else {
        return;
    };
    let capacity = NonZeroUsize::MIN.saturating_add(usize::from(capacity % 4));
    let (sender, receiver) = channel(capacity);
    let mut harness = Harness {
        sender: Some(sender),
        receiver: Some(receiver),
        capacity: capacity.get(),
        values: VecDeque::new(),
        sends: Vec::new(),
    };
    for (number, step) in (0..).zip(plan.chunks_exact(2)) {
        harness.step(number, step[0], usize::from(step[1]));
        harness.agree();
    }
    harness.finish();
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A send that waits for room, in the order in which they began to wait.
struct Send {
    value: u32,
    future: Pin<Box<dyn Future<Output = Result<(), SendError<u32>>>>>,
    woken: Arc<Woken>,
    /// Whether it has been given room, and has not used it yet.
    is_served: bool,
}

impl Send {
    fn poll(&mut self) -> Poll<Result<(), SendError<u32>>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

struct Harness {
    sender: Option<Sender<u32>>,
    receiver: Option<Receiver<u32>>,
    capacity: usize,
    values: VecDeque<u32>,
    sends: Vec<Send>,
}

impl Harness {
    fn step(&mut self, number: u32, operation: u8, which: usize) {
        match operation % 16 {
            0..=4 => self.begin_send(number),
            5 | 6 => self.try_send(number),
            7..=9 => self.recv(),
            10..=12 => self.poll_send(which),
            13 | 14 => self.cancel_send(which),
            _ if which < 16 => {
                self.receiver = None;
                self.values.clear();
            }
            _ => {}
        }
    }

    /// How much room is neither used nor promised.
    fn room(&self) -> usize {
        let served = self.sends.iter().filter(|send| send.is_served).count();
        self.capacity - self.values.len() - served
    }

    fn begin_send(&mut self, value: u32) {
        let Some(sender) = self.sender.clone() else { return };
        let (has_room, is_closed) = (self.room() > 0, self.receiver.is_none());
        let mut send = Send {
            value,
            future: Box::pin(async move { sender.send(value).await }),
            woken: Arc::default(),
            is_served: false,
        };
        match send.poll() {
            Poll::Ready(result) if is_closed => assert_eq!(
                result,
                Err(SendError(value)),
                "invariant: without a receiver the value is returned"
            ),
            Poll::Ready(result) => {
                assert_eq!(result, Ok(()), "invariant: with a receiver a send succeeds");
                assert!(has_room, "invariant: never more values than the capacity");
                self.values.push_back(value);
            }
            Poll::Pending => {
                assert!(!has_room && !is_closed, "invariant: a send with room does not wait");
                self.sends.push(send);
            }
        }
    }

    fn try_send(&mut self, value: u32) {
        let Some(sender) = &self.sender else { return };
        let expected = match &self.receiver {
            None => Err(TrySendError::Closed(value)),
            Some(_) if self.room() == 0 => Err(TrySendError::Full(value)),
            Some(_) => Ok(()),
        };
        assert_eq!(sender.try_send(value), expected, "invariant: try_send knows the room");
        if expected.is_ok() {
            self.values.push_back(value);
        }
    }

    fn recv(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        let expected = self.values.pop_front();
        assert_eq!(receiver.try_recv(), expected, "invariant: first in, first out");
        if expected.is_some() {
            self.serve_next();
        }
    }

    /// One that waits is given the room that has become free: the one that has waited longest.
    fn serve_next(&mut self) {
        if let Some(send) = self.sends.iter_mut().find(|send| !send.is_served) {
            send.is_served = true;
        }
    }

    fn poll_send(&mut self, which: usize) {
        if self.sends.is_empty() {
            return;
        }
        let which = which % self.sends.len();
        let is_closed = self.receiver.is_none();
        let send = &mut self.sends[which];
        let (value, is_served) = (send.value, send.is_served);
        match send.poll() {
            Poll::Pending => assert!(!is_served && !is_closed, "invariant: given room is used"),
            Poll::Ready(Ok(())) => {
                assert!(is_served && !is_closed, "invariant: no room is used that was not given");
                self.values.push_back(value);
                drop(self.sends.remove(which));
            }
            Poll::Ready(Err(error)) => {
                assert!(is_closed, "invariant: only without a receiver a send fails");
                assert_eq!(error, SendError(value), "invariant: its own value is returned");
                drop(self.sends.remove(which));
            }
        }
    }

    fn cancel_send(&mut self, which: usize) {
        if self.sends.is_empty() {
            return;
        }
        let send = self.sends.remove(which % self.sends.len());
        let was_served = send.is_served;
        drop(send);
        if was_served && self.receiver.is_some() {
            self.serve_next();
        }
    }

    fn agree(&self) {
        for send in &self.sends {
            let is_woken = send.woken.0.load(Ordering::Relaxed);
            let is_due = send.is_served || self.receiver.is_none();
            assert_eq!(
                is_woken, is_due,
                "invariant: a send that is given room is woken, and no other"
            );
        }
        if let Some(receiver) = &self.receiver {
            assert_eq!(receiver.len(), self.values.len(), "invariant: len is the number of values");
        }
        if let Some(sender) = &self.sender {
            let is_closed = self.receiver.is_none();
            assert_eq!(sender.is_closed(), is_closed, "invariant: closed is without a receiver");
        }
    }

    /// Without senders the receiver gets what is left, and then the end.
    fn finish(mut self) {
        self.sender = None;
        self.sends.clear();
        let Some(mut receiver) = self.receiver.take() else { return };
        let mut received = VecDeque::new();
        let mut drains = Box::pin(async {
            while let Some(value) = receiver.recv().await {
                received.push_back(value);
            }
        });
        let polled = drains.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready(), "invariant: without senders there is an end");
        drop(drains);
        assert_eq!(received, self.values, "invariant: what was sent is received");
    }
}
