//! One connection: applies the echo state machine to a socket.
//!
//! Knows one [`Transport`] and one [`Echo`], and no other connection. It does not wait: the caller
//! does, by epoll, poll or any other means, and does what a [`Step`] says. All four trigger modes
//! are served by the same loop; [`TriggerMode`] defines where they differ.

use core::ops::ControlFlow;
use core::time::Duration;

use super::config::{CloseReason, StreamConfig, StreamStats};
use super::trigger_mode::TriggerMode;
use crate::echo::{Echo, State, Want};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{Fd, Kernel, Shutdown};
use crate::reactor::retry::retry_on_eintr;
use crate::reactor::{Io, Received, Sent, io};

/// A socket, as a [`Connection`] uses it. It never blocks.
pub trait Transport {
    /// Receives bytes of the stream. `buf` is not empty. Cost: one system call.
    ///
    /// # Errors
    /// [`Errno::EINTR`]: interrupted; the work remains. Any other ends the connection.
    ///
    /// Man page: recv(2)
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno>;

    /// Sends bytes, or as many of them as fit the send buffer. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: send(2)
    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno>;

    /// Shuts down one direction or both. Cost: one system call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// Man page: shutdown(2)
    fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno>;

    /// The amount of data in the send queue: for TCP what the peer's kernel has not acknowledged,
    /// for a Unix socket what the peer has not read; 0 where that is not known. Only changes
    /// matter: they show that the peer reads. Cost: one system call.
    ///
    /// Man page: tcp(7) and unix(7), `SIOCOUTQ`
    fn unsent_bytes(&mut self) -> usize;
}

/// A socket of a kernel. Interrupted calls are repeated, up to 16 calls.
#[derive(Debug)]
pub struct Socket<'a, K: Kernel> {
    /// The kernel.
    pub kernel: &'a mut K,
    /// The descriptor.
    pub fd: &'a Fd,
}

impl<'a, K: Kernel> Socket<'a, K> {
    #[inline]
    pub(super) fn of(io: &'a mut Io<'_, K>) -> Self {
        Self { kernel: io.kernel, fd: &io.watched.fd }
    }
}

impl<K: Kernel> Transport for Socket<'_, K> {
    #[inline]
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        io::recv(self.kernel, self.fd, buf)
    }

    #[inline]
    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        io::send(self.kernel, self.fd, buf)
    }

    fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        retry_on_eintr(|| self.kernel.shutdown(self.fd, how))
    }

    fn unsent_bytes(&mut self) -> usize {
        retry_on_eintr(|| self.kernel.ioctl_outq(self.fd)).unwrap_or(0)
    }
}

/// A connection of an echo server. It owns no descriptor, and no memory but that of its write
/// buffer.
///
/// [`StreamServer`](super::StreamServer) serves its connections with this; so can a program that
/// waits in another way.
#[derive(Debug)]
pub struct Connection {
    echo: Echo,
    /// Time of the last activity in milliseconds, wrapping. Maintained only with an idle timeout.
    last_active_millis: u32,
    /// Length of the send queue at the last check, hashed by [`hash_unsent`]; 0 for empty, or for
    /// no check since the last activity.
    unsent: u8,
    is_unix: bool,
    /// Whether it is being closed for its inactivity.
    idle_timed_out: bool,
    /// Whether the server drains: data that has arrived is echoed, and nothing after that.
    is_draining: bool,
}

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
    /// A message was received and sent back whole, and nothing was buffered before: there is
    /// nothing to requeue, and [`interest`](Connection::interest) is what it was.
    pub is_echo: bool,
    /// Bytes received.
    pub received_bytes: usize,
}

impl Step {
    const fn new(progress: Progress) -> Self {
        Self { progress, requeue: None, lingers: false, is_echo: false, received_bytes: 0 }
    }
}

/// Result of one read, after what was received has been sent back as far as possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReadStep {
    /// So many bytes were received and sent, and the kernel reports those that come next.
    Done(usize),
    /// So many bytes were received. More may be there, or not all of them could be sent.
    Bytes(usize),
    /// So many bytes were received, and sending them back failed.
    Failed(usize, Errno),
    /// There was nothing.
    WouldBlock,
    /// The peer has half-closed.
    Eof,
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

