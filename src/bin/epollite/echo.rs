//! `epollite echo`: opens sockets, threads and signals, runs the server and cleans up.

pub(crate) mod client_log;
pub(crate) mod coordinator;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod startup;
pub(crate) mod stats;
pub(crate) mod worker;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use epollite::Fd;
use epollite::kernel::{CallError, close_quietly};
use epollite::net::UnixAddr;
use epollite::server::stream::AcceptSharing;
use epollite::server::{datagram, stream};

use crate::args::EchoOptions;
use crate::exit::{CliError, failed, spawn_failure};
use crate::instrument::recorder;
use crate::instrument::trace::Trace;
use crate::instrument::{CountingKernel, InstrumentedKernel, recording_kernel};
use crate::listen::{self, BoundSocket, Place};
use crate::models;
use crate::operation::handover::{Handover, HeldSocket};
use crate::operation::privileges::Identity;
use crate::operation::takeover::{self, Predecessor, TakenSockets};
use crate::operation::{activation, notify, privileges, reload, sandbox};
use crate::output::log;
use crate::signals;
use coordinator::Coordinator;
use model::Model;
use startup::{
    OTHER_DESCRIPTORS, Start, block_signals, check_spare_fds, log_listening, raise_nofile_limit,
};
use stats::StatsSnapshot;
use worker::Worker;

/// Descriptors that each thread has for itself: an epoll and an eventfd.
const THREAD_DESCRIPTORS: u64 = 2;

pub(crate) fn run(options: &EchoOptions) -> Result<(), CliError> {
    // Before any descriptor is opened here.
    let passed = activation::take(&options.listen_fds)?;
    log::init();
    notify::open(&options.log);
    if options.is_sandboxed
        && let Some(why) = sandbox::unsupported_reason()
    {
        return Err(CliError::run(format!("--sandbox: {why}")));
    }
    let identity = options.user.as_ref().map(privileges::look_up).transpose()?;
    let mut places = listen::look_up(&options.targets)?;
    places.extend(passed);
    let start = Start {
        limit: raise_nofile_limit(&options.log),
        trace: Trace::open("--trace", options.trace.as_ref())?,
        explain: Trace::open("--explain", options.explain.as_ref())?,
        places,
        identity,
        watchdog: notify::watchdog_interval()?,
    };
    let (trace, explain) = (start.trace.clone(), start.explain.clone());
    // What explains also remembers.
    let recorder = match &options.recorder {
        Some(target) => Trace::open("--recorder", Some(target))?,
        None => explain.clone(),
    };
    let files = [("--trace", &trace), ("--explain", &explain), ("--recorder", &recorder)];
    // The recorder of `--explain` is the same file.
    let count = if options.recorder.is_some() { 3 } else { 2 };
    let count = if options.model.has_children() { 0 } else { count };
    reload::start(files[..count].iter().map(|&(flag, file)| (flag, file.clone())).collect());
    let is_recording = !matches!(recorder, Trace::Off);
    if is_recording {
        recorder::start(recorder);
    }
    let is_recording = options.trace.is_some() || options.log.syscall_summary || is_recording;
    let result = match options.model {
        Model::Epoll(_) if is_recording => serve(options, start, &recording_kernel(true)),
        Model::Epoll(_) => serve(options, start, &CountingKernel::default()),
        _ => models::run(options, start, recording_kernel(is_recording)),
    };
    trace.report_dropped();
    explain.report_dropped();
    result
}

