//! From options to a running model: binds sockets, opens the signalfd, logs the addresses, and then
//! runs the selected model.

use epollite::Fd;

use super::children::ChildProcesses;
use super::context::WorkerContext;
use super::fd_list::{FdList, ServerLimits};
use super::shared_stats::SharedCounters;
use super::signal_thread::ConnectionRegistry;
use super::{
    blocking, coroutine, nonblocking, poll, prefork, process, reuseport, select, signal_thread,
    thread,
};
use crate::args::EchoOptions;
use crate::echo::model::Model;
use crate::echo::startup::{
    OTHER_DESCRIPTORS, Start, block_signals, check_spare_fds, log_listening,
};
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, failed};
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;
use crate::listen::{self, BoundSocket, Place, SocketFiles};
use crate::operation::{notify, privileges};
use crate::signals;

/// Serves with the model selected in `options`, until a signal ends it.
pub(crate) fn run<K: InstrumentedKernel>(
    options: &EchoOptions,
    start: Start,
    kernel: K,
) -> Result<(), CliError> {
    check_passed(options.model, &start)?;
    let mut context = WorkerContext::new(kernel, options.log, start.trace, None);
    let signals = signals::read_by_server(options.model.has_children());
    block_signals(&mut context.kernel, &signals)?;
    let has_connections = start.places.iter().any(Place::has_connections);
    let mut opening = Opening::default();
    let bounds = &mut opening.bounds;
    let buffers = options.limits.socket_buffer_bytes;
    for place in start.places {
        if options.model == Model::Reuseport {
            // Before the address is logged, so that the first connection is steered too.
            let group = listen::bind(&mut context.kernel, place, options.workers, buffers)?;
            let socket = &group.first().expect("a port of at least one worker").fd;
            reuseport::steer(&mut context, socket, options.steer, options.workers)?;
            bounds.extend(group);
        } else {
            bounds.extend(listen::bind(&mut context.kernel, place, 1, buffers)?);
        }
    }
    let taken = OTHER_DESCRIPTORS + bounds.len() as u64;
    let available = u32::try_from(start.limit.saturating_sub(taken)).unwrap_or(u32::MAX).max(1);
    let limits = ServerLimits {
        // The limit of a model is a default: an explicit limit overrides it.
        connections_max: options
            .connections_max
            .unwrap_or(match options.model {
                Model::Thread => thread::THREADS_MAX,
                Model::Process => process::PROCESSES_MAX,
                _ => available,
            })
            .min(available),
        fd_limit: (options.model == Model::Select).then_some(select::FD_SETSIZE),
        idle: options.idle_timeout,
        drain: options.drain_timeout,
    };
    let mut addresses: Vec<_> =
        bounds.iter().map(|bound| (bound.transport, bound.address.clone())).collect();
    addresses.dedup();
    let signals = context.kernel.signalfd(signals::set(&signals)).map_err(failed("signalfd"))?;
    // An epoll, a waker and a signalfd for a worker; a coroutine server needs as many.
    let own = match options.model {
        Model::Prefork | Model::Reuseport | Model::Coroutine => 3,
        _ => 0,
    };
    check_spare_fds(own + usize::from(has_connections))?;
    if let Some(identity) = &start.identity {
        for bound in &*bounds {
            privileges::give_file(Some(identity), bound, &options.log);
        }
        privileges::become_user(identity)?;
    }
    addresses
        .iter()
        .for_each(|(transport, address)| log_listening(&options.log, transport, address));
    notify::ready(&options.log, false);
    let bounds = std::mem::take(bounds);
    let sum = match options.model {
        Model::Blocking | Model::Thread => {
            run_blocking_model(options, context, signals, bounds, limits)
        }
        Model::Process | Model::Prefork | Model::Reuseport => {
            run_forking_model(options, context, signals, bounds, limits)
        }
        Model::Nonblocking => nonblocking::run(FdList::new(context, signals, bounds, limits)),
        Model::Select => select::run(FdList::new(context, signals, bounds, limits)),
        Model::Poll => poll::run(FdList::new(context, signals, bounds, limits)),
        Model::Coroutine => coroutine::run(context, signals, bounds, limits),
        Model::Epoll(_) => unreachable!("the reactor's own server has no model here"),
    };
    sum?.print_syscalls(&options.log, true);
    Ok(())
}

