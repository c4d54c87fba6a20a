//! The state of an experiment that runs: its descriptors by name, its kernel, its environment.
//!
//! Knows no call of an experiment.

use alloc::string::String;
use alloc::vec::Vec;

use super::environment::Environment;
use super::experiment::Name;
use super::probe::Probe;
use super::value::Reported;
use crate::errno::Errno;
use crate::instrument::Tracer;
use crate::kernel::{EpollEvent, EpollOp, Fd, Kernel, Resource, Rlimit, close_quietly};
use crate::net::Addr;

/// How long a connection over the loopback interface may take.
const CONNECT_MILLIS: u32 = 5_000;

/// The most events that one wait takes.
pub(super) const EVENTS_MAX: usize = 1_024;

pub(super) struct RunState<'r, 'e> {
    pub(super) tracer: Tracer<&'r mut dyn Kernel>,
    pub(super) names: &'r [String],
    /// The open descriptors, by name.
    pub(super) open: Vec<Option<Fd>>,
    /// Descriptors without a name.
    pub(super) unnamed: Vec<Fd>,
    /// The sockets whose addresses are used, and the address of each that was closed.
    pub(super) targets: Vec<(Name, Option<Addr>)>,
    /// Waits that actors have begun.
    pub(super) waits: Vec<BegunWait>,
    /// The limit of descriptors before it was changed.
    pub(super) limit: Option<Rlimit>,
    pub(super) probe: Option<Probe>,
    pub(super) environment: &'r mut Environment<'e>,
    pub(super) has_settled: bool,
}

/// The arguments of an actor's wait.
pub(super) struct BegunWait {
    pub(super) actor: Name,
    /// The epoll or the socket.
    pub(super) fd: u32,
    /// How many events or messages.
    pub(super) max: usize,
    pub(super) millis: u32,
}

/// Why a step has no value.
pub(super) enum Stop {
    Failed(Errno),
    /// The same, by a call that not every kernel has.
    DeviceFailed(Errno),
    /// A descriptor that an earlier step should have created.
    Missing,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl RunState<'_, '_> {
    pub(super) fn settle_packets(&mut self) {
        if let Some(probe) = &self.probe
            && !self.has_settled
        {
            probe.settle(&mut self.tracer.kernel, self.environment.settle);
        }
        self.has_settled = true;
    }

    /// Waits for a descriptor, without a trace. What does not become ready fails in the next call.
    pub(super) fn wait_ready(&mut self, fd: &Fd, events: u32) {
        let kernel = &mut self.tracer.kernel;
        let Ok(epoll) = kernel.epoll_create1() else { return };
        let op = EpollOp::Add(EpollEvent::new(events, 0));
        if kernel.epoll_ctl(&epoll, op, fd).is_ok() {
            let mut events = [EpollEvent::default()];
            let _ = kernel.epoll_wait(&epoll, &mut events, Some(CONNECT_MILLIS));
        }
        close_quietly(kernel, epoll);
    }

    /// Events with the names under which descriptors were registered.
    pub(super) fn reported(&self, events: impl IntoIterator<Item = EpollEvent>) -> Vec<Reported> {
        let events = events.into_iter();
        events
            .map(|event| Reported { name: self.name(event.data()), events: event.events() })
            .collect()
    }

    fn name(&self, data: u64) -> String {
        let name = usize::try_from(data).ok().and_then(|at| self.names.get(at));
        name.cloned().unwrap_or_else(|| "unknown".into())
    }

    /// The address of a socket, which may be closed. Not traced.
    pub(super) fn address(&mut self, name: Name) -> Result<Addr, Stop> {
        if let Some(fd) = &self.open[name] {
            return Ok(self.tracer.kernel.getsockname(fd)?);
        }
        let closed = self.targets.iter().find(|(target, _)| *target == name);
        closed.and_then(|(_, addr)| *addr).ok_or(Stop::Missing)
    }

    /// The name of the first open socket that has this address. Not traced.
    pub(super) fn name_of(&mut self, addr: &Addr) -> String {
        let kernel = &mut self.tracer.kernel;
        let mut named = self.names.iter().zip(&self.open);
        let found = named.find(|(_, fd)| {
            fd.as_ref().is_some_and(|fd| kernel.getsockname(fd).is_ok_and(|own| own == *addr))
        });
        found.map_or_else(|| "unknown".into(), |(name, _)| name.clone())
    }

    /// Of the calls of a step that makes many, only the last is kept.
    pub(super) fn keep_last_record(&mut self) {
        let record = self.tracer.drain().last();
        record.into_iter().for_each(|record| self.tracer.push(record));
    }

    /// Closes a descriptor. Its address is kept, if it is used later.
    pub(super) fn close(&mut self, name: Name) -> Result<(), Stop> {
        let fd = self.open[name].take().ok_or(Stop::Missing)?;
        if let Some((_, addr)) = self.targets.iter_mut().find(|(target, _)| *target == name) {
            *addr = self.tracer.kernel.getsockname(&fd).ok();
        }
        Ok(self.tracer.close(fd)?)
    }

    pub(super) fn close_all(mut self) {
        self.environment.actors.end_all();
        let mut kernel = self.tracer.kernel;
        if let Some(limit) = self.limit {
            let _ = kernel.prlimit(Resource::Nofile, Some(limit));
        }
        for fd in self.open.into_iter().flatten().chain(self.unnamed) {
            close_quietly(&mut kernel, fd);
        }
        if let Some(probe) = self.probe.take() {
            probe.close(&mut kernel);
        }
    }
}

/// The descriptor of a name.
pub(super) fn fd(open: &[Option<Fd>], name: Name) -> Result<&Fd, Stop> {
    open.get(name).and_then(Option::as_ref).ok_or(Stop::Missing)
}
