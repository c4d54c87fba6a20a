//! `epollite echo`: opens sockets, threads and signals, runs the server and cleans up.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use epollite::instrument::Tracer;
use epollite::kernel::Signal;
use epollite::kernel::{Resource, Rlimit};
use epollite::server::stream::AcceptSharing;
use epollite::server::{datagram, stream};
use epollite::{Errno, Kernel, Linux};

use crate::args::EchoOptions;
use crate::coordinator::Coordinator;
use crate::exit::CliError;
use crate::instrument::{CountingKernel, InstrumentedKernel, SyscallSummary, Trace};
use crate::listen::{self, BoundSocket, Place};
use crate::log::{self, Log, json_string, named};
use crate::model::Model;
use crate::models;
use crate::signals;
use crate::sink::Sink;
use crate::stats::StatsSnapshot;
use crate::worker::Worker;

/// Descriptors that are not connections: standard streams, signals, and a reserve for name
/// resolution and files the C library opens temporarily.
pub(crate) const OTHER_DESCRIPTORS: u64 = 16;

/// The assumed limit of descriptors where it cannot be queried: the kernel's maximum, the default
/// of `fs.nr_open`.
const LIMIT_UNKNOWN: u64 = 1 << 20;

/// Descriptors that each thread has for itself: an epoll and an eventfd.
const THREAD_DESCRIPTORS: u64 = 2;

pub(crate) fn run(options: &EchoOptions) -> Result<(), CliError> {
    log::init();
    let start = Start {
        limit: raise_nofile_limit(&options.log),
        trace: open_trace(options)?,
        places: listen::look_up(&options.targets)?,
    };
    let trace = start.trace.clone();
    let result = if options.trace.is_some() || options.count_syscalls {
        serve_with_kernel::<Tracer<CountingKernel>>(options, start)
    } else {
        serve_with_kernel::<CountingKernel>(options, start)
    };
    trace.report_dropped();
    result
}

/// What is set up before the first socket is opened.
pub(crate) struct Start {
    /// The limit of descriptors.
    pub(crate) limit: u64,
    pub(crate) trace: Trace,
    pub(crate) places: Vec<Place>,
}

fn serve_with_kernel<K: InstrumentedKernel>(
    options: &EchoOptions,
    start: Start,
) -> Result<(), CliError> {
    match options.model {
        Model::Epoll(_) => serve::<K>(options, start),
        _ => models::run::<K>(options, start),
    }
}

fn serve<K: InstrumentedKernel>(options: &EchoOptions, start: Start) -> Result<(), CliError> {
    let mut workers = build_workers::<K>(options, &start)?;
    let signals = signals::read_by_server(false);
    block_signals(workers[0].server.kernel(), &signals)?;
    let mut announced = Vec::new();
    let has_connections = start.places.iter().any(Place::has_connections);
    // With a connection limit, a client must not wait for a full thread while another has capacity:
    // so all threads share one listener.
    let is_limited = options.connections_max.is_some() && options.threads > 1;
    for place in start.places {
        let is_shared = is_limited && place.has_connections();
        let sockets = if is_shared { 1 } else { options.threads };
        let mut bounds = listen::bind(workers[0].server.kernel(), place, sockets)?;
        if is_shared {
            let bound = bounds.remove(0);
            announced.push((bound.transport, bound.address.clone()));
            open_shared(&mut workers, bound)?;
        }
        // Sockets on a shareable port: one per thread; any other socket is assigned to one thread.
        let first = if bounds.len() == 1 { announced.len() % workers.len() } else { 0 };
        for (at, bound) in bounds.into_iter().enumerate() {
            if at == 0 {
                announced.push((bound.transport, bound.address.clone()));
            }
            assign_socket(&mut workers, first + at, bound, options)?;
        }
    }
    let ports: Vec<u16> = workers.iter_mut().flat_map(Worker::datagram_ports).collect();
    workers.iter_mut().for_each(|worker| worker.add_own_ports(&ports));
    let worker = &mut workers[0];
    let signalfd = worker.server.kernel().signalfd(signals::set(&signals));
    let signalfd = signalfd.map_err(|errno| syscall_failure("signalfd", errno))?;
    worker.open_signals(signalfd).map_err(|errno| syscall_failure("epoll_ctl", errno))?;
    check_spare_fds(usize::from(has_connections))?;
    run_workers(workers, || {
        for (transport, address) in &announced {
            log_listening(&options.log, transport, address);
        }
    })
}

