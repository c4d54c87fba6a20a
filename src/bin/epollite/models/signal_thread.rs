//! Stopping threads blocked in system calls: the signal thread shuts down their sockets, and
//! interrupts the thread that accepts.
//!
//! A call that blocks inside the kernel checks no flag. A signal interrupts it, but a signal that
//! arrives just *before* the call interrupts nothing, and is lost. A shutdown of the socket is
//! permanent: a blocked call returns, and a later call does not block. So a dedicated thread reads
//! the signals; it has a list of all open connections.
//!
//! A listener is not shut down: that would reset the connections in its backlog. The thread that
//! waits there is sent a signal again and again until it reacts, which is the traditional way. It
//! accepts what is queued, and closes the listener. A connection that arrives between the last
//! accept(2) and the close(2) is reset: no call does both. A thread that serves a client itself may
//! be stuck there, so it lends its listener: after a while the signal thread accepts for it, and
//! shuts the empty listener down, so that no client connects to a server that is ending.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use epollite::kernel::{Shutdown, Signal};
use epollite::{Addr, Fd, Interest, Kernel};

use super::context::WorkerContext;
use super::shared_stats::SharedCounters;
use super::sockets;
use super::sys::{ModelSyscalls as _, PollFd, ThreadId};
use crate::exit::{CliError, failed, spawn_failure};
use crate::instrument::InstrumentedKernel;
use crate::listen::SocketFiles;
use crate::operation::{notify, reload};
use crate::signals::{exit_by, read_signals};

/// How often the thread that accepts is interrupted until it reacts, and after how many times the
/// signal thread accepts for it, if its listener was lent.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(5);
const INTERRUPTS_MAX: u32 = 10;

/// State shared by the signal thread and the serving threads.
pub(super) struct ConnectionRegistry {
    /// The thread that accepts, or serves datagrams.
    acceptor: ThreadId,
    pub(super) counters: SharedCounters,
    state: Mutex<State>,
    /// Notified whenever a connection is deregistered.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_shutting_down: bool,
    /// Whether no more is accepted.
    is_closed: bool,
    /// Whether the drain timeout has passed.
    is_expired: bool,
    /// Sockets of open connections, by number; `None` while one is being closed.
    connections: HashMap<u64, Option<Arc<Fd>>>,
    /// The number of the next connection.
    next_id: u64,
    /// The listener of a thread that also serves.
    listener: Option<Arc<Fd>>,
    /// Clients that were accepted for it.
    accepted: Vec<Client>,
}

/// A socket that was accepted, and its peer.
pub(super) type Client = (Fd, Addr);

/// Keeps a connection on the list until it is dropped, and its socket until it is closed.
pub(super) struct Registration {
    registry: Arc<ConnectionRegistry>,
    number: u64,
    socket: Option<Arc<Fd>>,
}

impl Registration {
    /// Takes the socket off the list, so that the signal thread no longer uses it: from then on its
    /// descriptor number may be reused.
    pub(super) fn release(&mut self) -> Option<Fd> {
        drop(self.socket.take());
        let socket = self.registry.lock().connections.get_mut(&self.number).and_then(Option::take);
        socket.and_then(Arc::into_inner)
    }

    /// Whether the server is shutting down.
    pub(super) fn is_shutting_down(&self) -> bool {
        self.registry.is_shutting_down()
    }

    pub(super) fn socket(&self) -> Option<&Fd> {
        self.socket.as_deref()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().connections.remove(&self.number);
        self.registry.changed.notify_all();
    }
}

impl ConnectionRegistry {
    /// For the calling thread, which is the one that accepts.
    pub(super) fn new(counters: SharedCounters) -> Arc<Self> {
        let (acceptor, state) = (ThreadId::own(), Mutex::default());
        Arc::new(Self { acceptor, counters, state, changed: Condvar::new() })
    }

    /// Registers a client's socket. During shutdown it is shut down for reading, like the others;
    /// after the drain timeout in both directions.
    pub(super) fn register<K: Kernel>(
        self: &Arc<Self>,
        kernel: &mut K,
        socket: Fd,
    ) -> Registration {
        let mut state = self.lock();
        if state.is_shutting_down {
            let how = if state.is_expired { Shutdown::Both } else { Shutdown::Read };
            let _ = kernel.shutdown(&socket, how);
        }
        let (number, socket) = (state.next_id, Arc::new(socket));
        state.next_id += 1;
        state.connections.insert(number, Some(Arc::clone(&socket)));
        Registration { registry: Arc::clone(self), number, socket: Some(socket) }
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.lock().is_shutting_down
    }

    /// Whether the drain timeout has passed: what is still queued is not accepted.
    pub(super) fn is_expired(&self) -> bool {
        self.lock().is_expired
    }

    /// The thread that accepts has ended its loop: it need not be interrupted any more.
    pub(super) fn stopped_accepting(&self) {
        self.lock().is_closed = true;
    }

    /// Lends the listener, for when this thread serves a client and cannot accept.
    pub(super) fn lend(&self, listener: Fd) -> Arc<Fd> {
        let listener = Arc::new(listener);
        self.lock().listener = Some(Arc::clone(&listener));
        listener
    }

    /// Takes the listener back, with the clients that were accepted for it.
    pub(super) fn take_back(&self, listener: Arc<Fd>) -> (Option<Fd>, Vec<Client>) {
        let mut state = self.lock();
        drop(state.listener.take());
        (Arc::into_inner(listener), std::mem::take(&mut state.accepted))
    }

