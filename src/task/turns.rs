//! The loop: asks the kernel, rings whom it concerns, polls who was rung.
//!
//! Knows no socket by name, and no future from the inside.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use super::bells::{Bells, MainBell};
use super::lent::Pool;
use super::time::Sleepers;
use super::{Config, Handle, Shared};
use crate::errno::Errno;
use crate::event::Event;
use crate::instant::Instant;
use crate::kernel::Kernel;
use crate::linux::Linux;
use crate::reactor::Reactor;
use crate::slab::Slab;

/// Tasks, and the reactor they wait on. One thread, and it is the caller's.
///
/// Dropping it cancels all tasks that are left. A socket that somebody holds outside of a task
/// is closed when it is dropped, and the last of them closes the epoll.
pub struct Tasks<K: Kernel = Linux> {
    shared: Rc<Shared<K>>,
    /// Who was rung and has not been polled yet: somebody's panic may have come between.
    due: VecDeque<u32>,
}

impl Tasks {
    /// Tasks on the real kernel. Work: one system call.
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn new() -> Result<Self, Errno> {
        Self::on(Linux)
    }
}

impl<K: Kernel> Tasks<K> {
    /// Tasks on `kernel`, with the usual limits. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of something.
    ///
    /// Man page: epoll_create1(2)
    pub fn on(kernel: K) -> Result<Self, Errno> {
        Self::with_config(kernel, Config::default())
    }

    /// Tasks on `kernel`, with limits of your own. Work: one system call.
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn with_config(kernel: K, config: Config) -> Result<Self, Errno> {
        let shared = Shared {
            reactor: RefCell::new(Reactor::with_limits(kernel, config.limits)?),
            jobs: RefCell::new(Slab::new(u32::MAX)),
            bells: RefCell::new(Bells::default()),
            sleepers: RefCell::new(Sleepers::new()),
            hopeful: RefCell::new(Vec::new()),
            closed: Cell::new(0),
            pool: Rc::new(Pool::new(config.buffer_bytes)),
            calls_left: Cell::new(0),
            calls_max: config.calls_max.get(),
            is_over: Cell::new(false),
        };
        Ok(Self { shared: Rc::new(shared), due: VecDeque::new() })
    }

    /// What tasks do things with. Work: O(1).
    #[must_use]
    pub fn handle(&self) -> Handle<K> {
        Handle(Rc::clone(&self.shared))
    }

    /// Runs `future` to its end, and all tasks meanwhile. Work: a turn for each time that
    /// anything happens.
    ///
    /// Tasks that have not ended by then stand still; another call goes on with them.
    ///
    /// # Errors
    /// What epoll_wait(2) said, as [`Reactor::next`](crate::Reactor::next), but that an interrupted
    /// wait is no error: it was a turn without news. No task is lost.
    ///
    /// # Panics
    /// A task has panicked.
    pub fn block_on<F: Future>(&mut self, future: F) -> Result<F::Output, Errno> {
        let mut future = pin!(future);
        let bell = MainBell::rung();
        let waker = Waker::from(Arc::clone(&bell));
        loop {
            if bell.take() {
                self.shared.calls_left.set(self.shared.calls_max);
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = polled {
                    return Ok(output);
                }
            }
            self.one_turn(None, bell.is_rung())?;
        }
    }

    /// One turn: asks the kernel, waiting until `deadline` if nobody wants to go on, and polls
    /// each task that was rung once. Returns how many that were. Work: one wait; O(events); one
    /// poll for each that was rung.
    ///
    /// For loops of your own, and for tests that go step by step; a deadline that has passed
    /// asks and does not wait.
    ///
    /// # Errors
    /// What epoll_wait(2) said, as [`Reactor::next`](crate::Reactor::next), but that an interrupted
    /// wait is no error: it was a turn without news. No task is lost.
    ///
    /// # Panics
    /// A task has panicked.
    pub fn turn(&mut self, deadline: Option<Instant>) -> Result<usize, Errno> {
        self.one_turn(deadline, false)
    }

    fn one_turn(&mut self, deadline: Option<Instant>, is_main_rung: bool) -> Result<usize, Errno> {
        let is_anybody_rung =
            is_main_rung || !self.due.is_empty() || self.shared.bells.borrow().are_rung();
        let deadline = if is_anybody_rung {
            Some(Instant::ZERO)
        } else {
            let earliest = self.shared.sleepers.borrow().earliest();
            [deadline, earliest].into_iter().flatten().min()
        };
        self.shared.listen(deadline)?;
        self.shared.ring_sleepers();
        self.shared.bells.borrow().collect(&mut self.due);
        // Who is rung from here on is collected next time.
        let mut polled = 0;
        while let Some(slot) = self.due.pop_front() {
            polled += 1;
            self.shared.run(slot);
        }
        Ok(polled)
    }
}

impl<K: Kernel> Shared<K> {
    /// Asks the kernel once, and rings whomever it has news for.
    fn listen(&self, deadline: Option<Instant>) -> Result<(), Errno> {
        let mut next = match self.reactor.borrow_mut().next(deadline) {
            // Interrupted again and again, or stale events only: no news, but somebody may have been
            // rung meanwhile.
            Err(errno) if errno.interrupted() || errno.exhausted() => None,
            next => next?,
        };
        while let Some(event) = next {
            // Woken has nothing to say but that somebody has rung, and that is looked at anyway.
            if let Event::Io { token, ready } = event {
                let mut reactor = self.reactor.borrow_mut();
                let woken = reactor.source(token).map(|source| source.state.hear(ready));
                drop(reactor);
                // A waker may be a stranger's, and do as it likes.
                woken.into_iter().flatten().flatten().for_each(Waker::wake);
            }
            next = self.reactor.borrow_mut().pending();
        }
        Ok(())
    }

    fn ring_sleepers(&self) {
        // As many as there are now: who is woken may go to sleep again.
        let sleepers = self.sleepers.borrow().len();
        if sleepers == 0 {
            return;
        }
        let now = self.reactor.borrow().reported_until();
        for _ in 0..sleepers {
            let Some(waker) = self.sleepers.borrow_mut().expire(now) else { break };
            waker.wake();
        }
    }

    /// Polls who is in `slot`, if anybody is.
    fn run(&self, slot: u32) {
        let jobs = self.jobs.borrow();
        let Some(token) = jobs.token_at(slot) else { return };
        let Some(job) = jobs.get(token).map(Rc::clone) else { return };
        drop(jobs);
        self.calls_left.set(self.calls_max);
        if job.run() {
            let job = self.jobs.borrow_mut().remove(token);
            // An output that nobody asked for falls here, and not under a borrow.
            drop(job);
        }
    }
}

impl<K: Kernel> Drop for Tasks<K> {
    fn drop(&mut self) {
        self.shared.is_over.set(true);
        let slots = self.shared.jobs.borrow().slots();
        for slot in 0..slots {
            let mut jobs = self.shared.jobs.borrow_mut();
            let job = jobs.token_at(slot).and_then(|token| jobs.remove(token));
            drop(jobs);
            if let Some(job) = job {
                job.cancel();
            }
        }
    }
}

impl<K: Kernel> fmt::Debug for Tasks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.handle()).finish()
    }
}
