//! One connection: applies the echo state machine to a socket.
//!
//! Knows one [`Transport`] and one [`Echo`], and no other connection. It does not wait: the caller
//! does, by epoll, poll or any other means, and does what a [`Step`] says. All four trigger modes
//! are served by the same loop; [`TriggerMode`] defines where they differ.

mod compact;
mod peek;
mod splice;
mod timeout;

use core::ops::ControlFlow;
use core::time::Duration;

use super::buffer_total::Buffers;
use super::bulk::PipeNumber;
use super::config::{Bulk, CloseReason, StreamConfig, StreamStats};
use super::streak::{Streak, large_bytes};
use super::transport::Transport;
use super::trigger_mode::TriggerMode;
use crate::echo::{Echo, State, Want};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{ConnectionDecision, Shutdown, StopReason};
use crate::reactor::{Received, Sent};
use crate::server::HAS_OPTIONS;
use compact::{Rounded, hash_unsent, truncated_millis};

/// A connection of an echo server. It owns no descriptor, and no memory but that of its write
/// buffer.
///
/// [`StreamServer`](super::StreamServer) serves its connections with this; so can a program that
/// waits in another way.
#[derive(Debug)]
// In this order an enum around it needs no byte more: the machine, near the end, has values to
// spare.
#[repr(C)]
pub struct Connection {
    /// Time of the last activity in milliseconds, wrapping. Maintained only with an idle timeout.
    last_active_millis: u32,
    /// Length of the send queue at the last check, hashed by [`hash_unsent`]; 0 for empty, or for
    /// no check since the last activity.
    unsent: u8,
    flags: u8,
    /// Whether it streams, while that is being learned.
    streak: Streak,
    /// The pipe with its [external](Echo::external_bytes) bytes, while there are any.
    pipe: Option<PipeNumber>,
    echo: Echo,
}

/// Flag of a connection: its socket is a Unix socket.
const IS_UNIX: u8 = 1;
/// Flag of a connection: it is being closed for its inactivity.
const IDLE_TIMED_OUT: u8 = 1 << 1;
/// Flag of a connection: the server drains. Data that has arrived is echoed, and nothing after
/// that.
const IS_DRAINING: u8 = 1 << 2;
/// Flag of a connection: it streams, and its bytes are moved by splice(2), if they can. Always set
/// while external bytes wait.
const IS_STREAMING: u8 = 1 << 3;

/// Flag of a connection: bytes stay in its receive queue, because there is no room to send and none
/// to keep them. What it waits for is room to send.
const IS_HELD: u8 = 1 << 4;
/// Flag of a connection: its external bytes have been sent, and are to be removed from its receive
/// queue.
const IS_UNCONSUMED: u8 = 1 << 5;
/// Flags with which an event is not served by a first read.
const UNUSUAL: u8 = IS_DRAINING | IS_STREAMING | IS_HELD | IS_UNCONSUMED;

/// Result of serving a connection once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Something was done, and the connection waits for more.
    Advanced,
    /// There was nothing to do.
    Spurious,
    /// It is to be closed.
    Close(CloseReason),
}

/// What [`Connection::on_ready`] did, and what it leaves to the caller.
#[must_use = "a connection may have to be closed, called again, or given a deadline"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// What was done.
    pub progress: Progress,
    /// Work is left that the kernel does not report again: call again with this, after other
    /// connections.
    pub requeue: Option<Ready>,
    /// This side was shut down: a deadline is due in [`StreamConfig::linger_timeout`].
    pub lingers: bool,
    /// Bytes received.
    pub received_bytes: usize,
}

impl Step {
    const fn new(progress: Progress) -> Self {
        Self { progress, requeue: None, lingers: false, received_bytes: 0 }
    }

    /// A message of so many bytes was echoed whole.
    #[inline]
    pub(super) const fn echoed(received_bytes: usize) -> Self {
        Self { received_bytes, ..Self::new(Progress::Advanced) }
    }
}

