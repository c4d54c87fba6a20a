//! State shared by all coroutines of the server: statistics, limits and the shutdown deadline.
//!
//! Knows which tasks to wake on shutdown, and nothing of what the tasks do.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant as Moment;

use epollite::executor::{AsyncFd, Direction, Handle};
use epollite::kernel::SIGINFO_BYTES;
use epollite::kernel::{ReceivedDatagram, Signal};
use epollite::server::datagram::{DatagramEvent, Disposition, is_reflector};
use epollite::server::stream::CloseReason;
use epollite::{Errno, Instant};

use super::context::WorkerContext;
use super::fd_list::ServerLimits;
use crate::client_log;
use crate::instrument::InstrumentedKernel;
use crate::listen::{SocketFile, SocketFiles};
use crate::log::Log;
use crate::stats::StatsSnapshot;

/// State shared by the server's tasks.
pub(super) struct ServerState<K: InstrumentedKernel> {
    pub(super) handle: Handle<K>,
    pub(super) log: Log,
    pub(super) limits: ServerLimits,
    context: RefCell<WorkerContext<K>>,
    files: RefCell<SocketFiles>,
    /// The ports of our own datagram sockets.
    ports: RefCell<Vec<u16>>,
    /// Wakers called on shutdown: clients by number.
    client_wakers: RefCell<HashMap<u64, Waker>>,
    /// Wakers of listeners, called on shutdown and when a connection closes at the limit.
    listener_wakers: RefCell<Vec<Waker>>,
    /// Number of clients accepted so far.
    next_id: Cell<u64>,
    /// Set during shutdown: when remaining connections are dropped.
    drain_deadline: Cell<Option<Instant>>,
    /// The errno of accept4(2) when a listener failed.
    pub(super) failed: Cell<Option<Errno>>,
    last_pause_log: Cell<Option<Moment>>,
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
            last_pause_log: Cell::new(None),
        })
    }

    pub(super) fn add_own_port(&self, port: Option<u16>) {
        self.ports.borrow_mut().extend(port);
    }

    pub(super) fn add_socket_file(&self, file: Option<SocketFile>) {
        self.files.borrow_mut().extend(file);
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
        snapshot.calls = self.handle.with_kernel(|kernel| kernel.counts());
        snapshot
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.drain_deadline.get().is_some()
    }

    /// When connections that are still open are dropped; `None` before shutdown.
    pub(super) fn drain_deadline(&self) -> Option<Instant> {
        self.drain_deadline.get()
    }

    pub(super) fn drain_expired(&self) -> bool {
        self.drain_deadline.get().is_some_and(|deadline| deadline <= self.handle.now())
    }

    /// Registers the calling client task to be woken on shutdown.
    pub(super) async fn register_waker(&self, number: u64) {
        poll_fn(|cx| {
            self.client_wakers.borrow_mut().insert(number, cx.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Registers the calling listener task to be woken on shutdown and when capacity is free.
    pub(super) async fn register_listener_waker(&self) {
        poll_fn(|cx| {
            self.listener_wakers.borrow_mut().push(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Counts an accepted client; returns its number.
    pub(super) fn connection_opened(&self) -> u64 {
        let mut context = self.context();
        context.open += 1;
        context.stats.accepted += 1;
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// Counts a closed client.
    pub(super) fn connection_closed(&self, number: u64, why: CloseReason) {
        self.client_wakers.borrow_mut().remove(&number);
        let mut context = self.context();
        let was_full = context.open >= self.limits.connections_max;
        context.open -= 1;
        context.stats.record_close(why);
        context.stats.timed_out += u64::from(why == CloseReason::IdleTimeout);
        if was_full {
            self.listener_wakers.borrow().iter().for_each(Waker::wake_by_ref);
        }
    }

    /// Waits until the number of clients is below the limit, or until shutdown.
    pub(super) async fn wait_for_capacity(&self) {
        let is_full = || self.context().open >= self.limits.connections_max;
        if is_full() {
            self.log_accept_pause(None);
        }
        poll_fn(|_| {
            if is_full() && !self.is_shutting_down() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    pub(super) fn log_accept_pause(&self, errno: Option<Errno>) {
        let mut context = self.context();
        context.stats.accept_pauses += 1;
        let mut last = self.last_pause_log.get();
        client_log::accept_paused(&self.log, &mut last, errno, context.open);
        self.last_pause_log.set(last);
    }

    /// Counts the result of recvmsg(2); returns how many bytes of it to send back, if any.
    pub(super) fn count_received(
        &self,
        received: &Result<ReceivedDatagram, Errno>,
        buf_len: usize,
    ) -> Option<usize> {
        let mut context = self.context();
        let stats = &mut context.datagrams;
        let Ok(ReceivedDatagram { len_bytes, from, .. }) = received else {
            stats.errors += 1;
            return None;
        };
        let bytes = buf_len.min(*len_bytes);
        stats.received += 1;
        stats.bytes_in += bytes as u64;
        let served = if *len_bytes > buf_len {
            stats.truncated += 1;
            Disposition::Truncated
        } else if is_reflector(&self.ports.borrow(), from) {
            stats.refused += 1;
            Disposition::Reflected
        } else {
            Disposition::Echoed
        };
        if self.log.is_verbose {
            client_log::datagram(
                &self.log,
                &DatagramEvent { from: *from, bytes, disposition: served },
            );
        }
        (served == Disposition::Echoed).then_some(bytes)
    }

    /// Counts the result of sending a reply.
    pub(super) fn count_sent(&self, sent: Result<usize, Errno>) {
        let stats = &mut self.context().datagrams;
        match sent {
            Ok(bytes) => {
                stats.echoed += 1;
                stats.bytes_out += bytes as u64;
            }
            Err(_) => stats.dropped += 1,
        }
    }

    /// Stops accepting and wakes all tasks, so that they finish.
    fn begin_shutdown(&self) {
        self.files.borrow_mut().remove();
        self.drain_deadline.set(Some(self.handle.now() + self.limits.drain));
        self.listener_wakers.borrow().iter().for_each(Waker::wake_by_ref);
        self.client_wakers.borrow().values().for_each(Waker::wake_by_ref);
    }
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
            Some(signal) if state.is_shutting_down() => {
                // A second signal: exit at once, with the exit code a shell gives to it.
                state.files.borrow_mut().remove();
                std::process::exit(128 + i32::from(signal.number()))
            }
            Some(_) => state.begin_shutdown(),
        }
    }
}