impl Connection {
    /// A connection that was just accepted; `is_unix` for a Unix socket. `now` matters only with
    /// an idle timeout. Cost: O(1).
    #[must_use]
    pub const fn new(is_unix: bool, now: Instant) -> Self {
        Self {
            echo: Echo::new(),
            last_active_millis: truncated_millis(now, Rounded::Up),
            unsent: 0,
            is_unix,
            idle_timed_out: false,
            is_draining: false,
        }
    }

    /// The interest to wait for. Cost: O(1).
    ///
    /// Level-triggered it is never both: nothing is read while the write buffer holds data.
    #[must_use]
    pub fn interest(&self, trigger: Trigger) -> Interest {
        self.mode(trigger).interest(self.echo.want())
    }

    /// Whether it is being closed for its inactivity. Cost: O(1).
    #[must_use]
    pub const fn has_idle_timed_out(&self) -> bool {
        self.idle_timed_out
    }

    /// The length of the write buffer. Cost: O(1).
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.echo.pending().len()
    }

    const fn mode(&self, trigger: Trigger) -> TriggerMode {
        TriggerMode { trigger, is_unix: self.is_unix }
    }

    /// Begins to drain: data that has arrived is echoed, then the connection closes. The caller
    /// calls [`on_ready`](Self::on_ready) next. Returns whether to cancel the deadline of the idle
    /// timeout; that of a connection which is closing already stays. Cost: O(1).
    #[must_use = "from here on a drain timeout applies, and no idle timeout"]
    pub fn begin_drain(&mut self) -> bool {
        self.is_draining = true;
        self.echo.state() != State::Closing
    }

    /// Performs what the state machine wants until the socket would block or the budget is spent.
    /// At most `buf.len()` bytes are received at once, and buffered for a peer that does not read;
    /// the first time even if that is more than the budget. Cost: O(budget + buf).
    ///
    /// # Panics
    /// `buf` is empty, with a [`Socket`].
    #[inline(always)]
    pub fn on_ready<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Step {
        // Usual: nothing is buffered, and one read brings one message, which is sent back whole.
        let is_usual = self.echo.is_idle() && !self.is_draining && ready.is_readable();
        let first = if is_usual {
            let first = self.read_and_echo(transport, ready, buf, config, stats);
            if let Ok(ReadStep::Done(received_bytes)) = first {
                let progress = Progress::Advanced;
                return Step { received_bytes, is_echo: true, ..Step::new(progress) };
            }
            Some(first)
        } else {
            None
        };
        self.on_ready_after(first, transport, ready, buf, config, stats)
    }

    /// Continues after a `first` read, if there was one.
    #[inline(never)]
    fn on_ready_after<T: Transport>(
        &mut self,
        first: Option<Result<ReadStep, Errno>>,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Step {
        let mut step = Step::new(Progress::Spurious);
        let is_over = match first {
            Some(read) => self.after_read(read, &mut step).map(|flow| flow.is_break()),
            None => Ok(self.is_irrelevant(ready, config)),
        };
        let result = match is_over {
            Ok(true) => Ok(()),
            Ok(false) => self.pump(transport, ready, buf, config, stats, &mut step),
            Err(errno) => Err(errno),
        };
        match result {
            Ok(()) => {}
            // Interrupted repeatedly: not an error of the connection, and the work remains.
            Err(errno) if errno.is_interrupted() => {
                step.requeue = Some(ready | Ready::WRITABLE);
                step.progress = Progress::Advanced;
            }
            Err(errno) => {
                self.echo.connection_lost();
                step.progress = Progress::Close(CloseReason::Error(errno));
                return step;
            }
        }
        if self.echo.want() == Want::Close {
            step.progress = Progress::Close(if self.idle_timed_out {
                CloseReason::IdleTimeout
            } else {
                CloseReason::PeerClosed
            });
        }
        step
    }

    /// Room to write matters only when the write buffer holds data; and while it does, an edge
    /// without `WRITABLE` means that the send queue is still full.
    fn is_irrelevant(&self, ready: Ready, config: &StreamConfig) -> bool {
        match self.echo.want() {
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
            ReadStep::WouldBlock => return Ok(ControlFlow::Break(())),
        }
        step.progress = Progress::Advanced;
        let is_over = matches!(read, ReadStep::Done(_)) && !self.is_draining;
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Does what the state machine wants.
    fn pump<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
        step: &mut Step,
    ) -> Result<(), Errno> {
        let mode = self.mode(config.trigger);
        loop {
            match self.echo.want() {
                Want::Close => return Ok(()),
                Want::Write => match transport.send(self.echo.pending())? {
                    Sent::WouldBlock => return Ok(()),
                    Sent::Bytes(count) => {
                        self.echo.sent(count);
                        stats.bytes_out += count as u64;
                    }
                },
                Want::Shutdown => {
                    transport.shutdown(Shutdown::Write)?;
                    self.echo.write_shut_down();
                    self.unsent = hash_unsent(transport.unsent_bytes());
                    step.lingers = true;
                }
                Want::Read | Want::Discard => {
                    let budget_bytes = config.budget_bytes.saturating_sub(step.received_bytes);
                    if budget_bytes == 0 {
                        // In edge mode the kernel does not report the rest again. While draining,
                        // the end of the data is awaited, and no mode reports that.
                        if !mode.kernel_repeats() || self.is_draining {
                            // Whatever the event was: reading is what is left.
                            step.requeue = Some(ready | Ready::READABLE);
                        }
                        return Ok(());
                    }
                    let room = buf.len().min(budget_bytes);
                    let room = &mut buf[..room];
                    let read = self.read_and_echo(transport, ready, room, config, stats);
                    if self.after_read(read, step)?.is_break() {
                        return Ok(());
                    }
                }
            }
            step.progress = Progress::Advanced;
        }
    }

    /// Reads once, and echoes what has been read; what the socket does not take is buffered.
    #[inline(always)]
    fn read_and_echo<T: Transport>(
        &mut self,
        transport: &mut T,
        ready: Ready,
        room: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Result<ReadStep, Errno> {
        let count = match transport.recv(room)? {
            Received::Bytes(count) => count,
            Received::WouldBlock => return Ok(ReadStep::WouldBlock),
            Received::Eof => {
                self.echo.received_eof();
                return Ok(ReadStep::Eof);
            }
        };
        let bytes = &room[..count];
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
            self.keep_rest(bytes, sent)?;
            if !self.echo.pending().is_empty() {
                return Ok(ReadStep::Bytes(count));
            }
        }
        let mode = self.mode(config.trigger);
        if mode.kernel_repeats() || mode.read_drained(ready, count, room.len()) {
            return Ok(ReadStep::Done(count));
        }
        Ok(ReadStep::Bytes(count))
    }

    /// Buffers what was received and not sent, or discards it. A read happens only when the write
    /// buffer is empty, so that it always fits.
    #[inline(never)]
    fn keep_rest(&mut self, bytes: &[u8], sent: usize) -> Result<(), Errno> {
        self.echo.received(bytes, sent, bytes.len()).map_err(|_| Errno::ENOBUFS)
    }

    /// Begins to close if draining. Returns whether it did.
    fn begin_close_if_draining(&mut self) -> bool {
        let stops = self.is_draining && self.echo.state() == State::Open;
        if stops {
            self.echo.begin_close();
        }
        stops
    }

    /// Records activity, in either direction, for the idle timeout. To be called after a step that
    /// was not [`Spurious`](Progress::Spurious), if there is an idle timeout. Cost: O(1).
    pub fn record_activity(&mut self, now: Instant) {
        self.last_active_millis = truncated_millis(now, Rounded::Up);
        if self.echo.state() == State::Open {
            self.unsent = 0;
        }
    }

    /// Whether the deadline that has passed is the timeout itself, not just a check. If so, call
    /// [`on_ready`](Self::on_ready) before [`on_timeout`](Self::on_timeout): data that arrived in
    /// time may not have been reported yet. Cost: O(1).
    #[must_use]
    pub fn is_due(&self, now: Instant, config: &StreamConfig) -> bool {
        let is_silent = |idle: Duration| u128::from(self.silent_millis(now)) >= idle.as_millis();
        self.echo.state() == State::Closing || config.idle_timeout.is_none_or(is_silent)
    }

    /// The deadline has passed, and everything that had arrived by `now` has been read: decides
    /// what is next. After the idle timeout the connection first begins to close, unless the peer
    /// does not read its data. Cost: at most one system call.
    ///
    /// That the peer reads is visible in the send queue only: Linux reports `EPOLLOUT` when a
    /// third of it is free, which may be megabytes. So while data is left there the queue is
    /// checked four times per idle timeout, and each change counts as activity; the first check
    /// counts too, since the previous length is not known.
    pub fn on_timeout<T: Transport>(
        &mut self,
        transport: &mut T,
        now: Instant,
        config: &StreamConfig,
    ) -> TimeoutStep {
        let Some(idle) = config.idle_timeout.filter(|_| self.echo.state() != State::Closing) else {
            return self.on_linger_timeout(transport, config);
        };
        let idle_millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut silent_millis = self.silent_millis(now);
        let mut check_millis = idle_millis;
        if silent_millis > 0 {
            let unsent = transport.unsent_bytes().saturating_add(self.echo.pending().len());
            let unsent = hash_unsent(unsent);
            if unsent != self.unsent {
                self.record_activity(now);
                silent_millis = 0;
            }
            self.unsent = unsent;
            if unsent != 0 {
                check_millis = (idle_millis / UNSENT_CHECKS_PER_IDLE).max(1);
            }
        }
        if silent_millis < idle_millis {
            let wait_millis = (idle_millis - silent_millis).min(check_millis);
            return TimeoutStep::Wait(Duration::from_millis(wait_millis));
        }
        self.idle_timed_out = true;
        if self.echo.want() == Want::Write {
            self.echo.timed_out();
            return TimeoutStep::Close(CloseReason::IdleTimeout);
        }
        self.echo.begin_close();
        TimeoutStep::BeginClose
    }

    /// This side has half-closed, and the peer has not closed in time. The connection stays open
    /// as long as the peer reads what was sent.
    fn on_linger_timeout<T: Transport>(
        &mut self,
        transport: &mut T,
        config: &StreamConfig,
    ) -> TimeoutStep {
        let unsent = hash_unsent(transport.unsent_bytes());
        if self.echo.state() == State::Closing && unsent != 0 && unsent != self.unsent {
            self.unsent = unsent;
            return TimeoutStep::Wait(config.linger_timeout);
        }
        self.echo.timed_out();
        TimeoutStep::Close(if self.idle_timed_out {
            CloseReason::IdleTimeout
        } else {
            CloseReason::DrainTimeout
        })
    }

    /// How long it has been inactive at `now`, which may be before its last activity: data that
    /// was read late had arrived in time.
    fn silent_millis(&self, now: Instant) -> u64 {
        /// More than any idle timeout, with as much room for activity later than `now`.
        const FUTURE_MILLIS: u32 = 3 << 30;
        let millis = truncated_millis(now, Rounded::Down).wrapping_sub(self.last_active_millis);
        if millis < FUTURE_MILLIS { u64::from(millis) } else { 0 }
    }
}

/// How often per idle timeout the send queue of an inactive connection is checked.
const UNSENT_CHECKS_PER_IDLE: u64 = 4;

/// Hashes a byte count to 8 bits: 0 for 0, and two other counts differ 254 times in 255. Missing
/// a change now and then is harmless: a connection is closed after four equal checks in a row.
const fn hash_unsent(bytes: usize) -> u8 {
    /// 2^64 divided by the golden ratio: spreads neighbours and multiples over the high bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    if bytes == 0 {
        return 0;
    }
    let high = (bytes as u64).wrapping_mul(SPREAD) >> 56;
    if high == 0 { 1 } else { high as u8 }
}

/// Milliseconds in 32 bits: they wrap after 49 days, and only differences are used.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn truncated_millis(now: Instant, rounded: Rounded) -> u32 {
    match rounded {
        Rounded::Down => now.as_millis() as u32,
        Rounded::Up => now.as_nanos().div_ceil(1_000_000) as u32,
    }
}

/// Activity is rounded up and checks are rounded down, so that no idle timeout ends too early.
#[derive(Clone, Copy)]
enum Rounded {
    Down,
    Up,
}
