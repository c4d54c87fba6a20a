//! Performs the steps of an experiment on a kernel, and compares each result.
//!
//! Knows waits and buffers; other calls are in `kernel_calls.rs`, `device_calls.rs` and
//! `actor_calls.rs`. Whatever happens, every descriptor is closed at the end.

use alloc::vec;
use alloc::vec::Vec;

use super::environment::Environment;
use super::experiment::{Action, Change, DeviceAction, Experiment, ExperimentStep, Name};
use super::probe::Probe;
use super::report::{ExperimentReport, Skipped, StepReport};
use super::run_state::{EVENTS_MAX, RunState, Stop, fd};
use super::value::Value;
use crate::errno::Errno;
use crate::instrument::Tracer;
use crate::kernel::{EpollEvent, EpollOp, Kernel};

/// Rounds of filling: the receiver makes room as it goes.
const FILL_ROUNDS: usize = 5;
/// At most as many bytes are sent to fill a buffer, or read to empty one.
const FILL_BYTES_MAX: u64 = 1 << 28;
const BLOCK_BYTES: usize = 4_096;

/// Performs `experiment` on a kernel in its environment. Before a call whose result may depend on
/// it, waits until all packets have arrived. When a device or a thread that it needs is missing, or
/// descriptors or memory have run out, it ends there and counts as skipped.
///
/// Cost: at most a few hundred system calls for each step, those that fill a buffer excepted.
pub fn run<K: Kernel>(
    experiment: &Experiment,
    kernel: K,
    environment: &mut Environment<'_>,
) -> ExperimentReport {
    let skipped = match experiment.since {
        Some(since) if environment.version < since => Some(Skipped::TooOld(since)),
        _ if environment.is_model && experiment.unmodelled.is_some() => Some(Skipped::NotModelled),
        _ => None,
    };
    if skipped.is_some() {
        return ExperimentReport { steps: Vec::new(), skipped };
    }
    let mut kernel = kernel;
    run_on(experiment, &mut kernel, environment)
}

/// The same on any kernel, in one copy.
fn run_on(
    experiment: &Experiment,
    kernel: &mut dyn Kernel,
    environment: &mut Environment<'_>,
) -> ExperimentReport {
    let uses_network = experiment.steps.iter().any(|step| step.action.uses_network());
    let probe = if uses_network { Probe::open(kernel).ok() } else { None };
    let targets = experiment.steps.iter().filter_map(|step| step.action.target());
    let mut state = RunState {
        tracer: Tracer::new(kernel),
        names: &experiment.names,
        open: experiment.names.iter().map(|_| None).collect(),
        unnamed: Vec::new(),
        targets: targets.map(|name| (name, None)).collect(),
        waits: Vec::new(),
        limit: None,
        probe,
        environment,
        has_settled: true,
    };
    let steps: Result<_, Skipped> = experiment.steps.iter().map(|step| state.step(step)).collect();
    state.close_all();
    match steps {
        Ok(steps) => ExperimentReport { steps, skipped: None },
        Err(skipped) => ExperimentReport { steps: Vec::new(), skipped: Some(skipped) },
    }
}

