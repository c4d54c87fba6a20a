//! From options to a model: sockets bound, signals heard, addresses announced, and then the
//! one that was asked for.

use epollite::{Fd, Signal};

use super::crowd::{Crowd, Rules};
use super::family::Family;
use super::ledger::Ledger;
use super::porter::House;
use super::stage::Stage;
use super::{
    blocking, coroutine, nonblocking, poll, porter, prefork, process, reuseport, select, thread,
};
use crate::args::Echo;
use crate::echo::{OTHER_DESCRIPTORS, announce, failed, leave_room, open_trace};
use crate::failure::Failure;
use crate::listen::{self, Bound, SocketFiles};
use crate::meter::{Maker, Meter};
use crate::model::Model;
use crate::report::Snapshot;

/// Serves by the model that `options` name, until a signal ends it. `limit` is of descriptors.
pub(crate) fn run<K: Meter>(options: &Echo, limit: u64) -> Result<(), Failure> {
    let mut stage = Stage::<K>::new(options, open_trace(options)?, None);
    let mut bounds = Vec::new();
    for target in &options.targets {
        let sockets = if options.model == Model::Reuseport { options.workers } else { 1 };
        bounds.extend(listen::bind(&mut stage.kernel, target, sockets)?);
    }
    let taken = OTHER_DESCRIPTORS + bounds.len() as u64;
    let room = u32::try_from(limit.saturating_sub(taken)).unwrap_or(u32::MAX).max(1);
    let rules = Rules {
        // What a model bears is a default: who says more means it.
        guests_max: options
            .connections_max
            .unwrap_or(match options.model {
                Model::Thread => thread::GUESTS_MAX,
                Model::Process => process::GUESTS_MAX,
                _ => room,
            })
            .min(room),
        wall: (options.model == Model::Select).then_some(select::WALL),
        idle: options.idle,
        drain: options.drain,
    };
    let mut told: Vec<_> =
        bounds.iter().map(|bound| (bound.transport, bound.address.clone())).collect();
    told.dedup();
    let has_children = matches!(options.model, Model::Process | Model::Prefork | Model::Reuseport);
    let signals = [Signal::INT, Signal::TERM, Signal::USR1, Signal::CHLD];
    let signals = &signals[..if has_children { 4 } else { 3 }];
    let signals = stage.hear(signals).map_err(|errno| failed("signalfd", errno))?;
    // Beside the client: a worker's epoll, its waker and its signals; a coroutine's are as many.
    let wanted = match options.model {
        Model::Prefork | Model::Reuseport | Model::Coroutine => 4,
        _ => 1,
    };
    leave_room(wanted)?;
    told.iter().for_each(|(transport, address)| announce(&options.log, transport, address));
    let sum = match options.model {
        Model::Blocking | Model::Thread => wait_in_calls(options, stage, signals, bounds, rules),
        Model::Process | Model::Prefork | Model::Reuseport => {
            have_children(options, stage, signals, bounds, rules)
        }
        Model::Nonblocking => nonblocking::run(Crowd::new(stage, signals, bounds, rules)),
        Model::Select => select::run(Crowd::new(stage, signals, bounds, rules)),
        Model::Poll => poll::run(Crowd::new(stage, signals, bounds, rules)),
        Model::Coroutine => coroutine::run(stage, signals, bounds, rules),
        Model::Epoll(_) => unreachable!("the reactor's own server has no model here"),
    };
    sum?.tell_calls(&options.log);
    Ok(())
}

/// For those who wait inside a call: a porter, one door, and the model.
fn wait_in_calls<K: Meter>(
    options: &Echo,
    mut stage: Stage<K>,
    signals: Fd,
    mut bounds: Vec<Bound>,
    rules: Rules,
) -> Result<Snapshot, Failure> {
    let Bound { fd, transport, file, .. } = bounds.remove(0);
    let ledger = Ledger::new(1, options.is_counted).map_err(|errno| failed("mmap", errno))?;
    stage.keep(&ledger);
    let (house, mut files) = (House::new(fd, ledger), SocketFiles::default());
    files.extend(file);
    let own = stage.another(Maker::Porter, &house.ledger);
    porter::start(&house, own, signals, files, rules.drain)?;
    match options.model {
        Model::Thread => thread::run(&house, stage, rules.guests_max),
        _ if transport == "udp" => blocking::run_datagrams(&house, stage),
        _ => blocking::run(&house, stage),
    }
}

/// For those who have children: a family, and the model.
fn have_children<K: Meter>(
    options: &Echo,
    mut stage: Stage<K>,
    signals: Fd,
    bounds: Vec<Bound>,
    rules: Rules,
) -> Result<Snapshot, Failure> {
    let is_split = options.model != Model::Process;
    // The first part is the parent's; the children have one together, or one each.
    let parts = if is_split { 1 + options.workers as usize } else { 1 };
    let ledger = Ledger::new(parts, options.is_counted).map_err(|errno| failed("mmap", errno))?;
    stage.keep(&ledger);
    let (mut files, mut doors) = (SocketFiles::default(), Vec::new());
    for (at, Bound { fd, file, .. }) in bounds.into_iter().enumerate() {
        files.extend(file);
        // Those of a port stand in the order in which the kernel numbers them.
        let owner = at % options.workers as usize;
        if options.model == Model::Reuseport && owner == 0 {
            reuseport::steer(&mut stage, &fd, options.steer, options.workers)?;
        }
        doors.push(((options.model == Model::Reuseport).then_some(owner), fd));
    }
    let family = Family::new(signals, ledger, files, rules.drain);
    if is_split {
        return prefork::run(options, stage, family, doors, rules.guests_max);
    }
    let doors = doors.into_iter().map(|(_, door)| door).collect();
    process::run(stage, family, doors, rules.guests_max)
}