/// Blocks these signals until they are read. Called before the first socket is bound, or a signal
/// could leave its file behind; and before any thread is started, since threads inherit the mask.
pub(crate) fn block_signals<K: Kernel>(kernel: &mut K, signals: &[Signal]) -> Result<(), CliError> {
    let blocked = kernel.sigprocmask(signals::set(signals));
    blocked.map(drop).map_err(|errno| syscall_failure("sigprocmask", errno))
}

/// Checks that `count` more descriptors are available, now that all others are open. A server
/// without a free descriptor would listen but never serve a client.
///
/// # Errors
/// They are not available.
pub(crate) fn check_spare_fds(count: usize) -> Result<(), CliError> {
    // Not traced: this is not part of the service. dup(2) only needs a free descriptor number.
    let stream = std::io::stderr();
    let taken: std::io::Result<Vec<_>> =
        (0..count).map(|_| stream.as_fd().try_clone_to_owned()).collect();
    let Err(error) = taken else { return Ok(()) };
    let is_limit = error.raw_os_error() == Some(Errno::EMFILE.number());
    let line = match Linux.prlimit(Resource::Nofile, None) {
        Ok(Rlimit { soft, .. }) if is_limit => format!("the limit is {soft} (ulimit -n)"),
        _ => error.to_string(),
    };
    Err(CliError::new(CliError::RUN, format!("no descriptor left for clients: {line}")))
}

/// Creates one worker per thread; none is running yet.
fn build_workers<K: InstrumentedKernel>(
    options: &EchoOptions,
    start: &Start,
) -> Result<Vec<Worker<K>>, CliError> {
    let coordinator = Arc::new(Coordinator::default());
    let threads = u64::from(options.threads);
    let listeners = options.targets.len() as u64 * threads;
    let taken = OTHER_DESCRIPTORS + THREAD_DESCRIPTORS * threads + listeners;
    let available = u32::try_from(start.limit.saturating_sub(taken)).unwrap_or(u32::MAX);
    let total =
        options.connections_max.map_or(available, |max| max.min(available)).max(options.threads);
    let mut workers = Vec::new();
    for index in 0..options.threads {
        let per_thread_max = total / options.threads + u32::from(index < total % options.threads);
        let mut config = stream::StreamConfig {
            trigger: options.trigger,
            connections_max: per_thread_max,
            idle_timeout: options.idle_timeout,
            drain_timeout: options.drain_timeout,
            emit_events: options.log.is_verbose,
            ..stream::StreamConfig::default()
        };
        if let Some(budget_bytes) = options.budget_bytes {
            config.budget_bytes = budget_bytes;
        }
        let server = stream::StreamServer::new(K::new_instance(), config)
            .map_err(|errno| syscall_failure("epoll_create1", errno))?;
        let mut worker = Worker::new(index as usize, server, Arc::clone(&coordinator), options.log);
        worker.trace = start.trace.clone();
        worker.syscall_summary = options.count_syscalls.then(SyscallSummary::default);
        workers.push(worker);
    }
    let wakers = workers.iter_mut().map(|worker| worker.server.waker());
    let wakers: Result<Vec<_>, Errno> = wakers.collect();
    coordinator.set_wakers(wakers.map_err(|errno| syscall_failure("eventfd", errno))?);
    Ok(workers)
}

/// Assigns a bound socket to worker `at`, and its file to the worker that reads the signals.
fn assign_socket<K: InstrumentedKernel>(
    workers: &mut [Worker<K>],
    at: usize,
    bound: BoundSocket,
    options: &EchoOptions,
) -> Result<(), CliError> {
    workers[0].socket_files.extend(bound.file);
    let worker = &mut workers[at];
    let opened = if bound.transport == "udp" {
        let config = datagram::DatagramConfig {
            trigger: options.trigger,
            emit_events: options.log.is_verbose,
            ..datagram::DatagramConfig::default()
        };
        worker.open_datagrams(bound.fd, config)
    } else {
        worker.server.add_listener(bound.fd).map(drop)
    };
    opened.map_err(|errno| syscall_failure("epoll_ctl", errno))
}

/// Adds a listener to all workers: those at their connection limit do not watch it.
fn open_shared<K: InstrumentedKernel>(
    workers: &mut [Worker<K>],
    bound: BoundSocket,
) -> Result<(), CliError> {
    workers[0].socket_files.extend(bound.file);
    let (first, others) = workers.split_at_mut(1);
    for worker in others {
        let listener = worker.server.kernel().dup(&bound.fd);
        let listener = listener.map_err(|errno| syscall_failure("dup", errno))?;
        let opened = worker.server.add_shared_listener(listener, AcceptSharing::Exclusive);
        opened.map_err(|errno| syscall_failure("epoll_ctl", errno))?;
    }
    let opened = first[0].server.add_shared_listener(bound.fd, AcceptSharing::Exclusive);
    opened.map(drop).map_err(|errno| syscall_failure("epoll_ctl", errno))
}