    /// Accepts what is in the backlog of a lent listener, and shuts it down when that is empty.
    /// Without descriptors for all it is left as it is.
    fn drain_lent_listener<K: InstrumentedKernel>(&self, context: &mut WorkerContext<K>) {
        // Under the lock it is not taken back.
        let mut state = self.lock();
        let Some(listener) = state.listener.clone() else { return };
        let accepted = &mut state.accepted;
        let is_empty = sockets::accept_backlog(context, &listener, |_, socket, peer| {
            accepted.push((socket, peer));
            true
        });
        if is_empty {
            // It fails only if another process has done so.
            let _ = context.kernel.shutdown(&listener, Shutdown::Both);
        }
    }

    /// The number of connections.
    pub(super) fn connection_count(&self) -> usize {
        self.lock().connections.len()
    }

    /// Waits until there are fewer than `max` connections, or until shutdown.
    pub(super) fn wait_for_capacity(&self, max: usize) {
        let state = self.lock();
        let is_full = |state: &mut State| !state.is_shutting_down && state.connections.len() >= max;
        drop(self.changed.wait_while(state, is_full));
    }

    /// Waits until every connection is deregistered.
    pub(super) fn wait_until_empty(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.connections.is_empty()));
    }

    /// Shuts down every connection's socket, in the direction given.
    fn shutdown_all<K: Kernel>(&self, kernel: &mut K, how: Shutdown) {
        // Under the lock no thread can close a socket, so no descriptor number is reused.
        for socket in self.lock().connections.values().flatten() {
            // An error is harmless: the peer has already closed.
            let _ = kernel.shutdown(socket, how);
        }
    }

    /// Ignores poisoning: a thread that panicked while it held the lock left a consistent list.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the signal thread, which runs until the process exits. At the first signal it stops
/// accepting; data that has arrived is echoed; after `drain` the remaining connections are aborted.
pub(super) fn start<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    mut context: WorkerContext<K>,
    signals: Fd,
    files: SocketFiles,
    drain: Duration,
) -> Result<(), CliError> {
    context.kernel.set_blocking(&signals).map_err(failed("ioctl"))?;
    let registry = Arc::clone(registry);
    let watch = move || SignalThread { registry, context, signals, files, drain }.run();
    let started = std::thread::Builder::new().name("signals".into()).spawn(watch);
    started.map(drop).map_err(|error| spawn_failure(&error))
}

struct SignalThread<K: InstrumentedKernel> {
    registry: Arc<ConnectionRegistry>,
    context: WorkerContext<K>,
    signals: Fd,
    files: SocketFiles,
    drain: Duration,
}

impl<K: InstrumentedKernel> SignalThread<K> {
    fn run(mut self) {
        let requests = loop {
            let requests = self.shutdown_requests();
            if !requests.is_empty() {
                break requests;
            }
        };
        self.files.remove();
        if let Some(&signal) = requests.get(1) {
            exit_by(signal);
        }
        notify::stopping();
        self.registry.lock().is_shutting_down = true;
        self.registry.changed.notify_all();
        // A blocked recv(2) returns end of stream.
        self.registry.shutdown_all(&mut self.context.kernel, Shutdown::Read);
        self.context.flush_stats();
        let mut deadline = Some(self.context.kernel.now() + self.drain);
        let mut interrupts = 0;
        loop {
            let kernel = &mut self.context.kernel;
            let remaining = deadline.map(|deadline| deadline - kernel.now());
            let mut list = [PollFd::new(&self.signals, Interest::READABLE)];
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                // The drain timeout has passed: a blocked send(2) returns too.
                self.registry.lock().is_expired = true;
                self.registry.shutdown_all(kernel, Shutdown::Both);
                deadline = None;
                continue;
            }
            let is_closed = self.registry.lock().is_closed;
            if !is_closed {
                kernel.interrupt(&self.registry.acceptor);
                interrupts += 1;
            }
            if !is_closed && interrupts == INTERRUPTS_MAX {
                self.registry.drain_lent_listener(&mut self.context);
                continue;
            }
            let again = (!is_closed).then_some(INTERRUPT_INTERVAL);
            // Interrupted, too, it waits again: the read below would block.
            if kernel.poll(&mut list, remaining.into_iter().chain(again).min()) != Ok(1) {
                continue;
            }
            if let Some(&signal) = self.shutdown_requests().first() {
                exit_by(signal);
            }
        }
    }

    /// Waits for signals, handles SIGUSR1 (print statistics) and a reload, and returns the others.
    fn shutdown_requests(&mut self) -> Vec<Signal> {
        // A signal for the thread that accepts may come from outside: the read is then interrupted.
        let signals = read_signals(|records| self.context.kernel.read(&self.signals, records));
        let (handled, requests): (Vec<_>, Vec<_>) =
            signals.into_iter().partition(|&signal| is_handled(signal));
        self.context.flush_stats();
        for signal in handled {
            match signal {
                Signal::USR1 => self.registry.counters.sum().print(&self.context.log),
                _ => reload::run(&self.context.log),
            }
        }
        requests
    }
}

/// Whether the signal does not request a shutdown.
fn is_handled(signal: Signal) -> bool {
    signal == Signal::USR1 || (signal == Signal::HUP && reload::is_on())
}
