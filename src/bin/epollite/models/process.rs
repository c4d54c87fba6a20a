//! **process**: a process per client, forked from one that only accepts.
//!
//! What it teaches: fork(2), the oldest way to serve many, and the cleanup it requires. Both
//! processes have both sockets: the parent closes the client's, or the connection would stay open
//! after the child exits; the child closes the listener, or the port would stay in use after the
//! parent exits. A child that has exited stays in the process table as a zombie until its parent
//! reaps it: here on SIGCHLD, calling waitpid(2) until it finds none, since pending signals are not
//! counted. And the child runs the straight-line code of `blocking`.
//!
//! What it costs: some 350 µs of processor time to fork and reap a child, ten times what epoll
//! takes for a connection; 135 KiB per client; and an echo is a context switch between processes,
//! twice what epoll takes, with one more call: poll(2) for the client or the signal, then recv and
//! send.
//!
//! What it gives: isolation. A child that crashes or is killed affects no other client: its own
//! connection closes, the log reports it, and the parent continues. If the parent is killed with
//! SIGKILL, its children serve their clients to the end.
//!
//! Where it breaks: at the number of processes that the system allows (`ulimit -u`, `pids.max`).
//! Then fork fails with `EAGAIN`, and the connection is closed in order without being served. At
//! `--max-connections` no client is rejected: further clients wait in the backlog. A client that
//! never reads blocks its child in send(2), where the child cannot receive a signal; at the end of
//! the parent's drain timeout (`--drain-timeout`) it is killed.

use epollite::collections::RecvBuffer;
use epollite::kernel::{Shutdown, Signal, close_quietly};
use epollite::reactor::RETRY_DELAY;
use epollite::{Addr, Errno, Fd, Instant, Interest};

use super::children::ChildProcesses;
use super::context::{BUFFER_BYTES, WorkerContext};
use super::sockets::{AcceptError, Acceptor};
use super::sys::{ModelSyscalls as _, PollFd};

use crate::echo::client_log;
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;
use crate::signals::read_signals;

/// Concurrent processes when the user sets no limit.
pub(super) const PROCESSES_MAX: u32 = 1024;

/// The parent: it owns the listeners and serves no client itself.
struct Parent<K: InstrumentedKernel> {
    children: ChildProcesses<K>,
    listeners: Vec<Fd>,
    connections_max: u32,
    /// The number of the next client.
    next_id: u64,
    acceptor: Acceptor,
    /// Set while accepting is paused for lack of resources: until when.
    paused: Option<Instant>,
    /// The errno of accept4(2) when a listener failed, and that listener's index until it is
    /// closed.
    failed: Option<Errno>,
    failed_listener: Option<usize>,
}

/// Serves until a signal ends it and the last child has exited.
pub(super) fn run<K: InstrumentedKernel>(
    children: ChildProcesses<K>,
    listeners: Vec<Fd>,
    connections_max: u32,
) -> Result<StatsSnapshot, CliError> {
    Parent {
        children,
        listeners,
        connections_max,
        next_id: 1,
        acceptor: Acceptor::default(),
        paused: None,
        failed: None,
        failed_listener: None,
    }
    .run()
}

impl<K: InstrumentedKernel> Parent<K> {
    fn run(mut self) -> Result<StatsSnapshot, CliError> {
        while !self.children.is_shutting_down() || self.children.len() > 0 {
            self.children.context.flush_stats();
            if let Some(errno) = self.failed
                && self.listeners.is_empty()
                && !self.children.is_shutting_down()
                && self.children.len() == 0
            {
                return Err(syscall_failure("accept4", errno));
            }
            self.run_once()?;
            self.children.kill_if_expired();
            if self.children.is_shutting_down() {
                self.close_listeners();
            }
        }
        self.children.context.flush_stats();
        let mut sum = self.children.counters.sum();
        sum.stream.closed += self.children.abnormal_exits;
        Ok(sum)
    }

    fn is_full(&self) -> bool {
        self.children.len() >= self.connections_max as usize
    }

