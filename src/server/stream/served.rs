//! What serving a connection needs of its server, and what it leaves to it: a pipe, a deadline, the
//! requeue list, a changed interest, an event for the caller.
//!
//! Knows one connection and its registration.

use alloc::collections::VecDeque;

use super::buffer_total::{BufferTotal, Buffers};
use super::bulk::{BulkSocket, PipePool};
use super::config::{CloseReason, ServerEvent, StreamConfig, StreamStats};
use super::connection::{Connection, Progress, ReadStep, Step};
use super::transport::{Socket, Transport as _};
use crate::errno::Errno;
use crate::event::Ready;
use crate::kernel::{ConnectionDecision, Kernel};
use crate::reactor::Io;
use crate::server::HAS_OPTIONS;

/// Events kept until they are taken; while the queue is full, new ones are dropped.
const EVENTS_MAX: usize = 1 << 16;

/// What serving a connection needs of its server, besides the reactor.
pub(super) struct Shared<'a> {
    pub(super) config: &'a StreamConfig,
    pub(super) buf: &'a mut [u8],
    pub(super) total: &'a mut BufferTotal,
    pub(super) pipes: &'a mut PipePool,
    pub(super) stats: &'a mut StreamStats,
    pub(super) events: &'a mut VecDeque<ServerEvent>,
}

/// Continues with an event of a connection, after its `first` read, if there was one. Never
/// inlined: its values would take registers of the loop of whole echoes.
#[inline(never)]
pub(super) fn continue_event<K: Kernel>(
    first: Option<Result<ReadStep, Errno>>,
    connection: &mut Connection,
    mut io: Io<'_, K>,
    ready: Ready,
    shared: Shared<'_>,
) -> Progress {
    let Shared { config, buf, total, pipes, stats, events } = shared;
    // Before a first read nothing is kept.
    let kept_bytes = if first.is_some() { 0 } else { connection.kept_bytes() };
    let buffers = Buffers { recv: buf, keep_bytes_max: total.room_beside(kept_bytes) };
    let step = if connection.is_streaming() {
        serve_stream(connection, &mut io, ready, buffers, config, pipes, stats)
    } else {
        connection.on_ready_after(first, &mut Socket::of(&mut io), ready, buffers, config, stats)
    };
    let kept_after = connection.kept_bytes();
    if kept_after != kept_bytes {
        total.replace(kept_bytes, kept_after);
    }
    finish(step, connection, io, ready, config, events)
}

/// Serves a connection that streams.
#[inline(never)]
fn serve_stream<K: Kernel>(
    connection: &mut Connection,
    io: &mut Io<'_, K>,
    ready: Ready,
    buffers: Buffers<'_>,
    config: &StreamConfig,
    pipes: &mut PipePool,
    stats: &mut StreamStats,
) -> Step {
    let pipe = connection.pipe_mut().take();
    let mut socket = BulkSocket::new(Socket::of(io), pipes, pipe);
    let step = connection.on_ready_after(None, &mut socket, ready, buffers, config, stats);
    *connection.pipe_mut() = socket.finish();
    step
}

/// What a step of a connection leaves to its server.
#[inline(never)]
pub(super) fn finish<K: Kernel>(
    step: Step,
    connection: &mut Connection,
    mut io: Io<'_, K>,
    ready: Ready,
    config: &StreamConfig,
    events: &mut VecDeque<ServerEvent>,
) -> Progress {
    let progress = apply(step, connection, &mut io, ready, config);
    if progress == Progress::Spurious {
        explain(&mut io, ConnectionDecision::Spurious { ready });
    }
    if config.idle_timeout.is_some() && progress != Progress::Spurious {
        connection.record_activity(io.now());
    }
    if HAS_OPTIONS && config.emit_events && step.received_bytes > 0 {
        let bytes = step.received_bytes;
        push_event(events, ServerEvent::Received { token: io.token(), bytes });
    }
    progress
}

/// Does what a step of a connection leaves to its reactor. The interest is registered only when it
/// has changed: no system call in steady level- and edge-triggered operation; one-shot is re-armed
/// each time.
fn apply<K: Kernel>(
    step: Step,
    connection: &Connection,
    io: &mut Io<'_, K>,
    ready: Ready,
    config: &StreamConfig,
) -> Progress {
    let is_oneshot = config.trigger.is_oneshot();
    if (step.lingers || step.requeue.is_some())
        && let Err(errno) = arm(step, io, config)
    {
        return Progress::Close(CloseReason::Error(errno));
    }
    let interest = connection.interest(config.trigger);
    if matches!(step.progress, Progress::Close(_))
        || !is_oneshot && io.is_registered_for(interest, config.trigger)
    {
        return step.progress;
    }
    if !io.is_registered_for(interest, config.trigger) {
        explain(io, ConnectionDecision::InterestChanged { interest });
    }
    match io.modify(interest, config.trigger).map_err(Errno::from) {
        Ok(()) => step.progress,
        Err(errno) if errno.is_interrupted() => {
            let requeued = io.try_requeue(ready);
            requeued.map_or_else(
                |errno| Progress::Close(CloseReason::Error(errno)),
                |()| Progress::Advanced,
            )
        }
        Err(errno) => Progress::Close(CloseReason::Error(errno)),
    }
}

/// Sets the deadline and the place in the requeue list that a step asks for.
#[inline(never)]
fn arm<K: Kernel>(step: Step, io: &mut Io<'_, K>, config: &StreamConfig) -> Result<(), Errno> {
    if step.lingers {
        let deadline = io.now() + config.linger_timeout;
        io.try_set_deadline(deadline)?;
    }
    if let Some(ready) = step.requeue {
        io.try_requeue(ready)?;
        explain(io, ConnectionDecision::Requeued { ready });
    }
    Ok(())
}

/// Tells the kernel of a decision about the connection of `io`.
#[inline]
pub(super) fn explain<K: Kernel>(io: &mut Io<'_, K>, what: ConnectionDecision) {
    Socket::of(io).on_decision(what);
}

/// Keeps an event for the caller; while the queue is full, or without memory, new ones are dropped.
pub(super) fn push_event(events: &mut VecDeque<ServerEvent>, event: ServerEvent) {
    if !HAS_OPTIONS || events.len() == events.capacity() && events.try_reserve(1).is_err() {
        return;
    }
    // The capacity is asked, so that no code for a failed allocation is left.
    if events.len() < EVENTS_MAX.min(events.capacity()) {
        events.push_back(event);
    }
}
