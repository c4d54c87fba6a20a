//! `epollite echo`: sockets, threads, signals; and at the end everything put away.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use epollite::kernel::{Limit, Resource, release};
use epollite::server::{datagram, stream};
use epollite::{Counted, Errno, Fd, Kernel, Linux, Signal, SignalSet, Traced};

use crate::args::Echo;
use crate::control::Control;
use crate::failure::Failure;
use crate::listen::{self, Bound};
use crate::log::{self, Log, quoted};
use crate::meter::{Meter, Tally, Trace};
use crate::model::Model;
use crate::models;
use crate::report::Snapshot;
use crate::worker::Worker;

/// Descriptors that are no connection: standard streams, signals, and some to spare for name
/// resolution and whatever the C library opens for a moment.
pub(crate) const OTHER_DESCRIPTORS: u64 = 16;

/// Descriptors that each thread has for itself: an epoll and an eventfd.
const THREAD_DESCRIPTORS: u64 = 2;

pub(crate) fn run(options: &Echo) -> Result<(), Failure> {
    log::prepare();
    let limit = raise_descriptor_limit(&options.log);
    if options.trace.is_some() || options.is_counted {
        serve_as::<Traced<Counted<Linux>>>(options, limit)
    } else {
        serve_as::<Counted<Linux>>(options, limit)
    }
}

fn serve_as<K: Meter>(options: &Echo, limit: u64) -> Result<(), Failure> {
    match options.model {
        Model::Epoll(_) => serve::<K>(options, limit),
        _ => models::run::<K>(options, limit),
    }
}

fn serve<K: Meter>(options: &Echo, limit: u64) -> Result<(), Failure> {
    let mut workers = hire::<K>(options, limit)?;
    let mut announced = Vec::new();
    for target in &options.targets {
        let bounds = listen::bind(workers[0].server.kernel(), target, options.threads)?;
        // What can be shared is one for each thread; what cannot goes to one thread each.
        let first = if bounds.len() == 1 { announced.len() % workers.len() } else { 0 };
        for (at, bound) in bounds.into_iter().enumerate() {
            if at == 0 {
                announced.push((bound.transport, bound.address.clone()));
            }
            open(&mut workers, first + at, bound, options)?;
        }
    }
    let ports: Vec<u16> = workers.iter_mut().flat_map(Worker::datagram_ports).collect();
    workers.iter_mut().for_each(|worker| worker.refuse(&ports));
    hear_signals(&mut workers[0])?;
    leave_room(1)?;
    work(workers, || {
        for (transport, address) in &announced {
            announce(&options.log, transport, address);
        }
    })
}

/// Whether so many descriptors are to be had, now that all others are open. A server that has
/// none for a client would listen and never serve.
///
/// # Errors
/// They are not.
pub(crate) fn leave_room(wanted: usize) -> Result<(), Failure> {
    // Beside the trace: this is no part of the service.
    let found: Vec<Fd> = (0..wanted).map_while(|_| Linux.eventfd(0).ok()).collect();
    let is_room = found.len() == wanted;
    found.into_iter().for_each(|fd| release(&mut Linux, fd));
    if is_room {
        return Ok(());
    }
    let limit = Linux.prlimit(Resource::OpenFiles, None).map_or(0, |limit| limit.soft);
    let line = format!("no descriptor is left for a client: there may be {limit} (ulimit -n)");
    Err(Failure::new(Failure::RUN, line))
}

/// From here on signals are read, not suffered: after all that may take its time, and before
/// any thread is started, since threads inherit what is blocked.
fn hear_signals<K: Meter>(worker: &mut Worker<K>) -> Result<(), Failure> {
    let signals = [Signal::INT, Signal::TERM, Signal::USR1]
        .into_iter()
        .fold(SignalSet::EMPTY, |set, signal| set | signal.into());
    let kernel = worker.server.kernel();
    kernel.sigprocmask(signals).map_err(|errno| failed("sigprocmask", errno))?;
    let signalfd = kernel.signalfd(signals).map_err(|errno| failed("signalfd", errno))?;
    worker.open_signals(signalfd).map_err(|errno| failed("epoll_ctl", errno))
}

