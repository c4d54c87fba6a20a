//! `epollite echo`: sockets, threads, signals; and at the end everything put away.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use epollite::kernel::{Limit, Resource};
use epollite::server::stream::Herd;
use epollite::server::{datagram, stream};
use epollite::{Counted, Errno, Kernel, Linux, Signal, Traced};

use crate::args::Echo;
use crate::control::Control;
use crate::failure::Failure;
use crate::listen::{self, Bound, Place};
use crate::log::{self, Log, named, quoted};
use crate::meter::{Meter, Tally, Trace};
use crate::model::Model;
use crate::models;
use crate::report::Snapshot;
use crate::signals;
use crate::sink::Sink;
use crate::worker::Worker;

/// Descriptors that are no connection: standard streams, signals, and some to spare for name
/// resolution and whatever the C library opens for a moment.
pub(crate) const OTHER_DESCRIPTORS: u64 = 16;

/// What is taken for the limit of descriptors where it cannot be asked for: the kernel's own
/// highest, `fs.nr_open` as it comes.
const LIMIT_UNKNOWN: u64 = 1 << 20;

/// Descriptors that each thread has for itself: an epoll and an eventfd.
const THREAD_DESCRIPTORS: u64 = 2;

pub(crate) fn run(options: &Echo) -> Result<(), Failure> {
    log::prepare();
    let start = Start {
        limit: raise_descriptor_limit(&options.log),
        trace: open_trace(options)?,
        places: listen::look_up(&options.targets)?,
    };
    let trace = start.trace.clone();
    let served = if options.trace.is_some() || options.is_counted {
        serve_as::<Traced<Counted<Linux>>>(options, start)
    } else {
        serve_as::<Counted<Linux>>(options, start)
    };
    trace.tell_dropped();
    served
}

/// What is known before the first socket is made.
pub(crate) struct Start {
    /// Of descriptors.
    pub(crate) limit: u64,
    pub(crate) trace: Trace,
    pub(crate) places: Vec<Place>,
}

fn serve_as<K: Meter>(options: &Echo, start: Start) -> Result<(), Failure> {
    match options.model {
        Model::Epoll(_) => serve::<K>(options, start),
        _ => models::run::<K>(options, start),
    }
}

fn serve<K: Meter>(options: &Echo, start: Start) -> Result<(), Failure> {
    let mut workers = hire::<K>(options, &start)?;
    let signals = signals::read_by_server(false);
    block(workers[0].server.kernel(), &signals)?;
    let mut announced = Vec::new();
    let has_connections = start.places.iter().any(Place::has_connections);
    // Where there is a limit, a client of a thread that is full must not wait while another has
    // room: all of them have the same listener then.
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
    let worker = &mut workers[0];
    let signalfd = worker.server.kernel().signalfd(signals::set(&signals));
    let signalfd = signalfd.map_err(|errno| failed("signalfd", errno))?;
    worker.open_signals(signalfd).map_err(|errno| failed("epoll_ctl", errno))?;
    leave_room(usize::from(has_connections))?;
    work(workers, || {
        for (transport, address) in &announced {
            announce(&options.log, transport, address);
        }
    })
}

/// From here on these signals wait until they are read. Before the first socket is bound, or a
/// signal would leave its file behind; and before any thread is started, since threads inherit
/// what is blocked.
pub(crate) fn block<K: Kernel>(kernel: &mut K, signals: &[Signal]) -> Result<(), Failure> {
    let blocked = kernel.sigprocmask(signals::set(signals));
    blocked.map(drop).map_err(|errno| failed("sigprocmask", errno))
}

/// Whether so many descriptors are to be had, now that all others are open. A server that has
/// none for a client would listen and never serve.
///
/// # Errors
/// They are not.
pub(crate) fn leave_room(wanted: usize) -> Result<(), Failure> {
    // Beside the trace: this is no part of the service. A duplicate needs nothing but a number.
    let stream = std::io::stderr();
    let taken: std::io::Result<Vec<_>> =
        (0..wanted).map(|_| stream.as_fd().try_clone_to_owned()).collect();
    let Err(error) = taken else { return Ok(()) };
    let is_limit = error.raw_os_error() == Some(Errno::EMFILE.number());
    let line = match Linux.prlimit(Resource::OpenFiles, None) {
        Ok(Limit { soft, .. }) if is_limit => format!("there may be {soft} (ulimit -n)"),
        _ => error.to_string(),
    };
    Err(Failure::new(Failure::RUN, format!("no descriptor is left for a client: {line}")))
}

