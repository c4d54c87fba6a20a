//! The calls of other threads and processes in an experiment, by [`Actors`].
//!
//! Knows when a wait begins and how it ends; how an actor is made is the program's.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::actors::{Actors, Returned, Waited};
use super::device_calls::{text, zero};
use super::experiment::{ActorAction, Name};
use super::run_state::{BegunWait, EVENTS_MAX, RunState, Stop, fd};
use super::value::Value;
use crate::errno::Errno;
use crate::instrument::{Argument, ReturnValue, SyscallRecord};
use crate::kernel::{ChildRole, EpollEvent, Fd, Kernel, Syscall};

/// How long a wait of another thread may last: it is ended before, with the experiment.
const BLOCKED_MILLIS: u32 = 20_000;

impl RunState<'_, '_> {
    pub(super) fn actor(&mut self, action: &ActorAction) -> Result<Value, Stop> {
        let (ActorAction::Begin { actor, .. }
        | ActorAction::BeginReceive { actor, .. }
        | ActorAction::ForkWith { actor, .. }
        | ActorAction::End { actor }
        | ActorAction::Fork { actor }
        | ActorAction::Kill { actor, .. }
        | ActorAction::Pidfd { actor, .. }
        | ActorAction::Reap { actor }) = *action;
        let name = &self.names[actor];
        let actor_name = || text(name);
        match *action {
            ActorAction::Begin { epoll, events_max, blocks, .. } => {
                let (epoll, events_max) = (fd(&self.open, epoll)?, events_max.min(EVENTS_MAX));
                let millis = if blocks { BLOCKED_MILLIS } else { 0 };
                let actors = &mut *self.environment.actors;
                let begun = actors.begin_wait(name, epoll, events_max, millis);
                begun.map_err(Stop::DeviceFailed)?;
                let begun = BegunWait { actor, fd: epoll.number(), max: events_max, millis };
                self.note_begun(begun);
            }
            ActorAction::BeginReceive { socket, messages_max, millis, .. } => {
                let socket = fd(&self.open, socket)?;
                let actors = &mut *self.environment.actors;
                let begun = actors.begin_receive(name, socket, messages_max, millis);
                begun.map_err(Stop::DeviceFailed)?;
                let begun = BegunWait { actor, fd: socket.number(), max: messages_max, millis };
                self.note_begun(begun);
            }
            ActorAction::End { .. } => return self.end_wait(actor),
            ActorAction::Fork { .. } => {
                self.environment.actors.fork(name).map_err(Stop::DeviceFailed)?;
            }
            ActorAction::ForkWith { fd: new, role, .. } => {
                let (call, argument) = match role {
                    ChildRole::Notifying => ("seccomp", "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
                    ChildRole::Peer => ("socketpair", "AF_UNIX, SOCK_STREAM, 0"),
                };
                let arguments = vec![actor_name(), text(argument)];
                let returned = |fd: &Fd| ReturnValue::Fd(fd.number());
                let fd = self.act(call, arguments, |it| it.fork_with(name, role), returned)?;
                self.open[new] = Some(fd);
            }
            ActorAction::Kill { signal, .. } => {
                let signal_name = text(&format!("SIG{}", signal.name().unwrap_or("?")));
                let arguments = vec![actor_name(), signal_name];
                self.act("kill", arguments, |actors| actors.kill(name, signal), |()| zero())?;
            }
            ActorAction::Pidfd { fd: new, .. } => {
                let arguments = vec![actor_name(), text("PIDFD_NONBLOCK")];
                let returned = |fd: &Fd| ReturnValue::Fd(fd.number());
                let fd = self.act("pidfd_open", arguments, |it| it.pidfd(name), returned)?;
                self.open[new] = Some(fd);
            }
            ActorAction::Reap { .. } => {
                let arguments = vec![actor_name(), text("NULL"), text("0")];
                self.act("wait4", arguments, |actors| actors.reap(name), |()| zero())?;
            }
        }
        Ok(Value::Done)
    }

    /// Makes a call for an actor.
    fn act<R>(
        &mut self,
        name: &'static str,
        arguments: Vec<Argument>,
        make: impl FnOnce(&mut dyn Actors) -> Result<R, Errno>,
        returned: impl FnOnce(&R) -> ReturnValue,
    ) -> Result<R, Stop> {
        let start = self.tracer.now();
        let result = make(self.environment.actors);
        self.record(name, arguments, result.as_ref().map(returned), start);
        result.map_err(Stop::DeviceFailed)
    }

    fn note_begun(&mut self, begun: BegunWait) {
        self.waits.retain(|wait| wait.actor != begun.actor);
        self.waits.push(begun);
    }

    fn end_wait(&mut self, actor: Name) -> Result<Value, Stop> {
        let waited = self.environment.actors.end_wait(&self.names[actor]);
        let Waited::Returned { result, start, duration } = waited.map_err(Stop::DeviceFailed)?
        else {
            return Ok(Value::Blocked);
        };
        let begun = self.waits.iter().find(|wait| wait.actor == actor);
        let BegunWait { fd, max, millis, .. } = *begun.ok_or(Stop::Missing)?;
        let max = Argument::Number(i64::try_from(max).unwrap_or(i64::MAX));
        let count = match result {
            Ok(Returned::Count(count)) => Some(count),
            _ => None,
        };
        let record = if let Some(count) = count {
            let timeout = text(&format!("{millis}ms"));
            SyscallRecord {
                name: Syscall::Recvmmsg.syscall_name(),
                call: None,
                arguments: vec![Argument::Fd(fd), max, text("0"), timeout],
                result: Ok(ReturnValue::Number(count)),
                start,
                duration,
            }
        } else {
            let events: &[EpollEvent] = match &result {
                Ok(Returned::Events(events)) => events,
                _ => &[],
            };
            let timeout = Argument::Number(millis.into());
            SyscallRecord {
                name: Syscall::EpollWait.syscall_name(),
                call: Some(Syscall::EpollWait),
                arguments: vec![Argument::Fd(fd), Argument::Events(events.into()), max, timeout],
                result: match &result {
                    Err(errno) => Err(*errno),
                    Ok(_) => Ok(ReturnValue::Number(events.len())),
                },
                start,
                duration,
            }
        };
        self.tracer.push(record);
        Ok(match result? {
            Returned::Events(events) => Value::Events(self.reported(events)),
            Returned::Count(count) => Value::Number(u64::try_from(count).unwrap_or(u64::MAX)),
        })
    }
}