/// Result of one read, after what was received has been sent back as far as possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadStep {
    /// So many bytes were received and dealt with (sent, or discarded when closing), and no more is
    /// to be read now: the socket is empty, or the kernel reports the rest.
    Done(usize),
    /// So many bytes were received. More may be there, or not all of them could be sent.
    Bytes(usize),
    /// So many bytes were received, and sending them back failed.
    Failed(usize, Errno),
    /// There was nothing.
    WouldBlock,
    /// There was something, and no room for it: neither to send nor to keep it.
    Held,
    /// The peer has half-closed.
    Eof,
}

/// What [`Connection::echo_once`] did.
pub(super) enum FirstRead {
    /// A message of so many bytes was received and sent back whole, and there is nothing left to
    /// do.
    Echoed(usize),
    /// Anything else: the result of this event's first read, if there was one.
    Other(Option<Result<ReadStep, Errno>>),
}

/// What [`Connection::on_timeout`] decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutStep {
    /// It is active, or its peer still reads: the next deadline is due in this time.
    Wait(Duration),
    /// It was inactive for too long, and begins to close: call
    /// [`on_ready`](Connection::on_ready).
    BeginClose,
    /// It is to be closed.
    Close(CloseReason),
}

/// How much may be read, and kept.
#[derive(Clone, Copy)]
struct Memory {
    /// Whether a read may bring more than may be kept.
    is_scarce: bool,
    /// How much may be read in this event.
    budget_bytes: usize,
    /// How much may be kept for this connection.
    keep_bytes_max: usize,
}

impl Connection {
    /// A connection that was just accepted; `is_unix` for a Unix socket. `now` matters only with
    /// an idle timeout. Cost: O(1).
    #[must_use]
    pub const fn new(is_unix: bool, now: Instant) -> Self {
        Self {
            echo: Echo::new(),
            last_active_millis: truncated_millis(now, Rounded::Up),
            unsent: 0,
            flags: if is_unix { IS_UNIX } else { 0 },
            streak: Streak::new(),
            pipe: None,
        }
    }

    /// A connection of a server, whose `config` decides whether it streams from the first byte on.
    /// Cost: O(1).
    pub(super) fn accepted(is_unix: bool, now: Instant, config: &StreamConfig) -> Self {
        let mut connection = Self::new(is_unix, now);
        connection.set(IS_STREAMING, config.bulk == Bulk::Splice);
        connection
    }