fn serve<K: InstrumentedKernel>(
    options: &EchoOptions,
    start: Start,
    kernel: &K,
) -> Result<(), CliError> {
    let mut workers = build_workers(options, &start, kernel)?;
    let signals = signals::read_by_server(false);
    block_signals(workers[0].server.kernel(), &signals)?;
    // Before sockets of a server that runs are taken over: what fails up to here is no harm.
    check_spare_fds(1)?;
    let Opened { control, metrics, places, predecessor } =
        open_first(&mut workers[0], options, start.places, start.identity.as_ref())?;
    let has_connections = places.iter().any(Place::has_connections);
    let mut announced = open_places(&mut workers, places, options, start.identity.as_ref())?;
    let ports: Vec<u16> = workers.iter_mut().flat_map(Worker::datagram_ports).collect();
    workers.iter_mut().for_each(|worker| worker.add_own_ports(&ports));
    let worker = &mut workers[0];
    let signalfd =
        worker.server.kernel().signalfd(signals::set(&signals)).map_err(failed("signalfd"))?;
    worker.open_signals(signalfd).map_err(failed("epoll_ctl"))?;
    if let Some(interval) = start.watchdog {
        worker.start_watchdog(interval);
    }
    if let Some(control) = control {
        worker.open_control(control).map_err(failed("epoll_ctl"))?;
    }
    if let Some(metrics) = metrics {
        announced.insert(0, ("metrics", metrics.address));
        worker.open_metrics(metrics.fd).map_err(failed("epoll_ctl"))?;
    }
    check_spare_fds(usize::from(has_connections))?;
    let is_successor = predecessor.is_some();
    if let Some(connection) = predecessor {
        worker.open_predecessor(connection).map_err(failed("epoll_ctl"))?;
    }
    if let Some(identity) = &start.identity {
        privileges::become_user(identity)?;
    }
    let enter = |worker: &Worker<K>| {
        let has_files = worker.socket_files.paths().next().is_some();
        if options.is_sandboxed { sandbox::enter(has_files) } else { Ok(()) }
    };
    run_workers(workers, enter, |worker| {
        worker.replace_predecessor();
        for (transport, address) in &announced {
            log_listening(&options.log, transport, address);
        }
        notify::ready(&options.log, is_successor);
    })
}

/// What is opened before the sockets that are served.
struct Opened {
    /// The socket that a successor will connect to.
    control: Option<Fd>,
    /// The listener of `--metrics`.
    metrics: Option<BoundSocket>,
    places: Vec<Place>,
    /// The connection to the server whose sockets they are.
    predecessor: Option<Fd>,
}

/// Takes the sockets of the server at `--takeover` over, if there is one: then nothing is bound.
fn open_first<K: InstrumentedKernel>(
    worker: &mut Worker<K>,
    options: &EchoOptions,
    places: Vec<Place>,
    identity: Option<&Identity>,
) -> Result<Opened, CliError> {
    let predecessor = options.takeover.as_deref().map_or(Ok(None), takeover::connect)?;
    let kernel = worker.server.kernel();
    let (control, taken_metrics, places, predecessor) = match predecessor {
        Some(Predecessor { connection, sockets }) => {
            let TakenSockets { control, metrics, echo } = sockets;
            worker.socket_files.lend();
            let places = echo.into_iter().map(Place::Open).collect();
            (Some(control), metrics, places, Some(connection))
        }
        None => {
            let bind = |name: &UnixAddr| listen::bind_unix(kernel, *name);
            (options.takeover.as_deref().map(bind).transpose()?, None, places, None)
        }
    };
    let metrics = match (&options.metrics, taken_metrics) {
        (Some(_), Some(taken)) => Some(taken),
        (Some(text), None) => Some(listen::bind_metrics(worker.server.kernel(), text)?),
        (None, taken) => {
            taken.into_iter().for_each(|bound| close_quietly(worker.server.kernel(), bound.fd));
            None
        }
    };
    if let Some(bound) = &control {
        privileges::give_file(identity, bound, &options.log);
    }
    let control = control.map(|bound| hold_control(worker, bound, options)).transpose()?;
    if let Some(bound) = &metrics {
        hold(worker, bound, true)?;
    }
    Ok(Opened { control, metrics, places, predecessor })
}

/// Prepares a handover, which includes the control socket itself.
fn hold_control<K: InstrumentedKernel>(
    worker: &mut Worker<K>,
    bound: BoundSocket,
    options: &EchoOptions,
) -> Result<Fd, CliError> {
    let fd = worker.server.kernel().dup(&bound.fd).map_err(failed("dup"))?;
    let held = HeldSocket { fd, has_file: bound.file.is_some(), is_metrics: false };
    worker.handover = Some(Handover::new(held, options.drain_timeout));
    worker.socket_files.extend(bound.file);
    Ok(bound.fd)
}