/// As many workers as threads are wanted, none working yet.
fn hire<K: Meter>(options: &Echo, start: &Start) -> Result<Vec<Worker<K>>, Failure> {
    let control = Arc::new(Control::default());
    let threads = u64::from(options.threads);
    let listeners = options.targets.len() as u64 * threads;
    let taken = OTHER_DESCRIPTORS + THREAD_DESCRIPTORS * threads + listeners;
    let room = u32::try_from(start.limit.saturating_sub(taken)).unwrap_or(u32::MAX);
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
        worker.trace = start.trace.clone();
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

/// Gives a listener to all workers: those that are full do not watch it.
fn open_shared<K: Meter>(workers: &mut [Worker<K>], bound: Bound) -> Result<(), Failure> {
    workers[0].files.extend(bound.file);
    let (first, others) = workers.split_at_mut(1);
    for worker in others {
        let listener = worker.server.kernel().dup(&bound.fd);
        let listener = listener.map_err(|errno| failed("dup", errno))?;
        let opened = worker.server.open_shared(listener, Herd::Exclusive);
        opened.map_err(|errno| failed("epoll_ctl", errno))?;
    }
    let opened = first[0].server.open_shared(bound.fd, Herd::Exclusive);
    opened.map(drop).map_err(|errno| failed("epoll_ctl", errno))
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
                Err(error) => result = Err(no_thread(&error)),
            }
        }
        if result.is_ok() {
            ready();
            // A panic must not leave the others waiting for a signal that nobody reads.
            let run = AssertUnwindSafe(|| first.run());
            result = ended(catch_unwind(run));
        }
        control.leave(first.me);
        for thread in threads {
            let other = ended(thread.join());
            result = result.and_then(|mut sum| {
                sum.add(&other?);
                Ok(sum)
            });
        }
        let sum = result?;
        sum.tell_calls(&first.log, true);
        Ok(())
    })
}

/// How a thread ended.
fn ended(run: std::thread::Result<Result<Snapshot, Failure>>) -> Result<Snapshot, Failure> {
    match run {
        Ok(run) => run,
        Err(_) => Err(Failure::new(Failure::RUN, "a thread has panicked")),
    }
}

/// Where `--trace` prints to. A file is opened before anything else is: no name is resolved
/// and no port taken for a command line that cannot work.
fn open_trace(options: &Echo) -> Result<Trace, Failure> {
    let Some(path) = &options.trace else { return Ok(Trace::Nowhere) };
    let dropped = models::shared_words(1).map_err(|errno| failed("mmap", errno))?;
    let Some(path) = path else { return Ok(Trace::Stderr(&dropped[0])) };
    match Sink::create(path) {
        Ok(sink) => Ok(Trace::File(Arc::new(sink), &dropped[0])),
        Err(error) => {
            let line = format!("--trace: {}: {error}", path.display());
            Err(Failure::new(Failure::RUN, line))
        }
    }
}

pub(crate) fn failed(call: &str, errno: Errno) -> Failure {
    Failure::new(Failure::RUN, format!("{call}: {errno}"))
}

/// No thread is to be had. What the standard library gives is the C library's word, which names no
/// system call and is not always what one said: `EAGAIN` where the kernel's was `ENOMEM`.
pub(crate) fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(Failure::RUN, format!("cannot start a thread: {error}"))
}

pub(crate) fn announce(log: &Log, transport: &str, address: &OsStr) {
    if !log.is_quiet {
        log.result(
            || [b"listening on ", transport.as_bytes(), b" ", address.as_bytes()].concat(),
            || {
                let address = named("address", address);
                format!("{{\"event\":\"listening\",\"transport\":\"{transport}\",{address}}}")
            },
        );
    }
}

/// Raises the soft limit of descriptors to the hard one, and returns what holds now.
fn raise_descriptor_limit(log: &Log) -> u64 {
    let Limit { soft, hard } = match Linux.prlimit(Resource::OpenFiles, None) {
        Ok(limit) => limit,
        Err(errno) => {
            // Without a limit known, accept4(2) says when there is one: accepting pauses then.
            log.remark(
                || format!("epollite: the descriptor limit is not known: prlimit: {errno}"),
                || format!("{{\"event\":\"limit\",\"why\":{}}}", quoted(&errno.to_string())),
            );
            return LIMIT_UNKNOWN;
        }
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
