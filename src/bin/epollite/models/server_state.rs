//! State shared by all coroutines of the server: statistics, limits and the shutdown deadline.
//!
//! Knows which tasks to wake on shutdown, and nothing of what the tasks do.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use epollite::executor::{AsyncFd, Direction, Handle};
use epollite::kernel::{SIGINFO_BYTES, Signal};
use epollite::server::stream::CloseReason;
use epollite::{Addr, Errno, Instant};

use super::context::WorkerContext;
use super::fd_list::ServerLimits;
use super::sockets::{AcceptError, Acceptor};
use crate::echo::stats::StatsSnapshot;
use crate::instrument::InstrumentedKernel;
use crate::listen::SocketFiles;
use crate::operation::{notify, reload};
use crate::output::log::Log;
use crate::signals::exit_by;

/// State shared by the server's tasks.
pub(super) struct ServerState<K: InstrumentedKernel> {
    pub(super) handle: Handle<K>,
    pub(super) log: Log,
    pub(super) limits: ServerLimits,
    context: RefCell<WorkerContext<K>>,
    pub(super) files: RefCell<SocketFiles>,
    /// The ports of our own datagram sockets.
    pub(super) ports: RefCell<Vec<u16>>,
    /// Wakers called on shutdown: clients by number.
    client_wakers: RefCell<HashMap<u64, Waker>>,
    /// Wakers of listeners, called on shutdown and when a connection closes at the limit.
    listener_wakers: RefCell<Vec<Waker>>,
    /// Number of clients accepted so far.
    next_id: Cell<u64>,
    /// Set during shutdown: when remaining connections are dropped.
    pub(super) drain_deadline: Cell<Option<Instant>>,
    /// The errno of accept4(2) when a listener failed.
    pub(super) failed: Cell<Option<Errno>>,
    acceptor: RefCell<Acceptor>,
}

impl<K: InstrumentedKernel> ServerState<K> {
    pub(super) fn new(
        context: WorkerContext<K>,
        handle: Handle<K>,
        limits: ServerLimits,
    ) -> Rc<Self> {
        Rc::new(Self {
            handle,
            log: context.log,
            limits,
            context: RefCell::new(context),
            files: RefCell::default(),
            ports: RefCell::default(),
            client_wakers: RefCell::default(),
            listener_wakers: RefCell::default(),
            next_id: Cell::new(0),
            drain_deadline: Cell::new(None),
            failed: Cell::new(None),
            acceptor: RefCell::default(),
        })
    }

    /// The statistics. Never held across an `.await`: other tasks borrow them too.
    pub(super) fn context(&self) -> RefMut<'_, WorkerContext<K>> {
        self.context.borrow_mut()
    }

    /// Prints and counts the system calls recorded so far.
    pub(super) fn drain_trace(&self) {
        self.handle.with_kernel(|kernel| self.context().drain_trace_of(kernel));
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        self.drain_trace();
        let mut snapshot = self.context().snapshot();
        snapshot.calls = self.handle.with_kernel(|kernel| *kernel.counts());
        snapshot
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.drain_deadline.get().is_some()
    }

    pub(super) fn drain_expired(&self) -> bool {
        self.drain_deadline.get().is_some_and(|deadline| deadline <= self.handle.now())
    }

    /// Registers the calling client task to be woken on shutdown.
    pub(super) async fn register_waker(&self, number: u64) {
        let waker = own_waker().await;
        self.client_wakers.borrow_mut().insert(number, waker);
    }

    /// Registers the calling listener task to be woken on shutdown and when capacity is free.
    pub(super) async fn register_listener_waker(&self) {
        let waker = own_waker().await;
        self.listener_wakers.borrow_mut().push(waker);
    }

    /// Counts and logs an accepted client; returns its number and its name in the log.
    pub(super) fn connection_opened(&self, peer: &Addr) -> (u64, String) {
        self.next_id.set(self.next_id.get() + 1);
        let number = self.next_id.get();
        (number, self.context().connection_opened(peer, number))
    }

    /// Counts and logs a closed client.
    pub(super) fn connection_closed(&self, number: u64, name: &str, bytes: u64, why: CloseReason) {
        self.client_wakers.borrow_mut().remove(&number);
        let mut context = self.context();
        let was_full = context.open >= self.limits.connections_max;
        context.connection_closed(name, bytes, why);
        context.stats.timed_out += u64::from(why == CloseReason::IdleTimeout);
        if was_full {
            self.listener_wakers.borrow().iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Waits until the number of clients is below the limit, or until shutdown.
    pub(super) async fn wait_for_capacity(&self) {
        let is_full = || self.context().open >= self.limits.connections_max;
        if is_full() {
            let open = self.context().open;
            self.acceptor.borrow_mut().pause(&mut self.context(), None, open);
        }
        poll_fn(|_| {
            if is_full() && !self.is_shutting_down() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Counts and logs that accepting has failed.
    pub(super) fn accept_failed(&self, errno: Errno) -> AcceptError {
        self.acceptor.borrow_mut().failed(&mut self.context(), errno)
    }

    pub(super) fn accept_succeeded(&self) {
        self.acceptor.borrow_mut().succeeded();
    }

    /// Stops accepting and wakes all tasks, so that they finish.
    fn begin_shutdown(&self) {
        self.files.borrow_mut().remove();
        notify::stopping();
        self.drain_deadline.set(Some(self.handle.now() + self.limits.drain));
        self.listener_wakers.borrow().iter().for_each(Waker::wake_by_ref);
        self.client_wakers.borrow().values().for_each(Waker::wake_by_ref);
    }
}

/// The waker of the calling task.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Reads signals in an endless loop.
pub(super) async fn signal_loop<K: InstrumentedKernel>(
    state: Rc<ServerState<K>>,
    mut signals: AsyncFd<K>,
) {
    loop {
        let mut record = [0; SIGINFO_BYTES];
        let read =
            signals.async_io(Direction::Read, |kernel, fd| kernel.read(fd, &mut record)).await;
        let signal = read.ok().and_then(|count| Signal::from_siginfo(&record[..count]));
        match signal {
            None => {}
            Some(Signal::USR1) => state.snapshot().print(&state.log),
            Some(Signal::HUP) if reload::is_on() => reload::run(&state.log),
            Some(signal) if state.is_shutting_down() => {
                state.files.borrow_mut().remove();
                exit_by(signal)
            }
            Some(_) => state.begin_shutdown(),
        }
    }
}
