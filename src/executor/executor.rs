//! The executor loop: waits for events, wakes the affected tasks, polls woken tasks.
//!
//! Knows no particular kind of socket or future.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use super::buffer_pool::BufferPool;
use super::loop_waker::LoopWaker;
use super::sleep_timers::SleepTimers;
use super::wake_set::{RootWaker, WakeSet};
use super::{ExecutorConfig, Handle, Shared};
use crate::collections::Slab;
use crate::errno::Errno;
use crate::event::Event;
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::linux::Linux;
use crate::reactor::Reactor;

/// A single-threaded executor with its reactor; it runs on the caller's thread.
///
/// Dropping it cancels all remaining tasks. A socket held outside of a task is closed when it is
/// dropped, and the last of them closes the epoll.
pub struct Executor<K: Kernel = Linux> {
    shared: Rc<Shared<K>>,
    loop_waker: Arc<LoopWaker>,
    /// Tasks woken but not polled yet: a panic may have interrupted the round.
    run_queue: VecDeque<u32>,
}

impl Executor {
    /// Creates an executor on the real kernel. Cost: three system calls.
    ///
    /// A waker of its tasks that is used on another thread ends the wait of this one.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`], [`Errno::ENOSPC`]: out of
    ///   descriptors, memory or epoll watches.
    ///
    /// Man page: epoll_create1(2), eventfd(2)
    pub fn new() -> Result<Self, Errno> {
        let mut executor = Self::with_kernel(Linux)?;
        executor.accept_remote_wakes()?;
        Ok(executor)
    }
}

impl<K: Kernel> Executor<K> {
    /// Creates an executor on `kernel`, with the default limits. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of descriptors or memory.
    ///
    /// Man page: epoll_create1(2)
    pub fn with_kernel(kernel: K) -> Result<Self, Errno> {
        Self::with_config(kernel, ExecutorConfig::default())
    }

    /// Creates an executor on `kernel` with `config`. Cost: one system call.
    ///
    /// # Errors
    /// As [`with_kernel`](Self::with_kernel).
    pub fn with_config(kernel: K, config: ExecutorConfig) -> Result<Self, Errno> {
        let loop_waker = Arc::new(LoopWaker::local());
        let shared = Shared {
            reactor: RefCell::new(Reactor::with_limits(kernel, config.limits)?),
            tasks: RefCell::new(Slab::new(u32::MAX)),
            wake_set: RefCell::new(WakeSet::new(Arc::clone(&loop_waker))),
            sleep_timers: RefCell::new(SleepTimers::new()),
            fd_waiters: RefCell::new(Vec::new()),
            close_count: Cell::new(0),
            pool: Rc::new(BufferPool::new(config.buffer_bytes)),
            budget_left: Cell::new(0),
            budget: config.budget.get(),
            is_shut_down: Cell::new(false),
        };
        Ok(Self { shared: Rc::new(shared), loop_waker, run_queue: VecDeque::new() })
    }

    /// Lets a waker of a task that is used on another thread end the wait of this one; until then
    /// the task waits for the next event. To be called before the first task is spawned. Cost: two
    /// system calls, and a fence for each wait.
    ///
    /// [`Executor::new`] does it. It needs a kernel that can be made on that thread: a simulated
    /// one cannot.
    ///
    /// # Errors
    /// As [`Reactor::waker`].
    pub fn accept_remote_wakes(&mut self) -> Result<(), Errno>
    where
        K: Default,
    {
        let waker = self.shared.reactor.borrow_mut().waker()?;
        self.loop_waker = Arc::new(LoopWaker::remote::<K>(waker));
        *self.shared.wake_set.borrow_mut() = WakeSet::new(Arc::clone(&self.loop_waker));
        Ok(())
    }

    /// The handle with which tasks spawn, open and sleep. Cost: O(1).
    #[must_use]
    pub fn handle(&self) -> Handle<K> {
        Handle(Rc::clone(&self.shared))
    }

    /// Runs `future` to completion, and all tasks concurrently. Cost: one round per wake-up.
    ///
    /// Tasks that have not finished by then are suspended; another call continues with them.
    ///
    /// # Errors
    /// What epoll_wait(2) returned, as [`Reactor::next`](crate::Reactor::next), except that an
    /// interrupted wait is no error: it counts as a round without events. No task is lost.
    ///
    /// # Panics
    /// A task has panicked.
    pub fn block_on<F: Future>(&mut self, future: F) -> Result<F::Output, Errno> {
        let mut future = pin!(future);
        let root_waker = RootWaker::new_woken(Arc::clone(&self.loop_waker));
        let waker = Waker::from(Arc::clone(&root_waker));
        loop {
            if root_waker.take() {
                self.shared.budget_left.set(self.shared.budget);
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = polled {
                    return Ok(output);
                }
            }
            self.run_once_inner(None, || root_waker.is_woken())?;
        }
    }