/// Opens every place and assigns the sockets to the workers. Returns each address once.
fn open_places<K: InstrumentedKernel>(
    workers: &mut [Worker<K>],
    places: Vec<Place>,
    options: &EchoOptions,
    identity: Option<&Identity>,
) -> Result<Vec<(&'static str, OsString)>, CliError> {
    let mut announced: Vec<(&str, OsString)> = Vec::new();
    // With a connection limit, a client must not wait for a full thread while another has capacity:
    // so all threads share one listener.
    let is_limited = options.connections_max.is_some() && options.threads > 1;
    let same_port = ports_of_open(&places);
    for (index, place) in places.into_iter().enumerate() {
        // One from another process is shared too, unless there is one for each thread.
        let is_scarce = place.is_open() && same_port[index] < workers.len();
        let is_shared = (is_limited || is_scarce) && place.has_connections();
        let sockets = if is_shared { 1 } else { options.threads };
        let bounds = listen::bind(
            workers[0].server.kernel(),
            place,
            sockets,
            options.limits.socket_buffer_bytes,
        )?;
        // Sockets on a shareable port: one per thread; any other socket is assigned to one thread.
        let first = if bounds.len() == 1 { index } else { 0 };
        for (at, bound) in bounds.into_iter().enumerate() {
            let address = (bound.transport, bound.address.clone());
            if !announced.contains(&address) {
                announced.push(address);
            }
            privileges::give_file(identity, &bound, &options.log);
            hold(&mut workers[0], &bound, false)?;
            if is_shared {
                open_shared(workers, bound)?;
            } else {
                assign_socket(workers, (first + at) % workers.len(), bound, options)?;
            }
        }
    }
    Ok(announced)
}

/// For each place how many sockets from another process have the same address.
fn ports_of_open(places: &[Place]) -> Vec<usize> {
    let addresses: Vec<_> = places.iter().map(Place::open_address).collect();
    addresses
        .iter()
        .map(|address| addresses.iter().filter(|other| *other == address).count())
        .collect()
}

/// Keeps a duplicate for a successor.
fn hold<K: InstrumentedKernel>(
    worker: &mut Worker<K>,
    bound: &BoundSocket,
    is_metrics: bool,
) -> Result<(), CliError> {
    if let Some(handover) = &mut worker.handover {
        let fd = worker.server.kernel().dup(&bound.fd).map_err(failed("dup"))?;
        handover.hold(HeldSocket { fd, has_file: bound.file.is_some(), is_metrics });
    }
    Ok(())
}

/// Creates one worker per thread; none is running yet.
fn build_workers<K: InstrumentedKernel>(
    options: &EchoOptions,
    start: &Start,
    kernel: &K,
) -> Result<Vec<Worker<K>>, CliError> {
    let coordinator = Arc::new(Coordinator::default());
    let threads = u64::from(options.threads);
    let held = 1 + u64::from(options.takeover.is_some());
    let listeners = start.places.len() as u64 * threads * held;
    let taken = OTHER_DESCRIPTORS + THREAD_DESCRIPTORS * threads + listeners;
    let spare = start.limit.saturating_sub(taken);
    let pipes_max = pipes_max(options, spare);
    let in_pipes = 2 * u64::from(pipes_max) * threads;
    let available = u32::try_from(spare - in_pipes).unwrap_or(u32::MAX);
    let total =
        options.connections_max.map_or(available, |max| max.min(available)).max(options.threads);
    let limits = limits::shared_limits(&options.limits)?;
    let buffer_total_bytes = options.limits.buffer_share_bytes(options.threads);
    let mut workers = Vec::new();
    for index in 0..options.threads {
        let per_thread_max = total / options.threads + u32::from(index < total % options.threads);
        let mut config = stream::StreamConfig {
            trigger: options.trigger,
            connections_max: per_thread_max,
            idle_timeout: options.idle_timeout,
            drain_timeout: options.drain_timeout,
            buffer_total_bytes,
            bulk: options.bulk,
            pipes_max,
            emit_events: options.log.is_verbose,
            ..stream::StreamConfig::default()
        };
        if let Some(budget_bytes) = options.budget_bytes {
            config.budget_bytes = budget_bytes;
        }
        let mut server =
            stream::StreamServer::new(kernel.fresh(), config).map_err(failed("epoll_create1"))?;
        server.set_spin(options.spin);
        if let Some(limits) = limits.as_ref().filter(|_| options.limits.limit_connections()) {
            server.set_admission(Box::new(Arc::clone(limits)));
        }
        let mut worker = Worker::new(index as usize, server, Arc::clone(&coordinator), options.log);
        worker.limits = limits.clone().filter(|_| options.limits.limit_datagrams());
        worker.trace = start.trace.clone();
        worker.explain = start.explain.clone();
        workers.push(worker);
    }
    let wakers = workers.iter_mut().map(|worker| worker.server.waker());
    coordinator.set_wakers(wakers.collect::<Result<Vec<_>, CallError>>()?);
    Ok(workers)
}

