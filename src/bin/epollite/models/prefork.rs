//! **prefork**: several processes, forked before the first connection, all accepting from one
//! listener.
//!
//! What it teaches: using many processors without threads. Each child is a complete server, an
//! edge-triggered reactor as `epoll-edge` runs it, with an epoll instance of its own (one created
//! before the fork would be shared, and report every event to every process). The listener is
//! shared, and `--accept` sets which of the waiting processes are woken:
//!
//! * `all`: all of them, for each connection. One accepts it; the others wake in vain, and
//!   `--syscall-summary` shows their `EAGAIN`. This is the thundering herd.
//! * `exclusive`: `EPOLLEXCLUSIVE`, one or some of them. But the kernel starts at the head of its
//!   wait queue, where the waiter is that was added first: of 400 clients that connect one by one,
//!   one child gets nearly all.
//! * `round-robin`: the same, and after an accept a worker moves itself to the tail of the queue,
//!   by removing the listener from its epoll and adding it again. Two calls per connection, and
//!   all workers get the same share.
//!
//! On exit, and on SIGUSR1, it prints the number of connections per worker.
//!
//! What it costs: little; with few, long connections an uneven distribution leaves one processor
//! idle while another is saturated.
//!
//! Where it breaks: a child that dies closes its connections; the others continue, and no
//! replacement is forked. The parent serves no client: it exits when the last child has exited, and
//! when it is killed its children shut down in order (`PR_SET_PDEATHSIG`).

use std::sync::Arc;

use epollite::kernel::{Signal, SignalSet, close_quietly};
use epollite::server::stream;
use epollite::{Errno, Fd, Interest};

use super::children::ChildProcesses;
use super::sys::{self, ModelSyscalls as _, PollFd};
use crate::args::EchoOptions;
use crate::coordinator::Coordinator;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::limits;
use crate::origin::TraceOrigin;
use crate::stats::StatsSnapshot;
use crate::worker::Worker;

/// Forks the workers and waits until all have exited. `listeners` are the sockets with the worker
/// that owns each; `None` means that all workers share it.
pub(super) fn run<K: InstrumentedKernel>(
    options: &EchoOptions,
    mut children: ChildProcesses<K>,
    mut listeners: Vec<(Option<usize>, Fd)>,
    connections_max: u32,
) -> Result<StatsSnapshot, CliError> {
    children.per_child_stats = true;
    let parent = std::process::id();
    for index in 0..options.workers as usize {
        match children.fork(index) {
            Ok(false) => {}
            Ok(true) => {
                // Without the parent nothing could stop this process, and its port would stay in
                // use.
                sys::set_pdeathsig(sys::SIGTERM);
                if std::os::unix::process::parent_id() != parent {
                    std::process::exit(0);
                }
                // The requested limit is divided among the workers, the first ones get the
                // remainder; the descriptor limit applies to each process by itself.
                let requested = options.connections_max.unwrap_or(u32::MAX);
                let remains = u32::from((index as u64) < u64::from(requested % options.workers));
                let connections_max = connections_max.min(requested / options.workers + remains);
                let child = WorkerProcess { options, index, connections_max };
                child_main(child.serve(&children, listeners));
            }
            Err(errno) => {
                // All or none: the children already forked would keep serving without a parent.
                children.kill_all();
                return Err(syscall_failure("fork", errno));
            }
        }
    }
    // A listener kept open here would receive connections that no process accepts.
    for (_, listener) in listeners.drain(..) {
        close_quietly(&mut children.context.kernel, listener);
    }
    while children.len() > 0 {
        children.context.flush_stats();
        let mut list = [PollFd::new(&children.signals, Interest::READABLE)];
        let timeout = children.timeout();
        match children.context.kernel.poll(&mut list, timeout) {
            Err(errno) if !errno.is_interrupted() => return Err(syscall_failure("poll", errno)),
            Ok(1) => children.on_signal(),
            _ => {}
        }
        children.kill_if_expired();
    }
    children.context.flush_stats();
    children.print_distribution();
    if children.is_shutting_down() {
        Ok(children.counters.sum())
    } else {
        Err(CliError::run("every worker has exited"))
    }
}

/// Exits with the worker's result: it must not run the parent's cleanup.
fn child_main(result: Result<(), CliError>) -> ! {
    let code = result.map_or_else(
        |failure| {
            crate::log::err(&format!("epollite: {}\n", failure.line));
            failure.code
        },
        |()| 0,
    );
    std::process::exit(code.into())
}

struct WorkerProcess<'a> {
    options: &'a EchoOptions,
    index: usize,
    connections_max: u32,
}

impl WorkerProcess<'_> {
    /// Serves until the parent sends SIGTERM.
    fn serve<K: InstrumentedKernel>(
        &self,
        children: &ChildProcesses<K>,
        listeners: Vec<(Option<usize>, Fd)>,
    ) -> Result<(), CliError> {
        let options = self.options;
        let config = stream::StreamConfig {
            connections_max: self.connections_max.max(1),
            idle_timeout: options.idle_timeout,
            drain_timeout: options.drain_timeout,
            buffer_total_bytes: options.limits.buffer_share_bytes(options.workers),
            emit_events: options.log.is_verbose,
            // One accept per wake-up leaves connections for the other workers.
            accepts_max: 1,
            ..stream::StreamConfig::default()
        };
        let kernel = children.context.kernel.fresh();
        let mut server = stream::StreamServer::new(kernel, config).map_err(failed("epoll_create1"))?;
        // Only of networks, which need no common table.
        if let Some(limits) = limits::shared_limits(&options.limits)? {
            server.set_admission(Box::new(limits));
        }
        let coordinator = Arc::new(Coordinator::default());
        let mut worker = Worker::new(0, server, coordinator, options.log);
        worker.trace = children.context.trace.clone();
        let origin = TraceOrigin::Process(std::process::id());
        worker.parent = Some((origin, children.counters.writer(self.index + 1)));
        self.open_listeners(&mut worker, listeners).map_err(failed("epoll_ctl"))?;
        // Already blocked, in the parent. A terminal's SIGINT reaches us as the parent's SIGTERM.
        let signals = SignalSet::from(Signal::TERM);
        let signals = worker.server.kernel().signalfd(signals);
        signals.and_then(|signals| worker.open_signals(signals)).map_err(failed("signalfd"))?;
        worker.run().map(drop)
    }

    /// Registers this worker's listeners, and closes those of other workers.
    fn open_listeners<K: InstrumentedKernel>(
        &self,
        worker: &mut Worker<K>,
        listeners: Vec<(Option<usize>, Fd)>,
    ) -> Result<(), Errno> {
        for (owner, listener) in listeners {
            let server = &mut worker.server;
            if owner.is_some_and(|owner| owner != self.index) {
                close_quietly(server.kernel(), listener);
                continue;
            }
            // One of its own needs no sharing.
            match self.options.share.filter(|_| owner.is_none()) {
                None => server.add_listener(listener)?,
                Some(sharing) => server.add_shared_listener(listener, sharing)?,
            };
        }
        Ok(())
    }
}
