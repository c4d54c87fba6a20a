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
//! Where it breaks: a child that dies closes its connections; the others continue. The parent forks
//! a replacement, later after each failure, and kills a child that does not answer within
//! `--worker-timeout` (`supervision.rs`). It keeps the listeners for that, and serves no client.
//! When it is killed its children shut down in order (`PR_SET_PDEATHSIG`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use epollite::kernel::{CallError, Signal, SignalSet, close_quietly};
use epollite::server::stream;
use epollite::{Errno, Fd, Interest};

use super::children::ChildProcesses;
use super::supervision::{Finding, Supervisor};
use super::sys::{self, ModelSyscalls as _, PollFd};
use crate::args::EchoOptions;
use crate::echo::coordinator::Coordinator;
use crate::echo::limits;
use crate::echo::stats::StatsSnapshot;
use crate::echo::worker::Worker;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;
use crate::output::log::Log;

/// Forks the workers, replaces those that exit, and waits until all have exited at shutdown.
/// `listeners` are the sockets with the worker that owns each; `None` means that all workers share
/// it.
pub(super) fn run<K: InstrumentedKernel>(
    options: &EchoOptions,
    mut children: ChildProcesses<K>,
    listeners: Vec<(Option<usize>, Fd)>,
    connections_max: u32,
) -> Result<StatsSnapshot, CliError> {
    children.per_child_stats = true;
    let heartbeats = sys::mmap_shared(options.workers as usize).map_err(failed("mmap"))?;
    let parent = std::process::id();
    let mut workers = Workers { options, listeners, connections_max, heartbeats, parent };
    for index in 0..options.workers as usize {
        if let Err(errno) = workers.fork(&mut children, index) {
            // All or none: the children already forked would keep serving without a parent.
            children.kill_all();
            return Err(syscall_failure("fork", errno));
        }
    }
    let now = children.context.kernel.now();
    let mut supervisor = Supervisor::new(heartbeats, options.worker_timeout, now);
    loop {
        children.context.flush_stats();
        if children.is_shutting_down() {
            // Before the workers close theirs: what a client connects to after that is refused.
            workers.close_listeners(&mut children);
            if children.len() == 0 {
                break;
            }
        } else if !supervise(&mut supervisor, &mut workers, &mut children) {
            break;
        }
        let now = children.context.kernel.now();
        let next = supervisor.timeout(now).filter(|_| !children.is_shutting_down());
        let timeout = children.timeout().into_iter().chain(next).min();
        let mut list = [PollFd::new(&children.signals, Interest::READABLE)];
        match children.context.kernel.poll(&mut list, timeout) {
            Err(errno) if !errno.is_interrupted() => return Err(syscall_failure("poll", errno)),
            Ok(1) => children.on_signals(),
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

/// Replaces workers that have exited, and kills those that hang. Returns false when no worker runs
/// and none can.
fn supervise<K: InstrumentedKernel>(
    supervisor: &mut Supervisor,
    workers: &mut Workers<'_>,
    children: &mut ChildProcesses<K>,
) -> bool {
    let now = children.context.kernel.now();
    for number in children.take_exited() {
        supervisor.exited(number, now);
    }
    if supervisor.is_hopeless() {
        return false;
    }
    for number in supervisor.due(now) {
        match workers.fork(children, number) {
            Ok(process) => {
                supervisor.started(number, now);
                children.replaced += 1;
                log_worker(&children.context.log, process, number, "started again");
            }
            Err(errno) => {
                supervisor.exited(number, now);
                let text = format!("worker {number} cannot be started again: fork: {errno}");
                children.context.log.event("fork_failed", &text, &errno.to_string());
            }
        }
    }
    for finding in supervisor.check(now) {
        let (number, signal) = match finding {
            Finding::Ask(number) => (number, sys::SIGUSR2),
            Finding::Hangs(number) => (number, sys::SIGKILL),
        };
        let Some(process) = children.process(number) else { continue };
        if signal == sys::SIGKILL {
            let what = format!("killed: no heartbeat for {:?}", supervisor.patience());
            log_worker(&children.context.log, process, number, &what);
        }
        // An error is harmless: the child has already exited.
        let _ = children.context.kernel.kill(process, signal);
    }
    true
}

fn log_worker(log: &Log, process: u32, number: usize, what: &str) {
    log.message(
        || format!("epollite: worker {number} (process {process}) {what}"),
        || {
            format!(
                "{{\"event\":\"worker\",\"worker\":{number},\"process\":{process},\
                 \"text\":\"{what}\"}}"
            )
        },
    );
}

/// What each worker is started with.
struct Workers<'a> {
    options: &'a EchoOptions,
    /// Kept for those that are started again. Until then what connects to a listener of one worker
    /// alone waits in its backlog.
    listeners: Vec<(Option<usize>, Fd)>,
    connections_max: u32,
    heartbeats: &'static [AtomicU64],
    parent: u32,
}

impl Workers<'_> {
    /// Forks worker `index`, and returns its process ID. In the child it does not return.
    fn fork<K: InstrumentedKernel>(
        &mut self,
        children: &mut ChildProcesses<K>,
        index: usize,
    ) -> Result<u32, Errno> {
        if !children.fork(index)? {
            return Ok(children.process(index).unwrap_or_default());
        }
        // Without the parent nothing could stop this process, and its port would stay in use.
        sys::set_pdeathsig(sys::SIGTERM);
        if std::os::unix::process::parent_id() != self.parent {
            std::process::exit(0);
        }
        // The requested limit is divided among the workers, the first ones get the remainder; the
        // descriptor limit applies to each process by itself.
        let Self { options, heartbeats, .. } = *self;
        let requested = options.connections_max.unwrap_or(u32::MAX);
        let remains = u32::from((index as u64) < u64::from(requested % options.workers));
        let connections_max = self.connections_max.min(requested / options.workers + remains);
        let child =
            WorkerProcess { options, index, connections_max, heartbeats: &heartbeats[index] };
        child_main(child.serve(children, std::mem::take(&mut self.listeners)));
    }

    fn close_listeners<K: InstrumentedKernel>(&mut self, children: &mut ChildProcesses<K>) {
        for (_, listener) in self.listeners.drain(..) {
            close_quietly(&mut children.context.kernel, listener);
        }
    }
}

/// Exits with the worker's result: it must not run the parent's cleanup.
fn child_main(result: Result<(), CliError>) -> ! {
    let code = result.map_or_else(
        |failure| {
            crate::output::log::err(&format!("epollite: {}\n", failure.line));
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
    /// How often it has answered the parent.
    heartbeats: &'static AtomicU64,
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
        let mut server =
            stream::StreamServer::new(kernel, config).map_err(failed("epoll_create1"))?;
        // Only of networks, which need no common table.
        if let Some(limits) = limits::shared_limits(&options.limits)? {
            server.set_admission(Box::new(limits));
        }
        let coordinator = Arc::new(Coordinator::default());
        let mut worker = Worker::new(0, server, coordinator, options.log);
        worker.trace = children.context.trace.clone();
        let origin = TraceOrigin::Process(std::process::id());
        worker.parent = Some((origin, children.counters.writer(self.index + 1)));
        self.open_listeners(&mut worker, listeners)?;
        worker.heartbeat = Some(self.heartbeats);
        // SIGTERM is already blocked, in the parent. A terminal's SIGINT reaches us as the parent's
        // SIGTERM. By SIGUSR2 the parent asks for a heartbeat.
        let kernel = worker.server.kernel();
        kernel.sigprocmask(Signal::USR2.into()).map_err(failed("sigprocmask"))?;
        let signals = SignalSet::from(Signal::TERM) | Signal::USR2.into();
        let signalfd = kernel.signalfd(signals).map_err(failed("signalfd"))?;
        worker.open_signals(signalfd).map_err(failed("epoll_ctl"))?;
        worker.run().map(drop)
    }

    /// Registers this worker's listeners, and closes those of other workers.
    fn open_listeners<K: InstrumentedKernel>(
        &self,
        worker: &mut Worker<K>,
        listeners: Vec<(Option<usize>, Fd)>,
    ) -> Result<(), CallError> {
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
