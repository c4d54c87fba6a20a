//! Performs the calls of an experiment on a kernel, and compares each result.
//!
//! Knows the [`Kernel`] trait only. Whatever happens, every descriptor is closed at the end.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::experiment::{Action, Change, Experiment, ExperimentStep, Name};
use super::probe::{Probe, loopback};
use super::value::{Reported, Value};
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT};
use crate::instrument::{SyscallRecord, Tracer};
use crate::kernel::{EpollEvent, EpollOp, Fd, Kernel, SocketOption, SocketType, close_quietly};
use crate::net::{Addr, AddressFamily, UnixAddr};
use crate::sim::Version;

/// How long a wait that expects an event waits for it. What was sent has arrived before, so that
/// it is there unless the expectation is wrong.
const WAIT_MILLIS: u32 = 500;
/// How long a connection over the loopback interface may take.
const CONNECT_MILLIS: u32 = 5_000;
/// Rounds of filling: the receiver makes room as it goes.
const FILL_ROUNDS: usize = 5;
/// At most as many bytes are sent to fill a buffer, or read to empty one.
const FILL_BYTES_MAX: u64 = 1 << 28;
const BLOCK_BYTES: usize = 4_096;
/// The largest read: what a file requests more is cut to it.
const READ_BYTES_MAX: usize = 1 << 20;
/// The most events that one wait takes.
const EVENTS_MAX: usize = 1_024;

/// What happened in one step.
#[derive(Clone, PartialEq, Debug)]
pub struct StepReport {
    /// The calls that were made, in the form of strace(1). A step that fills or drains a buffer
    /// records the last one.
    pub calls: Vec<SyscallRecord>,
    /// The result; `None` when a descriptor is missing because an earlier step has failed.
    pub observed: Option<Value>,
    /// Whether the result is as expected.
    pub agrees: bool,
}

/// What happened in an experiment.
#[derive(Clone, PartialEq, Debug)]
pub struct ExperimentReport {
    /// A report for each step. None when the kernel is older than the experiment needs.
    pub steps: Vec<StepReport>,
}

impl ExperimentReport {
    /// Whether every result was as expected. Cost: O(steps).
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.steps.iter().all(|step| step.agrees)
    }

    /// Whether the kernel is too old for the experiment. Cost: O(1).
    #[must_use]
    pub const fn is_skipped(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Performs `experiment` on a kernel of this version. Before a call whose result may depend on it,
/// waits until all packets have arrived; `settle` is called several times during that, for what a
/// caller knows about its kernel (on a model, nothing is needed).
///
/// Cost: at most a few hundred system calls for each step, those that fill a buffer excepted.
pub fn run<K: Kernel>(
    experiment: &Experiment,
    kernel: K,
    version: Version,
    settle: &mut dyn FnMut(),
) -> ExperimentReport {
    if experiment.since.is_some_and(|since| version < since) {
        return ExperimentReport { steps: Vec::new() };
    }
    let mut kernel = kernel;
    let uses_network = experiment.steps.iter().any(|step| step.action.uses_network());
    let probe = if uses_network { Probe::open(&mut kernel).ok() } else { None };
    let open = experiment.names.iter().map(|_| None).collect();
    let mut runner = Runner {
        tracer: Tracer::new(kernel),
        names: &experiment.names,
        open,
        probe,
        version,
        settle,
        has_settled: true,
    };
    let steps = experiment.steps.iter().map(|step| runner.step(step)).collect();
    runner.close_all();
    ExperimentReport { steps }
}

struct Runner<'r, K> {
    tracer: Tracer<K>,
    names: &'r [String],
    /// The open descriptors, by name.
    open: Vec<Option<Fd>>,
    probe: Option<Probe>,
    version: Version,
    settle: &'r mut dyn FnMut(),
    has_settled: bool,
}