/// Runs the first worker on this thread and the others on new threads. Calls `ready` when all have
/// been started.
fn run_workers<K: InstrumentedKernel>(
    mut workers: Vec<Worker<K>>,
    ready: impl FnOnce(),
) -> Result<(), CliError> {
    let mut first = workers.remove(0);
    let coordinator = Arc::clone(&first.coordinator);
    // All are counted before any of them can exit.
    let workers: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let guard = coordinator.enter(worker.index);
            (worker, guard)
        })
        .collect();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut result = Ok(StatsSnapshot::default());
        for (mut worker, guard) in workers {
            let run = move || {
                let _guard = guard;
                worker.run()
            };
            match std::thread::Builder::new().spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                Err(error) => result = Err(spawn_failure(&error)),
            }
        }
        if result.is_ok() {
            ready();
            // After a panic here no thread would read the signals: the others must be stopped.
            let run = AssertUnwindSafe(|| first.run());
            result = join_result(catch_unwind(run));
        }
        coordinator.request_shutdown(first.index);
        for thread in threads {
            let other = join_result(thread.join());
            result = result.and_then(|mut sum| {
                sum.add(&other?);
                Ok(sum)
            });
        }
        let sum = result?;
        sum.print_syscalls(&first.log, true);
        Ok(())
    })
}

/// Maps the result of a thread; a panic is an error.
fn join_result(
    run: std::thread::Result<Result<StatsSnapshot, CliError>>,
) -> Result<StatsSnapshot, CliError> {
    match run {
        Ok(run) => run,
        Err(_) => Err(CliError::new(CliError::RUN, "a thread has panicked")),
    }
}

/// Opens the destination of `--trace`. Done before anything else: with an invalid path no name is
/// resolved and no port is bound.
fn open_trace(options: &EchoOptions) -> Result<Trace, CliError> {
    let Some(path) = &options.trace else { return Ok(Trace::Off) };
    let dropped = models::mmap_shared(1).map_err(|errno| syscall_failure("mmap", errno))?;
    let Some(path) = path else { return Ok(Trace::Stderr(&dropped[0])) };
    match Sink::create(path) {
        Ok(sink) => Ok(Trace::File(Arc::new(sink), &dropped[0])),
        Err(error) => {
            let line = format!("--trace: {}: {error}", path.display());
            Err(CliError::new(CliError::RUN, line))
        }
    }
}

pub(crate) fn syscall_failure(call: &str, errno: Errno) -> CliError {
    CliError::new(CliError::RUN, format!("{call}: {errno}"))
}

/// A thread could not be started. The standard library passes on the error of the C library, which
/// names no system call and may differ from the kernel's: `EAGAIN` where the kernel returned
/// `ENOMEM`.
pub(crate) fn spawn_failure(error: &std::io::Error) -> CliError {
    CliError::new(CliError::RUN, format!("cannot start a thread: {error}"))
}

pub(crate) fn log_listening(log: &Log, transport: &str, address: &OsStr) {
    if !log.is_quiet {
        log.print_result(
            || [b"listening on ", transport.as_bytes(), b" ", address.as_bytes()].concat(),
            || {
                let address = named("address", address);
                format!("{{\"event\":\"listening\",\"transport\":\"{transport}\",{address}}}")
            },
        );
    }
}

/// Raises the soft limit of descriptors to the hard limit, and returns the limit in effect.
fn raise_nofile_limit(log: &Log) -> u64 {
    let Rlimit { soft, hard } = match Linux.prlimit(Resource::Nofile, None) {
        Ok(limit) => limit,
        Err(errno) => {
            // With an unknown limit, accept4(2) fails when it is reached: then accepting is paused.
            log.message(
                || format!("epollite: the descriptor limit is not known: prlimit: {errno}"),
                || {
                    format!(
                        "{{\"event\":\"nofile_raised\",\"why\":{}}}",
                        json_string(&errno.to_string())
                    )
                },
            );
            return LIMIT_UNKNOWN;
        }
    };
    let raised = Rlimit { soft: hard, hard };
    if soft >= hard || Linux.prlimit(Resource::Nofile, Some(raised)).is_err() {
        return soft;
    }
    log.message(
        || format!("epollite: raised the descriptor limit from {soft} to {hard}"),
        || format!("{{\"event\":\"nofile_raised\",\"from\":{soft},\"to\":{hard}}}"),
    );
    hard
}