/// Pipes of each thread, of the `spare` descriptors: those in use by peers that do not read are not
/// to be missing for connections, which are limited to the others.
fn pipes_max(options: &EchoOptions, spare: u64) -> u8 {
    /// The part of the descriptors that may be those of pipes.
    const PIPES_PART: u64 = 8;
    let default = stream::StreamConfig::default().pipes_max;
    if options.bulk == stream::Bulk::Copy {
        return 0;
    }
    let affordable = spare / PIPES_PART / 2 / u64::from(options.threads);
    u8::try_from(affordable).unwrap_or(default).min(default)
}

/// Assigns a bound socket to worker `at`, and its file to the worker that reads the signals.
fn assign_socket<K: InstrumentedKernel>(
    workers: &mut [Worker<K>],
    at: usize,
    bound: BoundSocket,
    options: &EchoOptions,
) -> Result<(), CliError> {
    let has_connections = bound.has_connections();
    workers[0].socket_files.extend(bound.file);
    let worker = &mut workers[at];
    let opened = if !has_connections {
        let config = datagram::DatagramConfig {
            trigger: options.trigger,
            emit_events: options.log.is_verbose,
            refused_ports: options.limits.refused_ports,
            ..datagram::DatagramConfig::default()
        };
        worker.open_datagrams(bound.fd, config)
    } else {
        worker.server.add_listener(bound.fd).map(drop)
    };
    Ok(opened?)
}

/// Adds a listener to all workers: those at their connection limit do not watch it.
fn open_shared<K: InstrumentedKernel>(
    workers: &mut [Worker<K>],
    bound: BoundSocket,
) -> Result<(), CliError> {
    workers[0].socket_files.extend(bound.file);
    let (first, others) = workers.split_at_mut(1);
    for worker in others {
        let listener = worker.server.kernel().dup(&bound.fd).map_err(failed("dup"))?;
        worker.server.add_shared_listener(listener, AcceptSharing::Exclusive)?;
    }
    first[0].server.add_shared_listener(bound.fd, AcceptSharing::Exclusive)?;
    Ok(())
}

/// Runs the first worker on this thread and the others on new threads. Calls `enter` when all
/// threads run and none serves, and `ready` when all serve.
fn run_workers<K: InstrumentedKernel>(
    mut workers: Vec<Worker<K>>,
    enter: impl FnOnce(&Worker<K>) -> Result<(), CliError>,
    ready: impl FnOnce(&mut Worker<K>),
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
    // What is set for all threads is set when each of them has run its first instructions.
    let started = Started::default();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut result = Ok(StatsSnapshot::default());
        for (mut worker, guard) in workers {
            let started = &started;
            let run = move || {
                let _guard = guard;
                started.pass();
                worker.run()
            };
            match std::thread::Builder::new().spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                Err(error) => result = Err(spawn_failure(&error)),
            }
        }
        if result.is_ok() {
            started.wait(threads.len());
            result = enter(&first).map(|()| StatsSnapshot::default());
        }
        if result.is_err() {
            coordinator.request_shutdown(first.index);
        }
        started.open();
        if result.is_ok() {
            ready(&mut first);
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

/// Where threads wait before they serve.
#[derive(Default)]
struct Started {
    /// The number of threads that have come, and whether they may go on.
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Started {
    fn pass(&self) {
        let mut state = self.lock();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, is_open)| !*is_open));
    }

    fn wait(&self, threads: usize) {
        drop(self.changed.wait_while(self.lock(), |(count, _)| *count < threads));
    }

    fn open(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, (usize, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maps the result of a thread; a panic is an error.
fn join_result(
    run: std::thread::Result<Result<StatsSnapshot, CliError>>,
) -> Result<StatsSnapshot, CliError> {
    match run {
        Ok(run) => run,
        Err(_) => Err(CliError::run("a thread has panicked")),
    }
}