    /// Waits once, for a signal or for a connection.
    fn run_once(&mut self) -> Result<(), CliError> {
        let now = self.children.context.kernel.now();
        self.paused = self.paused.filter(|&until| until > now);
        if self.is_full() {
            let (log, last) = (&self.children.context.log, &mut self.acceptor.last_pause_log);
            client_log::accept_paused(log, last, None, self.connections_max);
        }
        let can_accept = !self.is_full() && self.paused.is_none();
        let interest = if can_accept { Interest::READABLE } else { Interest::NONE };
        let mut list = vec![PollFd::new(&self.children.signals, Interest::READABLE)];
        list.extend(self.listeners.iter().map(|listener| PollFd::new(listener, interest)));
        let retry = self.paused.map(|until| until - now);
        let timeout = self.children.timeout().into_iter().chain(retry).min();
        match self.children.context.kernel.poll(&mut list, timeout) {
            Err(errno) if errno.is_interrupted() => return Ok(()),
            Err(errno) => return Err(syscall_failure("poll", errno)),
            Ok(_) => {}
        }
        if list[0].is_ready() {
            self.children.on_signals();
        }
        for at in 0..self.listeners.len() {
            if list[at + 1].is_ready() && self.failed_listener.is_none() {
                self.accept_one(at);
            }
        }
        if let Some(at) = self.failed_listener.take() {
            let listener = self.listeners.swap_remove(at);
            close_quietly(&mut self.children.context.kernel, listener);
        }
        Ok(())
    }

    /// Accepts one client. Returns whether another may be pending.
    fn accept_one(&mut self, at: usize) -> bool {
        let context = &mut self.children.context;
        match context.kernel.accept4(&self.listeners[at]) {
            Ok((socket, peer)) => {
                self.acceptor.succeeded();
                self.fork_child(socket, peer);
                true
            }
            Err(errno) if errno.is_would_block() || errno.is_interrupted() => false,
            Err(errno) => match self.acceptor.failed(context, errno) {
                AcceptError::Aborted => true,
                AcceptError::ListenerFailed => {
                    (self.failed, self.failed_listener) = (Some(errno), Some(at));
                    false
                }
                AcceptError::Paused => {
                    self.paused = Some(context.kernel.now() + RETRY_DELAY);
                    false
                }
            },
        }
    }

    /// Forks a child for the client.
    fn fork_child(&mut self, socket: Fd, peer: Addr) {
        let number = self.next_id;
        self.next_id += 1;
        match self.children.fork(0) {
            Ok(true) => self.child_main(socket, peer, number),
            Ok(false) => close_quietly(&mut self.children.context.kernel, socket),
            Err(errno) => {
                let name = client_log::client_name(&peer, number);
                let why = format!("no process for it: {errno}");
                self.children.context.stats.aborted += 1;
                self.acceptor.reject(&mut self.children.context, socket, &name, &why);
            }
        }
    }

    /// The whole life of the child process.
    fn child_main(&mut self, socket: Fd, peer: Addr, number: u64) -> ! {
        let origin = TraceOrigin::Process(std::process::id());
        let mut own = self.children.context.for_worker(origin, &self.children.counters);
        for listener in self.listeners.drain(..) {
            close_quietly(&mut own.kernel, listener);
        }
        let (mut is_shutting_down, mut buf) =
            (self.children.is_shutting_down(), RecvBuffer::new(BUFFER_BYTES));
        if is_shutting_down {
            // The parent sends no signal to a child that it forks for a client in the backlog.
            let _ = own.kernel.shutdown(&socket, Shutdown::Read);
        }
        own.handle_client(&socket, &peer, number, &mut buf, |own| {
            own.flush_stats();
            is_shutting_down =
                is_shutting_down || !wait_readable(own, &socket, &self.children.signals);
        });
        if is_shutting_down {
            own.close_gracefully(&socket, &mut buf);
        }
        close_quietly(&mut own.kernel, socket);
        own.flush_stats();
        std::process::exit(0)
    }

    /// Accepts what is already in the backlog, then closes the listeners.
    fn close_listeners(&mut self) {
        for at in 0..self.listeners.len() {
            while !self.is_full() && self.accept_one(at) {}
        }
        for listener in self.listeners.drain(..) {
            close_quietly(&mut self.children.context.kernel, listener);
        }
    }
}

/// Waits for data from the client, or for SIGTERM from the parent: then shuts the socket down for
/// reading, so that recv(2) returns the data that has arrived and then end of stream. Returns
/// whether it was the client.
///
/// An inherited signalfd returns the signals of the process that reads it.
fn wait_readable<K: InstrumentedKernel>(
    own: &mut WorkerContext<K>,
    socket: &Fd,
    signals: &Fd,
) -> bool {
    loop {
        let mut list = [socket, signals].map(|fd| PollFd::new(fd, Interest::READABLE));
        match own.kernel.poll(&mut list, None) {
            Err(errno) if errno != Errno::EINTR => return true,
            _ => {}
        }
        if list[1].is_ready() {
            let pending = read_signals(|records| own.kernel.read(signals, records));
            // A terminal sends SIGINT to all processes; the parent sends SIGTERM.
            if pending.contains(&Signal::TERM) {
                let _ = own.kernel.shutdown(socket, Shutdown::Read);
                return false;
            }
        } else if list[0].is_ready() {
            return true;
        }
    }
}