/// As many workers as threads are wanted, none working yet.
fn hire<K: Meter>(options: &Echo, limit: u64) -> Result<Vec<Worker<K>>, Failure> {
    let control = Arc::new(Control::default());
    let trace = open_trace(options)?;
    let threads = u64::from(options.threads);
    let listeners = options.targets.len() as u64 * threads;
    let taken = OTHER_DESCRIPTORS + THREAD_DESCRIPTORS * threads + listeners;
    let room = u32::try_from(limit.saturating_sub(taken)).unwrap_or(u32::MAX);
    let in_all = options.connections_max.map_or(room, |max| max.min(room)).max(options.threads);
    let mut workers = Vec::new();
    for me in 0..options.threads {
        let share = in_all / options.threads + u32::from(me < in_all % options.threads);
        let mut config = stream::Config {
            trigger: options.trigger,
            connections_max: share,
            idle: options.idle,
            drain: options.drain,
            tell: options.log.is_verbose,
            ..stream::Config::default()
        };
        if let Some(budget_bytes) = options.budget_bytes {
            config.budget_bytes = budget_bytes;
        }
        let server = stream::Server::new(K::fresh(), config)
            .map_err(|errno| failed("epoll_create1", errno))?;
        let mut worker = Worker::new(me as usize, server, Arc::clone(&control), options.log);
        worker.trace = trace.clone();
        worker.tally = options.is_counted.then(Tally::default);
        workers.push(worker);
    }
    let wakers = workers.iter_mut().map(|worker| worker.server.waker());
    let wakers: Result<Vec<_>, Errno> = wakers.collect();
    control.introduce(wakers.map_err(|errno| failed("eventfd", errno))?);
    Ok(workers)
}

/// Gives a bound socket to worker `at`, and its file to the one that reads the signals.
fn open<K: Meter>(
    workers: &mut [Worker<K>],
    at: usize,
    bound: Bound,
    options: &Echo,
) -> Result<(), Failure> {
    workers[0].files.extend(bound.file);
    let worker = &mut workers[at];
    let opened = if bound.transport == "udp" {
        let config = datagram::Config {
            trigger: options.trigger,
            tell: options.log.is_verbose,
            ..datagram::Config::default()
        };
        worker.open_datagrams(bound.fd, config)
    } else {
        worker.server.open(bound.fd).map(drop)
    };
    opened.map_err(|errno| failed("epoll_ctl", errno))
}

/// The first worker works here, the others on threads of their own. `ready` is told when all
/// of them do.
fn work<K: Meter>(mut workers: Vec<Worker<K>>, ready: impl FnOnce()) -> Result<(), Failure> {
    let mut first = workers.remove(0);
    let control = Arc::clone(&first.control);
    // All are counted before any can have ended.
    let workers: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let working = control.begin(worker.me);
            (worker, working)
        })
        .collect();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut result = Ok(Snapshot::default());
        for (mut worker, working) in workers {
            let run = move || {
                let _working = working;
                worker.run()
            };
            match std::thread::Builder::new().spawn_scoped(scope, run) {
                Ok(thread) => threads.push(thread),
                Err(_) => result = Err(failed("clone", Errno::EAGAIN)),
            }
        }
        if result.is_ok() {
            ready();
            // A panic must not leave the others waiting for a signal that nobody reads.
            let run = AssertUnwindSafe(|| first.run());
            let ran = catch_unwind(run).unwrap_or(Err(Errno::ENOTRECOVERABLE));
            result = ran.map_err(|errno| failed("epoll_wait", errno));
        }
        control.leave(first.me);
        for thread in threads {
            let other = thread.join().unwrap_or(Err(Errno::ENOTRECOVERABLE));
            result = result.and_then(|mut sum| {
                sum.add(&other.map_err(|errno| failed("epoll_wait", errno))?);
                Ok(sum)
            });
        }
        let sum = result?;
        sum.tell_calls(&first.log);
        Ok(())
    })
}

/// Where `--trace` prints to. A file is opened before anything else is: no name is resolved
/// and no port taken for a command line that cannot work.
pub(crate) fn open_trace(options: &Echo) -> Result<Trace, Failure> {
    match &options.trace {
        None => Ok(Trace::Nowhere),
        Some(None) => Ok(Trace::Stderr),
        Some(Some(path)) => match File::create(path) {
            Ok(file) => Ok(Trace::File(Arc::new(file))),
            Err(error) => {
                let line = format!("--trace: {}: {error}", path.display());
                Err(Failure::new(Failure::RUN, line))
            }
        },
    }
}

pub(crate) fn failed(call: &str, errno: Errno) -> Failure {
    Failure::new(Failure::RUN, format!("{call}: {errno}"))
}

pub(crate) fn announce(log: &Log, transport: &str, address: &str) {
    if !log.is_quiet {
        log.result(
            || format!("listening on {transport} {address}"),
            || {
                let address = quoted(address);
                format!(
                    "{{\"event\":\"listening\",\"transport\":\"{transport}\",\"address\":{address}}}"
                )
            },
        );
    }
}

/// Raises the soft limit of descriptors to the hard one, and returns what holds now.
fn raise_descriptor_limit(log: &Log) -> u64 {
    let Ok(Limit { soft, hard }) = Linux.prlimit(Resource::OpenFiles, None) else {
        // Without a limit known, take POSIX' least.
        return 20;
    };
    let raised = Limit { soft: hard, hard };
    if soft >= hard || Linux.prlimit(Resource::OpenFiles, Some(raised)).is_err() {
        return soft;
    }
    log.remark(
        || format!("epollite: raised the descriptor limit from {soft} to {hard}"),
        || format!("{{\"event\":\"limit\",\"from\":{soft},\"to\":{hard}}}"),
    );
    hard
}
