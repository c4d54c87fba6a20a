//! **prefork**: some processes, forked before anybody comes, all accepting from one listener.
//!
//! What it teaches: how a machine with many processors is used without threads: each child is a
//! whole server, an edge-triggered reactor as `epoll-edge` runs it, with an epoll of its own (one
//! made before the fork would be shared, and bring everybody everybody's events). What they share
//! is the listener, and `--share` says how those are woken who wait for it:
//!
//! * `plain`: all of them, for each connection. One gets it; the others have run in vain, and
//!   `--count` shows their `EAGAIN`. This is the thundering herd.
//! * `exclusive`: `EPOLLEXCLUSIVE`, one or some of them. But the kernel begins at the front of its
//!   list, where the one stands who began to wait last: of 400 clients who come one by one, one
//!   child gets nearly all.
//! * `rotate`: the same, and who has accepted goes to the end of the list, by taking the listener
//!   out of its epoll and putting it in again. Two calls a connection, and all get the same share.
//!
//! At the end, and on SIGUSR1, it prints how the connections were split.
//!
//! What it costs: little; with few, long connections an uneven split is a processor that idles
//! beside one that is full.
//!
//! Where it breaks: a child that dies takes its clients with it; the others go on, and nobody is
//! forked in its place. The parent serves nobody: when the last child has gone it ends, and when
//! it is killed its children leave in order (`PR_SET_PDEATHSIG`).

use std::sync::Arc;

use epollite::kernel::release;
use epollite::server::stream::{self, Herd};
use epollite::{Errno, Fd, Interest, Signal, SignalSet};

use super::family::Family;
use super::stage::Stage;
use super::sys::{self, PollFd};
use crate::args::Echo;
use crate::control::Control;
use crate::echo::failed;
use crate::failure::Failure;
use crate::meter::{Maker, Meter, Tally};
use crate::model::Share;
use crate::report::Snapshot;
use crate::worker::Worker;

/// Forks the workers and waits for the last of them. `doors` are the listeners of each worker:
/// all of them get all, or each gets its own.
pub(super) fn run<K: Meter>(
    options: &Echo,
    mut stage: Stage<K>,
    mut family: Family,
    mut doors: Vec<(Option<usize>, Fd)>,
    guests_max: u32,
) -> Result<Snapshot, Failure> {
    family.is_split = true;
    let parent = std::process::id();
    for me in 0..options.workers as usize {
        match family.fork(&mut stage, me) {
            Ok(false) => {}
            Ok(true) => {
                // Without the parent nobody could end it, and its port would stay taken.
                sys::end_with_parent(sys::SIGTERM);
                if std::os::unix::process::parent_id() != parent {
                    std::process::exit(0);
                }
                // What is asked for is for all of them, and the first get what remains;
                // descriptors each has for itself.
                let asked = options.connections_max.unwrap_or(u32::MAX);
                let remains = u32::from((me as u64) < u64::from(asked % options.workers));
                let guests_max = guests_max.min(asked / options.workers + remains);
                let child = Child { options, me, guests_max };
                be_child(child.work(stage, &family, doors));
            }
            Err(errno) => {
                // All or nobody: those who are here already would serve on without us.
                family.end_at_once(&mut stage);
                return Err(failed("fork", errno));
            }
        }
    }
    // A listener that we held would take connections that nobody accepts.
    for (_, door) in doors.drain(..) {
        release(&mut stage.kernel, door);
    }
    while family.len() > 0 {
        stage.settle();
        let mut list = [PollFd::new(&family.signals, Interest::READABLE)];
        let timeout = family.timeout(&mut stage);
        match sys::poll(&mut stage.kernel, &mut list, timeout) {
            Err(errno) if !errno.interrupted() => return Err(failed("poll", errno)),
            Ok(1) => family.hear(&mut stage),
            _ => {}
        }
        family.pass_time(&mut stage);
    }
    stage.settle();
    family.tell_split(&stage.log);
    if family.is_leaving() {
        Ok(family.ledger.sum())
    } else {
        Err(Failure::new(Failure::RUN, "every worker has ended"))
    }
}

/// A worker's end is its process': nothing of the parent's is to be put away by it.
fn be_child(result: Result<(), Failure>) -> ! {
    let code = result.map_or_else(
        |failure| {
            crate::log::err(&format!("epollite: {}\n", failure.line));
            failure.code
        },
        |()| 0,
    );
    std::process::exit(code.into())
}

struct Child<'a> {
    options: &'a Echo,
    me: usize,
    guests_max: u32,
}

impl Child<'_> {
    /// Serves until the parent says that it is over.
    fn work<K: Meter>(
        &self,
        stage: Stage<K>,
        family: &Family,
        doors: Vec<(Option<usize>, Fd)>,
    ) -> Result<(), Failure> {
        let options = self.options;
        let config = stream::Config {
            connections_max: self.guests_max.max(1),
            idle: options.idle,
            drain: options.drain,
            tell: options.log.is_verbose,
            // Who takes one at a time leaves the others something to take.
            accepts_max: 1,
            ..stream::Config::default()
        };
        let server = stream::Server::new(K::fresh(), config);
        let server = server.map_err(|errno| failed("epoll_create1", errno))?;
        let control = Arc::new(Control::default());
        let mut worker = Worker::new(0, server, control, options.log);
        worker.trace = stage.trace;
        worker.tally = options.is_counted.then(Tally::default);
        let maker = Maker::Process(std::process::id());
        worker.parent = Some((maker, family.ledger.account(self.me + 1)));
        self.open(&mut worker, doors).map_err(|errno| failed("epoll_ctl", errno))?;
        // Blocked already, in the parent. What a terminal says comes from the parent as SIGTERM.
        let signals = SignalSet::from(Signal::TERM);
        let signals = worker.server.kernel().signalfd(signals);
        let opened = signals.and_then(|signals| worker.open_signals(signals));
        opened.map_err(|errno| failed("signalfd", errno))?;
        worker.run().map(drop)
    }

    /// Opens the doors that are ours, and closes those of others.
    fn open<K: Meter>(
        &self,
        worker: &mut Worker<K>,
        doors: Vec<(Option<usize>, Fd)>,
    ) -> Result<(), Errno> {
        for (owner, door) in doors {
            let server = &mut worker.server;
            if owner.is_some_and(|owner| owner != self.me) {
                release(server.kernel(), door);
                continue;
            }
            match self.options.share {
                _ if owner.is_some() => server.open(door)?,
                Share::Plain => server.open(door)?,
                Share::Exclusive => server.open_shared(door, Herd::Exclusive)?,
                Share::Rotate => server.open_shared(door, Herd::Rotating)?,
            };
        }
        Ok(())
    }
}