/// Whether there are no descriptors, or no memory.
const fn is_exhausted(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

/// Whether the kernel does not have a family of sockets: IPv6 can be turned off.
const fn is_without_family(action: &Action, errno: Errno) -> bool {
    matches!((action, errno), (Action::Socket { .. }, Errno::EAFNOSUPPORT))
}

/// Whether a device's error means that the kernel does not have it or does not permit it. A file
/// may be missing for many reasons.
fn is_unsupported(action: &Action, errno: Errno) -> bool {
    let opens = matches!(
        action,
        Action::Device(
            DeviceAction::Create { .. }
                | DeviceAction::Open { .. }
                | DeviceAction::Watch { is_fanotify: true, .. }
        )
    );
    match errno {
        Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::ENOENT => true,
        _ => opens,
    }
}

impl RunState<'_, '_> {
    fn step(&mut self, step: &ExperimentStep) -> Result<StepReport, Skipped> {
        self.settle_packets();
        let start = self.tracer.now();
        let performed = self.perform(step);
        let duration = self.tracer.now() - start;
        let version = self.environment.version;
        let agrees = |observed: &Value| match &step.expected {
            Some(expected) => expected.agrees(observed, version),
            None => !matches!(observed, Value::Failed(_)),
        };
        let observed = match performed {
            Ok(value) => Some(value),
            Err(Stop::DeviceFailed(errno) | Stop::Failed(errno))
                if is_exhausted(errno) && !agrees(&Value::Failed(errno)) =>
            {
                return Err(Skipped::Exhausted { call: step.call.clone(), errno });
            }
            Err(Stop::Failed(errno)) if is_without_family(&step.action, errno) => {
                return Err(Skipped::Unsupported { call: step.call.clone(), errno });
            }
            Err(Stop::DeviceFailed(errno))
                if is_unsupported(&step.action, errno) && !agrees(&Value::Failed(errno)) =>
            {
                if self.environment.is_model {
                    return Err(Skipped::NotModelled);
                }
                return Err(Skipped::Unsupported { call: step.call.clone(), errno });
            }
            Err(Stop::Failed(errno) | Stop::DeviceFailed(errno)) => Some(Value::Failed(errno)),
            Err(Stop::Missing) => None,
        };
        self.has_settled = step.action.is_local();
        let agrees = observed.as_ref().is_some_and(agrees);
        let calls = self.tracer.drain().collect();
        Ok(StepReport { calls, observed, agrees, start, duration })
    }

    fn perform(&mut self, step: &ExperimentStep) -> Result<Value, Stop> {
        match &step.action {
            Action::Wait { epoll, events_max } => {
                let expected = step.expected.as_ref();
                let has_events = expected.is_some_and(|it| it.has_events(self.environment.version));
                self.wait(
                    *epoll,
                    *events_max,
                    if has_events { self.environment.wait_millis } else { 0 },
                )
            }
            Action::Control { epoll, change, target } => self.control(*epoll, *change, *target),
            Action::Fill { fd, is_socket } => self.fill(*fd, *is_socket),
            Action::Drain { fd, is_socket, len_max } => self.drain(*fd, *is_socket, *len_max),
            Action::Close { fd } => self.close(*fd).map(|()| Value::Done),
            Action::Device(action) => self.device(action),
            Action::SendFlag { .. } | Action::RecvFlag { .. } => self.message(&step.action),
            Action::Actor(action) => self.actor(action),
            action => match self.create(action)? {
                Some(value) => Ok(value),
                None => self.transfer(action),
            },
        }
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
        Ok(Value::Events(self.reported(events.into_iter().take(count))))
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
        // A device may have no end.
        let len_max = len_max.min(FILL_BYTES_MAX.try_into().unwrap_or(usize::MAX));
        let mut buf = vec![0; BLOCK_BYTES.min(len_max)];
        let (mut total, mut last) = (0_usize, Ok(0));
        // The sender may send more when there is room.
        for _ in 0..FILL_ROUNDS {
            while total < len_max {
                let room = buf.len().min(len_max - total);
                let (fd, buf) = (fd(&self.open, name)?, &mut buf[..room]);
                last =
                    if is_socket { self.tracer.recv(fd, buf) } else { self.tracer.read(fd, buf) };
                self.keep_last_record();
                match last {
                    Ok(count @ 1..) => total += count,
                    _ => break,
                }
            }
            self.has_settled = false;
            self.settle_packets();
        }
        match last {
            Err(errno) if !errno.is_would_block() => Err(errno.into()),
            _ => Ok(Value::Number(u64::try_from(total).unwrap_or(u64::MAX))),
        }
    }
}