    #[inline]
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, is_set: bool) {
        self.flags = if is_set { self.flags | flag } else { self.flags & !flag };
    }

    /// Whether its bytes are moved by splice(2), if they can: there is no first read then.
    /// Cost: O(1).
    #[inline]
    pub(super) const fn is_streaming(&self) -> bool {
        HAS_OPTIONS && self.has(IS_STREAMING)
    }

    /// The number of the pipe that holds bytes of this connection; the pool's. Cost: O(1).
    pub(super) fn pipe_mut(&mut self) -> &mut Option<PipeNumber> {
        &mut self.pipe
    }

    /// The interest to wait for. Cost: O(1).
    ///
    /// Level-triggered it is never both: nothing is read while the write buffer holds data.
    #[must_use]
    pub fn interest(&self, trigger: Trigger) -> Interest {
        self.mode(trigger).interest(self.awaited())
    }

    /// Whether it is being closed for its inactivity. Cost: O(1).
    #[must_use]
    pub const fn has_idle_timed_out(&self) -> bool {
        self.has(IDLE_TIMED_OUT)
    }

    /// Bytes received and not yet sent: the length of the write buffer, and what a pipe holds.
    /// Cost: O(1).
    #[inline]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        if self.has(IS_UNCONSUMED) { self.echo.pending().len() } else { self.echo.unsent_bytes() }
    }

    /// Bytes of memory that it keeps for its peer: that of the write buffer, and what a pipe holds.
    /// Cost: O(1).
    #[inline]
    pub(super) fn kept_bytes(&self) -> usize {
        if self.echo.is_flushed() {
            return 0;
        }
        self.buffered_bytes() - self.echo.pending().len() + self.echo.write_buffer_capacity()
    }

    /// What it waits for: what the machine wants, or room to send.
    fn awaited(&self) -> Want {
        match self.echo.want() {
            Want::Read if self.has(IS_HELD) => Want::Write,
            want => want,
        }
    }

    #[inline]
    const fn mode(&self, trigger: Trigger) -> TriggerMode {
        TriggerMode { trigger, is_unix: self.has(IS_UNIX) }
    }

    /// Tells the kernel that the connection is served because of `ready`.
    #[inline]
    fn explain_event<T: Transport>(&self, transport: &mut T, ready: Ready) {
        let unsent_bytes = self.buffered_bytes();
        transport.on_decision(ConnectionDecision::Event { ready, unsent_bytes });
    }

    /// Tells the kernel that what is buffered is lost.
    fn explain_discard<T: Transport>(&self, transport: &mut T) {
        let bytes = self.buffered_bytes();
        if bytes > 0 {
            transport.on_decision(ConnectionDecision::Discarded { bytes });
        }
    }

    /// Begins to drain: data that has arrived is echoed, then the connection closes. The caller
    /// calls [`on_ready`](Self::on_ready) next. Returns whether to cancel the deadline of the idle
    /// timeout; that of a connection which is closing already stays. Cost: O(1).
    #[must_use = "from here on a drain timeout applies, and no idle timeout"]
    pub fn begin_drain(&mut self) -> bool {
        self.set(IS_DRAINING, true);
        self.echo.state() != State::Closing
    }

    /// Performs what the state machine wants until the socket would block or the budget is spent.
    /// At most `buf.len()` bytes are received at once, and buffered for a peer that does not read;
    /// the first time even if that is more than the budget. Cost: O(budget + buf).
    ///
    /// # Panics
    /// `buf` is empty, with a [`Socket`](super::Socket).
    #[inline(always)]
    pub fn on_ready<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Step {
        let below = large_bytes(config).min(buf.len());
        let first = match self.echo_once(transport, ready, buf, below, config, stats) {
            FirstRead::Echoed(bytes) => return Step::echoed(bytes),
            FirstRead::Other(first) => first,
        };
        let buffers = Buffers { recv: buf, keep_bytes_max: usize::MAX };
        self.on_ready_after(first, transport, ready, buffers, config, stats)
    }

    /// The usual case, and nothing else: nothing is buffered, and one read brings one message,
    /// of less than `below` bytes, which is sent back whole. After anything else the caller
    /// continues with [`on_ready_after`](Self::on_ready_after). Cost: two system calls, three where
    /// only a read tells that there is nothing more.
    ///
    /// `below` is [`large_bytes`] of the configuration, and at most the length of `buf`.
    #[inline(always)]
    pub(super) fn echo_once<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        below: usize,
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> FirstRead {
        let is_usual = self.echo.is_idle() && !self.has(UNUSUAL) && ready.is_readable();
        if !is_usual {
            return self.without_first_read(transport, ready);
        }
        transport.on_decision(ConnectionDecision::Event { ready, unsent_bytes: 0 });
        match self.read_and_echo(transport, ready, buf, below, config, stats) {
            Ok(ReadStep::Done(count)) => FirstRead::Echoed(count),
            // All of it was sent, and only another read can tell whether there is more.
            Ok(ReadStep::Bytes(count)) if count < below && self.echo.is_idle() => {
                self.echo_again(count, transport, ready, buf, config, stats)
            }
            first => FirstRead::Other(Some(first)),
        }
    }

    /// Reads once more, after `before` bytes that were sent back whole. Mostly there is nothing.
    #[inline(never)]
    fn echo_again<T: Transport>(
        &mut self,
        before: usize,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> FirstRead {
        // Of a read that is cut by the budget it is not known whether it was short.
        if config.budget_bytes.saturating_sub(before) < buf.len() {
            return FirstRead::Other(Some(Ok(ReadStep::Bytes(before))));
        }
        let below = self.mode(config.trigger).over_below(buf.len());
        let both = match self.read_and_echo(transport, ready, buf, below, config, stats) {
            Ok(ReadStep::WouldBlock) => return FirstRead::Echoed(before),
            // Not done: the first read would have been, too.
            Ok(ReadStep::Done(count) | ReadStep::Bytes(count)) => ReadStep::Bytes(before + count),
            Ok(ReadStep::Failed(count, errno)) => ReadStep::Failed(before + count, errno),
            // The machine knows of the end.
            Ok(ReadStep::Eof | ReadStep::Held) => ReadStep::Bytes(before),
            Err(errno) => ReadStep::Failed(before, errno),
        };
        FirstRead::Other(Some(Ok(both)))
    }

    /// As [`echo_once`](Self::echo_once) where a first read is not possible. Cost: O(1).
    #[inline]
    pub(super) fn without_first_read<T: Transport>(
        &self,
        transport: &mut T,
        ready: Ready,
    ) -> FirstRead {
        self.explain_event(transport, ready);
        FirstRead::Other(None)
    }

    /// Continues after a `first` read, if there was one.
    #[inline(always)]
    pub(super) fn on_ready_after<T: Transport>(
        &mut self,
        first: Option<Result<ReadStep, Errno>>,
        transport: &mut T,
        ready: Ready,
        buffers: Buffers<'_>,
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Step {
        let mut step = Step::new(Progress::Spurious);
        let is_over = match first {
            // A large read is not over for `echo_once`, but may be.
            Some(Ok(ReadStep::Bytes(count)))
                if self.echo.want() == Want::Read && {
                    let mode = self.mode(config.trigger);
                    mode.read_is_over(ready, count, mode.over_below(buffers.recv.len()))
                } =>
            {
                let why = StopReason::ShortRead;
                transport.on_decision(ConnectionDecision::ReadingStopped { why, bytes: count });
                self.after_read(Ok(ReadStep::Done(count)), &mut step).map(|flow| flow.is_break())
            }
            Some(read) => self.after_read(read, &mut step).map(|flow| flow.is_break()),
            None => Ok(self.is_irrelevant(ready, config)),
        };
        let result = match is_over {
            Ok(true) => Ok(()),
            Ok(false) => self.pump(transport, ready, buffers, config, stats, &mut step),
            Err(errno) => Err(errno),
        };
        if HAS_OPTIONS && config.bulk != Bulk::Copy {
            self.learn(step.received_bytes, transport, config);
        }
        match result {
            Ok(()) => {}
            // Interrupted repeatedly: not an error of the connection, and the work remains.
            Err(errno) if errno.is_interrupted() => {
                step.requeue = Some(ready | Ready::WRITABLE);
                step.progress = Progress::Advanced;
            }
            Err(errno) => {
                self.explain_discard(transport);
                self.echo.connection_lost();
                step.progress = Progress::Close(CloseReason::Error(errno));
                return step;
            }
        }
        if self.echo.want() == Want::Close {
            step.progress = Progress::Close(if self.has_idle_timed_out() {
                CloseReason::IdleTimeout
            } else {
                CloseReason::PeerClosed
            });
        }
        step
    }

    /// Learns from an event that brought `bytes` whether the connection streams. It cannot stop
    /// while external bytes wait.
    #[inline(never)]
    fn learn<T: Transport>(&mut self, bytes: usize, transport: &mut T, config: &StreamConfig) {
        let was_streaming = self.has(IS_STREAMING);
        let is_streaming = was_streaming;
        let is_fixed = is_streaming && config.bulk == Bulk::Splice;
        if bytes > 0 && !is_fixed && self.echo.external_bytes() == 0 {
            let is_large = bytes >= large_bytes(config);
            let is_streaming = self.streak.record(is_streaming, is_large);
            self.set(IS_STREAMING, is_streaming);
            if is_streaming != was_streaming {
                transport.on_decision(ConnectionDecision::Streams { is_streaming });
            }
        }
    }

    /// Room to write matters only when the write buffer holds data; and while it does, an edge
    /// without `WRITABLE` means that the send queue is still full.
    fn is_irrelevant(&self, ready: Ready, config: &StreamConfig) -> bool {
        match self.awaited() {
            Want::Read => ready == Ready::WRITABLE,
            Want::Write => {
                !(self.mode(config.trigger).kernel_repeats()
                    || ready.is_writable()
                    || ready.is_hup()
                    || ready.is_error())
            }
            _ => false,
        }
    }

    /// Accounts for a read. Breaks when there is nothing more to do.
    fn after_read(
        &mut self,
        read: Result<ReadStep, Errno>,
        step: &mut Step,
    ) -> Result<ControlFlow<()>, Errno> {
        let read = read?;
        match read {
            ReadStep::Done(count) | ReadStep::Bytes(count) => step.received_bytes += count,
            ReadStep::Failed(count, errno) => {
                step.received_bytes += count;
                return Err(errno);
            }
            ReadStep::Eof => {}
            // Only now is it known that no unread, unanswered data is left.
            ReadStep::WouldBlock if self.begin_close_if_draining() => {}
            ReadStep::WouldBlock | ReadStep::Held => return Ok(ControlFlow::Break(())),
        }
        step.progress = Progress::Advanced;
        let is_over = matches!(read, ReadStep::Done(_)) && !self.has(IS_DRAINING);
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Does what the state machine wants.
    #[inline(always)]
    fn pump<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buffers: Buffers<'_>,
        config: &StreamConfig,
        stats: &mut StreamStats,
        step: &mut Step,
    ) -> Result<(), Errno> {
        let mode = self.mode(config.trigger);
        let is_scarce = buffers.are_scarce();
        let Buffers { recv: buf, keep_bytes_max } = buffers;
        loop {
            match self.echo.want() {
                Want::Close => return Ok(()),
                // Until EAGAIN, in every mode: after a short send alone no edge is certain to
                // follow, and a peer that reads may have made room.
                Want::Write => match self.send_waiting(transport, buf, stats)? {
                    Sent::WouldBlock => return Ok(()),
                    // No socket does that; it would be asked again and again.
                    Sent::Bytes(0) => return Err(Errno::EIO),
                    Sent::Bytes(_) if self.buffered_bytes() == 0 => {
                        transport.on_decision(ConnectionDecision::Flushed);
                    }
                    Sent::Bytes(_) => {}
                },
                Want::Shutdown => {
                    transport.shutdown(Shutdown::Write)?;
                    transport.on_decision(ConnectionDecision::HalfClosed);
                    self.echo.write_shut_down();
                    self.unsent = hash_unsent(transport.unsent_bytes());
                    step.lingers = true;
                }
                Want::Read | Want::Discard => {
                    let budget_bytes = config.budget_bytes.saturating_sub(step.received_bytes);
                    if budget_bytes == 0 {
                        transport.on_decision(ConnectionDecision::ReadingStopped {
                            why: StopReason::BudgetSpent,
                            bytes: step.received_bytes,
                        });
                        // In edge mode the kernel does not report the rest again. While draining,
                        // the end of the data is awaited, and no mode reports that.
                        if !mode.kernel_repeats() || self.has(IS_DRAINING) {
                            // Whatever the event was: reading is what is left.
                            step.requeue = Some(ready | Ready::READABLE);
                        }
                        return Ok(());
                    }
                    let room = buf.len().min(budget_bytes);
                    let done = if is_scarce || self.is_streaming() || self.has(IS_HELD) {
                        let memory = Memory { is_scarce, budget_bytes, keep_bytes_max };
                        self.read_otherwise(transport, ready, buf, memory, mode, stats)?
                    } else {
                        None
                    };
                    let read = match done {
                        Some(read) => Ok(read),
                        None => {
                            let below = mode.over_below(room);
                            let Some(room) = buf.get_mut(..room) else { return Err(Errno::EIO) };
                            self.read_and_echo(transport, ready, room, below, config, stats)
                        }
                    };
                    if self.after_read(read, step)?.is_break() {
                        return Ok(());
                    }
                }
            }
            step.progress = Progress::Advanced;
        }
    }

    /// Reads in another way than [`read_and_echo`](Self::read_and_echo), if it is to: while memory
    /// is scarce, and of a stream.
    #[inline(never)]
    fn read_otherwise<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        memory: Memory,
        mode: TriggerMode,
        stats: &mut StreamStats,
    ) -> Result<Option<ReadStep>, Errno> {
        let Memory { is_scarce, budget_bytes, keep_bytes_max } = memory;
        let done = if self.echo.want() == Want::Discard {
            None
        } else if is_scarce {
            let room = buf.len().min(budget_bytes);
            let Some(room) = buf.get_mut(..room) else { return Err(Errno::EIO) };
            Some(self.peek_and_echo(transport, ready, room, mode, stats)?)
        } else if self.is_streaming() {
            let bytes_max = budget_bytes.min(keep_bytes_max);
            self.splice_and_echo(transport, bytes_max, buf, mode, stats)?
        } else {
            None
        };
        self.set(IS_HELD, done == Some(ReadStep::Held));
        Ok(done)
    }

    /// Reads once, and echoes what has been read; what the socket does not take is buffered. A read
    /// of less than `below` bytes may be the last of this event
    /// ([`TriggerMode::read_is_over`]).
    #[inline(always)]
    fn read_and_echo<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        room: &mut [u8],
        below: usize,
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Result<ReadStep, Errno> {
        let count = match transport.recv(room)? {
            Received::Bytes(count) => count,
            Received::WouldBlock => {
                let why = StopReason::WouldBlock;
                transport.on_decision(ConnectionDecision::ReadingStopped { why, bytes: 0 });
                return Ok(ReadStep::WouldBlock);
            }
            Received::Eof => {
                let unsent_bytes = self.buffered_bytes();
                transport.on_decision(ConnectionDecision::ReceivedEof { unsent_bytes });
                self.echo.received_eof();
                return Ok(ReadStep::Eof);
            }
        };
        // No kernel returns more than fits.
        let Some(bytes) = room.get(..count) else { return Err(Errno::EIO) };
        stats.bytes_in += count as u64;
        let mut sent = 0;
        if self.echo.state() == State::Open {
            stats.echoes += 1;
            match transport.send(bytes) {
                Ok(Sent::Bytes(count)) => {
                    sent = count;
                    stats.bytes_out += count as u64;
                }
                Ok(Sent::WouldBlock) => {}
                // The bytes have been read: after an interruption they must be buffered.
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) => return Ok(ReadStep::Failed(count, errno)),
            }
        }
        if sent < count {
            transport.on_decision(ConnectionDecision::Buffered { bytes: count - sent });
            if self.keep_rest(bytes, sent)? {
                return Ok(ReadStep::Bytes(count));
            }
        }
        let mode = self.mode(config.trigger);
        debug_assert!(below <= room.len() || mode.kernel_repeats(), "short is less than the room");
        if mode.read_is_over(ready, count, below) {
            let why = if mode.kernel_repeats() {
                StopReason::KernelRepeats
            } else {
                StopReason::ShortRead
            };
            transport.on_decision(ConnectionDecision::ReadingStopped { why, bytes: count });
            return Ok(ReadStep::Done(count));
        }
        Ok(ReadStep::Bytes(count))
    }

    /// Buffers what was received and not sent, or discards it. A read happens only when the write
    /// buffer is empty, so that it always fits. Returns whether anything is buffered.
    #[inline(never)]
    fn keep_rest(&mut self, bytes: &[u8], sent: usize) -> Result<bool, Errno> {
        self.echo.received(bytes, sent, bytes.len()).map_err(|_| Errno::ENOBUFS)?;
        Ok(!self.echo.pending().is_empty())
    }

    /// Begins to close if draining. Returns whether it did.
    fn begin_close_if_draining(&mut self) -> bool {
        let stops = self.has(IS_DRAINING) && self.echo.state() == State::Open;
        if stops {
            self.echo.begin_close();
        }
        stops
    }
}
