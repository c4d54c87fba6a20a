//! From options to a model: sockets bound, signals heard, addresses announced, and then the
//! one that was asked for.

use epollite::Fd;

use super::crowd::{Crowd, Rules};
use super::family::Family;
use super::ledger::Ledger;
use super::porter::House;
use super::stage::Stage;
use super::{
    blocking, coroutine, nonblocking, poll, porter, prefork, process, reuseport, select, thread,
};
use crate::args::Echo;
use crate::echo::{OTHER_DESCRIPTORS, Start, announce, block, failed, leave_room};
use crate::failure::Failure;
use crate::listen::{self, Bound, Place, SocketFiles};
use crate::meter::{Maker, Meter};
use crate::model::Model;
use crate::report::Snapshot;
use crate::signals;

/// Serves by the model that `options` name, until a signal ends it.
pub(crate) fn run<K: Meter>(options: &Echo, start: Start) -> Result<(), Failure> {
    let mut stage = Stage::<K>::new(options, start.trace, None);
    let signals = signals::read_by_server(options.model.has_children());
    block(&mut stage.kernel, &signals)?;
    let has_connections = start.places.iter().any(Place::has_connections);
    let mut bounds = Vec::new();
    for place in start.places {
        if options.model == Model::Reuseport {
            // Before anybody is told the address: who comes first is steered too.
            let group = listen::bind(&mut stage.kernel, place, options.workers)?;
            let socket = &group.first().expect("a port of at least one worker").fd;
            reuseport::steer(&mut stage, socket, options.steer, options.workers)?;
            bounds.extend(group);
        } else {
            bounds.extend(listen::bind(&mut stage.kernel, place, 1)?);
        }
    }
    let taken = OTHER_DESCRIPTORS + bounds.len() as u64;
    let room = u32::try_from(start.limit.saturating_sub(taken)).unwrap_or(u32::MAX).max(1);
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
    let signals = stage.kernel.signalfd(signals::set(&signals));
    let signals = signals.map_err(|errno| failed("signalfd", errno))?;
    // A worker's epoll, its waker and its signals; a coroutine's are as many.
    let own = match options.model {
        Model::Prefork | Model::Reuseport | Model::Coroutine => 3,
        _ => 0,
    };
    leave_room(own + usize::from(has_connections))?;
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
    sum?.tell_calls(&options.log, true);
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
        doors.push(((options.model == Model::Reuseport).then_some(owner), fd));
    }
    let mut family = Family::new(signals, ledger, files, rules.drain);
    // Children come through exec(2) too, and the first process of a container is given orphans.
    // Of those that ended before SIGCHLD was blocked no signal tells.
    family.reap(&mut stage);
    if is_split {
        return prefork::run(options, stage, family, doors, rules.guests_max);
    }
    let doors = doors.into_iter().map(|(_, door)| door).collect();
    process::run(stage, family, doors, rules.guests_max)
}