/// Why a step has no value.
enum Stop {
    Failed(Errno),
    /// A descriptor that an earlier step should have created.
    Missing,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl<K: Kernel> Runner<'_, K> {
    fn step(&mut self, step: &ExperimentStep) -> StepReport {
        self.settle_packets();
        let observed = match self.perform(step) {
            Ok(value) => Some(value),
            Err(Stop::Failed(errno)) => Some(Value::Failed(errno)),
            Err(Stop::Missing) => None,
        };
        self.has_settled = step.action.is_local();
        let agrees = observed.as_ref().is_some_and(|observed| match &step.expected {
            Some(expected) => expected.agrees(observed, self.version),
            None => !matches!(observed, Value::Failed(_)),
        });
        StepReport { calls: self.tracer.drain().collect(), observed, agrees }
    }

    fn settle_packets(&mut self) {
        if let Some(probe) = &self.probe
            && !self.has_settled
        {
            probe.settle(&mut self.tracer.kernel, self.settle);
        }
        self.has_settled = true;
    }

    fn perform(&mut self, step: &ExperimentStep) -> Result<Value, Stop> {
        match &step.action {
            Action::Wait { epoll, events_max } => {
                let expected = step.expected.as_ref();
                let has_events = expected.is_some_and(|it| it.has_events(self.version));
                self.wait(*epoll, *events_max, if has_events { WAIT_MILLIS } else { 0 })
            }
            Action::Control { epoll, change, target } => self.control(*epoll, *change, *target),
            Action::Fill { fd, is_socket } => self.fill(*fd, *is_socket),
            Action::Drain { fd, is_socket, len_max } => self.drain(*fd, *is_socket, *len_max),
            Action::Close { fd } => {
                let fd = self.open[*fd].take().ok_or(Stop::Missing)?;
                self.tracer.close(fd)?;
                Ok(Value::Done)
            }
            action => match self.create(action)? {
                Some(value) => Ok(value),
                None => self.transfer(action),
            },
        }
    }