    /// Runs one round: waits for events, until `deadline` if no task is runnable, and polls each
    /// woken task once. Returns how many tasks were polled. Cost: one wait; O(events); one poll
    /// for each woken task.
    ///
    /// For custom loops, and for tests that proceed step by step; with a deadline that has passed
    /// it does not block.
    ///
    /// # Errors
    /// What epoll_wait(2) returned, as [`Reactor::next`](crate::Reactor::next), except that an
    /// interrupted wait is no error: it counts as a round without events. No task is lost.
    ///
    /// # Panics
    /// A task has panicked.
    pub fn run_once(&mut self, deadline: Option<Instant>) -> Result<usize, Errno> {
        self.run_once_inner(deadline, || false)
    }

    fn run_once_inner(
        &mut self,
        deadline: Option<Instant>,
        is_root_woken: impl Fn() -> bool,
    ) -> Result<usize, Errno> {
        // First this, and then what is woken: a wake in between ends the wait.
        self.loop_waker.begin_wait();
        let is_any_woken = is_root_woken()
            || !self.run_queue.is_empty()
            || self.shared.wake_set.borrow().any_woken();
        let deadline = if is_any_woken {
            Some(Instant::ZERO)
        } else {
            let earliest = self.shared.sleep_timers.borrow().next_deadline();
            [deadline, earliest].into_iter().flatten().min()
        };
        self.shared.poll_reactor(deadline, &self.loop_waker)?;
        self.shared.fire_timers();
        self.shared.wake_set.borrow().drain_into(&mut self.run_queue);
        // Tasks woken from here on are polled in the next round.
        let mut polled = 0;
        while let Some(slot) = self.run_queue.pop_front() {
            polled += 1;
            self.shared.poll_task(slot);
        }
        Ok(polled)
    }
}

impl<K: Kernel> Shared<K> {
    /// Waits for events once, and wakes the tasks that they concern.
    #[inline]
    fn poll_reactor(&self, deadline: Option<Instant>, loop_waker: &LoopWaker) -> Result<(), Errno> {
        let first = self.reactor.borrow_mut().next(deadline);
        loop_waker.end_wait();
        let mut next = match first {
            // Interrupted repeatedly, or stale events only: no events, but a task may have been
            // woken.
            Err(errno) if errno.is_interrupted() || errno.is_resource_exhausted() => None,
            next => next?,
        };
        while let Some(event) = next {
            // `Woken` only means that a task was woken, and that is checked anyway.
            if let Event::Io { token, ready } = event {
                let mut reactor = self.reactor.borrow_mut();
                let woken = reactor.get_mut(token).map(|(state, _)| state.on_ready(ready));
                drop(reactor);
                // A user-supplied waker may run arbitrary code: not while the reactor is borrowed.
                woken.into_iter().flatten().flatten().for_each(Waker::wake);
            }
            next = self.reactor.borrow_mut().try_next();
        }
        Ok(())
    }

    #[inline]
    fn fire_timers(&self) {
        // As many as there are now: a woken task may sleep again.
        let count = self.sleep_timers.borrow().len();
        if count == 0 {
            return;
        }
        let now = self.reactor.borrow().reported_until();
        for _ in 0..count {
            let Some(waker) = self.sleep_timers.borrow_mut().pop_expired(now) else { break };
            waker.wake();
        }
    }

    /// Polls the task in `slot`, if there is one.
    #[inline]
    fn poll_task(&self, slot: u32) {
        let tasks = self.tasks.borrow();
        let Some(token) = tasks.token_at(slot) else { return };
        let Some(task) = tasks.get(token).map(Rc::clone) else { return };
        drop(tasks);
        self.budget_left.set(self.budget);
        if task.run() {
            let task = self.tasks.borrow_mut().remove(token);
            // An output that is not joined is dropped here, while nothing is borrowed.
            drop(task);
        }
    }
}

impl<K: Kernel> Drop for Executor<K> {
    fn drop(&mut self) {
        self.shared.is_shut_down.set(true);
        let slots = self.shared.tasks.borrow().slot_count();
        for slot in 0..slots {
            let mut tasks = self.shared.tasks.borrow_mut();
            let task = tasks.token_at(slot).and_then(|token| tasks.remove(token));
            drop(tasks);
            if let Some(task) = task {
                task.cancel();
            }
        }
    }
}

impl<K: Kernel> fmt::Debug for Executor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Executor").field(&self.handle()).finish()
    }
}