/// Sockets that are being opened: if the start fails, their files are removed.
#[derive(Default)]
struct Opening {
    bounds: Vec<BoundSocket>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut files = SocketFiles::default();
        self.bounds.drain(..).for_each(|bound| files.extend(bound.file));
        files.remove();
    }
}

/// Checks what only the environment tells: which sockets were passed, and whether a service manager
/// waits for heartbeats.
fn check_passed(model: Model, start: &Start) -> Result<(), CliError> {
    if start.watchdog.is_some() {
        let why = "only the reactor's server tells that its loop turns";
        return Err(CliError::run(format!("WATCHDOG_USEC (WatchdogSec) is set: {why}")));
    }
    if model.is_blocking() && start.places.len() > 1 {
        let (why, sockets) = ("it waits in accept(2)", start.places.len());
        return Err(CliError::run(format!(
            "{sockets} sockets were passed or are to be bound: {why}"
        )));
    }
    for place in &start.places {
        if let Place::Open(bound) = place
            && !bound.has_connections()
            && let Some(why) = model.unsupported_datagrams(bound.transport)
        {
            let transport = bound.transport;
            return Err(CliError::run(format!("a passed {transport} socket: {why}")));
        }
    }
    Ok(())
}

/// Runs a blocking model: a signal thread, one listener, and the model.
fn run_blocking_model<K: InstrumentedKernel>(
    options: &EchoOptions,
    mut context: WorkerContext<K>,
    signals: Fd,
    mut bounds: Vec<BoundSocket>,
    limits: ServerLimits,
) -> Result<StatsSnapshot, CliError> {
    let BoundSocket { fd, transport, file, .. } = bounds.remove(0);
    let counters = SharedCounters::new(1).map_err(failed("mmap"))?;
    context.attach_counters(&counters);
    let (registry, mut files) = (ConnectionRegistry::new(counters), SocketFiles::default());
    files.extend(file);
    let own = context.for_worker(TraceOrigin::SignalThread, &registry.counters);
    signal_thread::start(&registry, own, signals, files, limits.drain)?;
    match options.model {
        Model::Thread => thread::run(&registry, context, fd, limits.connections_max),
        _ if transport == "udp" => blocking::run_datagrams(&registry, context, &fd),
        _ => blocking::run(&registry, context, fd),
    }
}

/// Runs a forking model: the child processes, and the model.
fn run_forking_model<K: InstrumentedKernel>(
    options: &EchoOptions,
    mut context: WorkerContext<K>,
    signals: Fd,
    bounds: Vec<BoundSocket>,
    limits: ServerLimits,
) -> Result<StatsSnapshot, CliError> {
    let has_workers = options.model != Model::Process;
    // The first part is the parent's; the children share one, or have one each.
    let parts = if has_workers { 1 + options.workers as usize } else { 1 };
    let counters = SharedCounters::new(parts).map_err(failed("mmap"))?;
    context.attach_counters(&counters);
    let (mut files, mut listeners) = (SocketFiles::default(), Vec::new());
    for (at, BoundSocket { fd, file, .. }) in bounds.into_iter().enumerate() {
        files.extend(file);
        // The sockets of one port are in the order in which the kernel numbers them.
        let owner = at % options.workers as usize;
        listeners.push(((options.model == Model::Reuseport).then_some(owner), fd));
    }
    let mut children = ChildProcesses::new(context, signals, counters, files, limits.drain);
    // Children may be inherited through exec(2), and the first process of a container gets orphans.
    // For those that exited before SIGCHLD was blocked there is no signal.
    children.reap();
    if has_workers {
        return prefork::run(options, children, listeners, limits.connections_max);
    }
    let listeners = listeners.into_iter().map(|(_, listener)| listener).collect();
    process::run(children, listeners, limits.connections_max)
}