    /// A call that creates or names descriptors; `None` if it is another.
    fn create(&mut self, action: &Action) -> Result<Option<Value>, Stop> {
        match *action {
            Action::Socketpair { near, far, kind } => {
                let (one, other) = self.tracer.socketpair(kind)?;
                (self.open[near], self.open[far]) = (Some(one), Some(other));
            }
            Action::Pipe { reader, writer } => {
                let (one, other) = self.tracer.pipe2()?;
                (self.open[reader], self.open[writer]) = (Some(one), Some(other));
            }
            Action::Tcp { server, client } => {
                let (one, other) = self.tcp()?;
                (self.open[server], self.open[client]) = (Some(one), Some(other));
            }
            Action::Socket { socket, family, kind } => {
                self.open[socket] = Some(self.tracer.socket(family, kind)?);
            }
            Action::Accept { listener, accepted } => {
                let (fd, _) = self.tracer.accept4(fd(&self.open, listener)?)?;
                self.open[accepted] = Some(fd);
            }
            Action::Epoll { epoll } => self.open[epoll] = Some(self.tracer.epoll_create1()?),
            Action::Eventfd { fd, initial } => {
                self.open[fd] = Some(self.tracer.eventfd(initial)?);
            }
            Action::Dup { fd: from, copy } => {
                self.open[copy] = Some(self.tracer.dup(fd(&self.open, from)?)?);
            }
            Action::Bind { socket, family } => {
                let unnamed = Addr::Unix(UnixAddr::unnamed());
                let addr = if family == AddressFamily::Unix { unnamed } else { loopback() };
                self.tracer.bind(fd(&self.open, socket)?, &addr)?;
            }
            Action::Listen { socket, backlog } => {
                self.tracer.listen(fd(&self.open, socket)?, backlog)?;
            }
            Action::Connect { socket, to } => {
                let addr = self.tracer.kernel.getsockname(fd(&self.open, to)?)?;
                self.tracer.connect(fd(&self.open, socket)?, &addr)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(Value::Done))
    }

    /// A call on a descriptor that exists.
    fn transfer(&mut self, action: &Action) -> Result<Value, Stop> {
        let open = &self.open;
        let count = |count| Value::Number(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(match action {
            Action::Send { socket, bytes } => count(self.tracer.send(fd(open, *socket)?, bytes)?),
            Action::SendTo { socket, to, bytes } => {
                let addr = self.tracer.kernel.getsockname(fd(open, *to)?)?;
                count(self.tracer.sendto(fd(open, *socket)?, bytes, &addr)?)
            }
            Action::Write { fd: into, bytes } => count(self.tracer.write(fd(open, *into)?, bytes)?),
            Action::Recv { socket, len_max } => {
                let mut buf = vec![0; READ_BYTES_MAX.min(*len_max)];
                let len = self.tracer.recv(fd(open, *socket)?, &mut buf)?;
                buf.truncate(len);
                Value::Bytes(buf)
            }
            Action::Read { fd: from, len_max } => {
                let mut buf = vec![0; READ_BYTES_MAX.min(*len_max)];
                let len = self.tracer.read(fd(open, *from)?, &mut buf)?;
                buf.truncate(len);
                Value::Bytes(buf)
            }
            Action::Shutdown { socket, how } => {
                self.tracer.shutdown(fd(open, *socket)?, *how)?;
                Value::Done
            }
            Action::SetOption { socket, option } => {
                self.tracer.setsockopt(fd(open, *socket)?, *option)?;
                Value::Done
            }
            Action::GetOption { socket, name } => {
                match self.tracer.getsockopt(fd(open, *socket)?, *name)? {
                    SocketOption::Error(errno) => Value::SocketError(errno),
                    option => {
                        let [a, b, c, d, ..] = option.encode();
                        Value::Number(u32::from_ne_bytes([a, b, c, d]).into())
                    }
                }
            }
            _ => unreachable!("all other actions are performed before"),
        })
    }

    fn control(&mut self, epoll: Name, change: Change, target: Name) -> Result<Value, Stop> {
        // An event carries the place of the name: numbers of descriptors are used again.
        let data = u64::try_from(target).unwrap_or(u64::MAX);
        let op = match change {
            Change::Add(mask) => EpollOp::Add(EpollEvent::new(mask, data)),
            Change::Modify(mask) => EpollOp::Modify(EpollEvent::new(mask, data)),
            Change::Delete => EpollOp::Delete,
        };
        self.tracer.epoll_ctl(fd(&self.open, epoll)?, op, fd(&self.open, target)?)?;
        Ok(Value::Done)
    }

    fn wait(&mut self, epoll: Name, events_max: usize, millis: u32) -> Result<Value, Stop> {
        let mut events = vec![EpollEvent::default(); events_max.min(EVENTS_MAX)];
        let epoll = fd(&self.open, epoll)?;
        let count = self.tracer.epoll_wait(epoll, &mut events, Some(millis))?;
        let reported = events
            .into_iter()
            .take(count)
            .map(|event| Reported { name: self.name(event.data()), events: event.events() });
        Ok(Value::Events(reported.collect()))
    }

    fn name(&self, data: u64) -> String {
        let name = usize::try_from(data).ok().and_then(|at| self.names.get(at));
        name.cloned().unwrap_or_else(|| "unknown".into())
    }

    fn fill(&mut self, name: Name, is_socket: bool) -> Result<Value, Stop> {
        let block = [b'f'; BLOCK_BYTES];
        let mut sent = 0_u64;
        for _ in 0..FILL_ROUNDS {
            while sent < FILL_BYTES_MAX {
                let (kernel, fd) = (&mut self.tracer.kernel, fd(&self.open, name)?);
                let put =
                    if is_socket { kernel.send(fd, &block) } else { kernel.write(fd, &block) };
                let Ok(count) = put else { break };
                sent = sent.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
            self.has_settled = false;
            self.settle_packets();
        }
        let fd = fd(&self.open, name)?;
        let put = if is_socket { self.tracer.send(fd, b"f") } else { self.tracer.write(fd, b"f") };
        match put {
            Err(errno) if !errno.is_would_block() => Err(errno.into()),
            _ => Ok(Value::Number(sent)),
        }
    }

    fn drain(&mut self, name: Name, is_socket: bool, len_max: usize) -> Result<Value, Stop> {
        let mut buf = vec![0; BLOCK_BYTES.min(len_max)];
        let (mut total, mut last) = (0_usize, Ok(0));
        let fd = fd(&self.open, name)?;
        while total < len_max {
            let room = buf.len().min(len_max - total);
            let buf = &mut buf[..room];
            last = if is_socket { self.tracer.recv(fd, buf) } else { self.tracer.read(fd, buf) };
            // Only the last call is kept.
            let record = self.tracer.drain().last();
            record.into_iter().for_each(|record| self.tracer.push(record));
            match last {
                Ok(count @ 1..) => total += count,
                _ => break,
            }
        }
        match last {
            Err(errno) if !errno.is_would_block() => Err(errno.into()),
            _ => Ok(Value::Number(u64::try_from(total).unwrap_or(u64::MAX))),
        }
    }

    /// Both ends of a new connection: the accepted one and the connecting one.
    fn tcp(&mut self) -> Result<(Fd, Fd), Errno> {
        let listener = self.tracer.socket(AddressFamily::Inet, SocketType::Stream)?;
        let pair = self.connect_to(&listener);
        let closed = self.tracer.close(listener);
        match (pair, closed) {
            (Ok((server, client)), Err(errno)) => {
                close_quietly(&mut self.tracer.kernel, server);
                close_quietly(&mut self.tracer.kernel, client);
                Err(errno)
            }
            (pair, _) => pair,
        }
    }

    fn connect_to(&mut self, listener: &Fd) -> Result<(Fd, Fd), Errno> {
        self.tracer.bind(listener, &loopback())?;
        self.tracer.listen(listener, 1)?;
        let addr = self.tracer.getsockname(listener)?;
        let client = self.tracer.socket(AddressFamily::Inet, SocketType::Stream)?;
        match self.accept_from(listener, &client, &addr) {
            Ok(server) => Ok((server, client)),
            Err(errno) => {
                close_quietly(&mut self.tracer.kernel, client);
                Err(errno)
            }
        }
    }

    fn accept_from(&mut self, listener: &Fd, client: &Fd, addr: &Addr) -> Result<Fd, Errno> {
        self.tracer.setsockopt(client, SocketOption::NoDelay(true))?;
        match self.tracer.connect(client, addr) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        self.has_settled = false;
        self.settle_packets();
        self.wait_ready(client, EPOLLOUT);
        self.wait_ready(listener, EPOLLIN);
        let (server, _) = self.tracer.accept4(listener)?;
        match self.tracer.setsockopt(&server, SocketOption::NoDelay(true)) {
            Ok(()) => Ok(server),
            Err(errno) => {
                close_quietly(&mut self.tracer.kernel, server);
                Err(errno)
            }
        }
    }

    /// Waits for a descriptor, without a trace. What does not become ready fails in the next call.
    fn wait_ready(&mut self, fd: &Fd, events: u32) {
        let kernel = &mut self.tracer.kernel;
        let Ok(epoll) = kernel.epoll_create1() else { return };
        let op = EpollOp::Add(EpollEvent::new(events, 0));
        if kernel.epoll_ctl(&epoll, op, fd).is_ok() {
            let mut events = [EpollEvent::default()];
            let _ = kernel.epoll_wait(&epoll, &mut events, Some(CONNECT_MILLIS));
        }
        close_quietly(kernel, epoll);
    }

    fn close_all(self) {
        let mut kernel = self.tracer.kernel;
        for fd in self.open.into_iter().flatten() {
            close_quietly(&mut kernel, fd);
        }
        if let Some(probe) = self.probe {
            probe.close(&mut kernel);
        }
    }
}

fn fd(open: &[Option<Fd>], name: Name) -> Result<&Fd, Stop> {
    open.get(name).and_then(Option::as_ref).ok_or(Stop::Missing)
}
