//! Wakers of tasks, used on other threads: the wait ends, and no wake is lost.

use std::hint;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use epollite::Linux;
use epollite::executor::{Executor, ExecutorConfig};

/// Long enough for a busy machine: a task that is never woken waits longer.
const LIMIT: Duration = Duration::from_secs(30);

/// What another thread sends to a task.
#[derive(Clone, Default)]
struct Signal(Arc<(AtomicBool, Mutex<Option<Waker>>)>);

impl Signal {
    fn send(&self) {
        self.0.0.store(true, Ordering::Release);
        if let Some(waker) = self.0.1.lock().unwrap().take() {
            waker.wake();
        }
    }
}

impl Future for Signal {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.0.1.lock().unwrap() = Some(context.waker().clone());
        if self.0.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Runs `body` on a thread, and fails if it does not end.
fn bounded(body: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        body();
        sender.send(()).unwrap();
    });
    match receiver.recv_timeout(LIMIT) {
        Ok(()) => thread.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", thread.join().err()),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("invariant: a wake ends the wait"),
    }
}

#[test]
fn a_wake_on_another_thread_ends_the_wait() {
    bounded(|| {
        let mut executor = Executor::new().unwrap();
        let handle = executor.handle();
        for _ in 0..300 {
            let (task, root) = (Signal::default(), Signal::default());
            let senders = [task.clone(), root.clone()];
            let thread = thread::spawn(move || senders.iter().for_each(Signal::send));
            let join = handle.spawn(task);
            executor.block_on(async { (root.await, join.await.unwrap()) }).unwrap();
            thread.join().unwrap();
        }
    });
}

#[test]
fn tasks_that_wake_each_other_across_two_executors_lose_no_wake() {
    bounded(|| {
        const ROUNDS: usize = 2_000;
        let (there, back): (Vec<_>, Vec<_>) =
            (0..ROUNDS).map(|_| (Signal::default(), Signal::default())).unzip();
        let (their_there, their_back) = (there.clone(), back.clone());
        let other = thread::spawn(move || {
            let mut executor = Executor::new().unwrap();
            let replies = async {
                for (request, reply) in their_there.into_iter().zip(their_back) {
                    request.await;
                    reply.send();
                }
            };
            executor.block_on(replies).unwrap();
        });
        let mut executor = Executor::new().unwrap();
        let requests = async {
            for (request, reply) in there.into_iter().zip(back) {
                request.send();
                reply.await;
            }
        };
        executor.block_on(requests).unwrap();
        other.join().unwrap();
    });
}

/// The other thread answers after 0, 1, 2, … turns of a busy loop, so that its wake comes at every
/// moment around the beginning of the wait.
#[test]
fn a_wake_at_the_beginning_of_a_wait_is_not_lost() {
    bounded(|| {
        const ROUNDS: usize = 20_000;
        const TURNS_MAX: usize = 500;
        let signals: Arc<Vec<Signal>> = Arc::new((0..ROUNDS).map(|_| Signal::default()).collect());
        let asked = Arc::new(AtomicUsize::new(0));
        let (replies, requests) = (Arc::clone(&signals), Arc::clone(&asked));
        let other = thread::spawn(move || {
            for (round, reply) in replies.iter().enumerate() {
                while requests.load(Ordering::Acquire) <= round {
                    hint::spin_loop();
                }
                for _ in 0..round % TURNS_MAX {
                    hint::spin_loop();
                }
                reply.send();
            }
        });
        let mut executor = Executor::new().unwrap();
        let questions = async {
            for (round, reply) in signals.iter().enumerate() {
                asked.store(round + 1, Ordering::Release);
                reply.clone().await;
            }
        };
        executor.block_on(questions).unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_waker_that_outlives_its_executor_does_nothing() {
    let signal = Signal::default();
    let mut executor = Executor::new().unwrap();
    drop(executor.handle().spawn(signal.clone()));
    executor.run_once(Some(epollite::Instant::ZERO)).unwrap();
    drop(executor);
    signal.send();
}

#[test]
fn other_kernels_accept_remote_wakes_on_request() {
    bounded(|| {
        let mut executor = Executor::with_config(Linux, ExecutorConfig::default()).unwrap();
        executor.accept_remote_wakes().unwrap();
        let signal = Signal::default();
        let sender = signal.clone();
        let thread = thread::spawn(move || sender.send());
        executor.block_on(signal).unwrap();
        thread.join().unwrap();
    });
}
