//! One connection: applies the echo state machine to a socket.
//!
//! Knows one [`Io`] and one [`Echo`], and no other connection. All four trigger modes are served
//! by the same loop; [`TriggerMode`] defines where they differ.

use core::time::Duration;

use super::config::{CloseReason, StreamConfig, StreamStats};
use crate::echo::{Echo, State, Want};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{Kernel, Shutdown};
use crate::reactor::{Io, Received, Sent};

/// A connection's state: what an idle one costs besides its slot.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) echo: Echo,
    /// Time of the last activity in milliseconds, wrapping. Maintained only with an idle timeout.
    pub(super) last_active_millis: u32,
    /// Length of the send queue at the last check, hashed by [`hash_unsent`]; 0 for empty, or for
    /// no check since the last activity.
    unsent: u8,
    /// Whether it is a Unix socket.
    pub(super) is_unix: bool,
    /// Whether it is being closed for its inactivity.
    pub(super) idle_timed_out: bool,
    /// Whether the server drains: data that has arrived is echoed, and nothing after that.
    pub(super) is_draining: bool,
}

/// Result of serving a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Something was done, and the connection waits for more.
    Advanced,
    /// There was nothing to do.
    Spurious,
    /// It is to be closed.
    Close(CloseReason),
}

/// How the trigger changes what has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct TriggerMode {
    pub(super) trigger: Trigger,
    pub(super) is_unix: bool,
}

impl TriggerMode {
    /// Whether the kernel reports unread data again: level-triggered by itself, one-shot when
    /// re-armed. In pure edge-triggered mode it does not.
    const fn kernel_repeats(self) -> bool {
        !matches!(self.trigger, Trigger::Edge)
    }

    /// Whether this read has emptied the socket, so that the `recv` that would return `EAGAIN`
    /// can be omitted. See [`Ready::short_read_means_empty`]; a Unix socket also returns short
    /// reads where descriptors were passed.
    const fn read_drained(self, ready: Ready, count: usize, room: usize) -> bool {
        count < room && !self.is_unix && ready.short_read_means_empty()
    }

    /// The interest to register when the state machine wants `want`.
    ///
    /// * Level-triggered and one-shot: only what is wanted, or the kernel reports the rest
    ///   endlessly.
    /// * Edge-triggered TCP: everything, once, and no further epoll_ctl.
    /// * Edge-triggered Unix: each read of the peer is an edge of `WRITABLE`, so that is
    ///   registered only while the write buffer holds data.
    pub(super) fn interest(self, want: Want) -> Interest {
        let edge = Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY;
        match (self.kernel_repeats(), want) {
            (true, Want::Write) => Interest::WRITABLE,
            (true, _) => Interest::READABLE,
            (false, want) if self.is_unix && want != Want::Write => edge,
            (false, _) => edge | Interest::WRITABLE,
        }
    }
}

impl Connection {
    pub(super) const fn new(is_unix: bool, last_active_millis: u32) -> Self {
        let (idle_timed_out, is_draining) = (false, false);
        Self {
            echo: Echo::new(),
            last_active_millis,
            unsent: 0,
            is_unix,
            idle_timed_out,
            is_draining,
        }
    }

    /// Performs what the state machine wants until the socket would block or the budget is
    /// spent; then updates the interest. Cost: O(budget), at most one epoll_ctl.
    pub(super) fn on_ready<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        ready: Ready,
        buf: &mut [u8],
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Progress {
        let mode = TriggerMode { trigger: config.trigger, is_unix: self.is_unix };
        let progressed = match self.pump(io, ready, buf, mode, config, stats) {
            Ok(progressed) => progressed,
            // Interrupted repeatedly: not an error of the connection, and the work remains.
            Err(errno) if errno.is_interrupted() => {
                io.requeue(ready | Ready::WRITABLE);
                true
            }
            Err(errno) => {
                self.echo.connection_lost();
                return Progress::Close(CloseReason::Error(errno));
            }
        };
        if self.echo.want() == Want::Close {
            return Progress::Close(if self.idle_timed_out {
                CloseReason::IdleTimeout
            } else {
                CloseReason::Closed
            });
        }
        match self.update_interest(io, mode) {
            Ok(()) if progressed => Progress::Advanced,
            Ok(()) => Progress::Spurious,
            Err(errno) if errno.is_interrupted() => {
                io.requeue(ready);
                Progress::Advanced
            }
            Err(errno) => Progress::Close(CloseReason::Error(errno)),
        }
    }

    /// Returns whether anything was done.
    fn pump<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        ready: Ready,
        buf: &mut [u8],
        mode: TriggerMode,
        config: &StreamConfig,
        stats: &mut StreamStats,
    ) -> Result<bool, Errno> {
        // Room to write matters only when the write buffer holds data; and while it does, an
        // edge without `WRITABLE` means that the send queue is still full.
        let is_irrelevant = match self.echo.want() {
            Want::Read => ready == Ready::WRITABLE,
            Want::Write => {
                !(mode.kernel_repeats()
                    || ready.is_writable()
                    || ready.is_hup()
                    || ready.is_error())
            }
            _ => false,
        };
        if is_irrelevant {
            return Ok(false);
        }
        let mut budget_bytes = config.budget_bytes;
        let mut progressed = false;
        loop {
            match self.echo.want() {
                Want::Close => return Ok(true),
                Want::Write => match io.send(self.echo.pending())? {
                    Sent::WouldBlock => return Ok(progressed),
                    Sent::Bytes(count) => {
                        self.echo.sent(count);
                        stats.bytes_out += count as u64;
                    }
                },
                Want::Shutdown => {
                    io.shutdown(Shutdown::Write)?;
                    self.echo.write_shut_down();
                    self.unsent = hash_unsent(unsent_bytes(io));
                    let deadline = io.now() + config.linger_timeout;
                    io.set_deadline(deadline);
                }
                Want::Read | Want::Discard if budget_bytes == 0 => {
                    // The kernel does not report the rest again; nor, while draining, its end.
                    if !mode.kernel_repeats() || self.is_draining {
                        io.requeue(ready);
                    }
                    return Ok(progressed);
                }
                Want::Read | Want::Discard => {
                    let room = buf.len().min(budget_bytes);
                    let count = match io.recv(&mut buf[..room])? {
                        // Only now is it known that no unread, unanswered data is left.
                        Received::WouldBlock if self.begin_close_if_draining() => {
                            progressed = true;
                            continue;
                        }
                        Received::WouldBlock => return Ok(progressed),
                        Received::Eof => {
                            self.echo.received_eof();
                            progressed = true;
                            continue;
                        }
                        Received::Bytes(count) => count,
                    };
                    budget_bytes -= count;
                    self.echo_back(io, &buf[..count], buf.len(), stats)?;
                    let is_flushed = self.echo.pending().is_empty();
                    let socket_drained =
                        mode.kernel_repeats() || mode.read_drained(ready, count, room);
                    if is_flushed && socket_drained && !self.is_draining {
                        return Ok(true);
                    }
                }
            }
            progressed = true;
        }
    }

    /// Begins to close if draining. Returns whether it did.
    fn begin_close_if_draining(&mut self) -> bool {
        let stops = self.is_draining && self.echo.state() == State::Open;
        if stops {
            self.echo.begin_close();
        }
        stops
    }

    /// Echoes what has just been read; what the socket does not take is buffered.
    #[inline]
    fn echo_back<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        bytes: &[u8],
        buffer_max_bytes: usize,
        stats: &mut StreamStats,
    ) -> Result<(), Errno> {
        stats.bytes_in += bytes.len() as u64;
        let mut sent = 0;
        if self.echo.state() == State::Open {
            stats.echoes += 1;
            match io.send(bytes) {
                Ok(Sent::Bytes(count)) => {
                    sent = count;
                    stats.bytes_out += count as u64;
                }
                Ok(Sent::WouldBlock) => {}
                // The bytes have been read: whatever the send returns, they must be buffered.
                Err(errno) if errno.is_interrupted() => {}
                Err(errno) => return Err(errno),
            }
        }
        // A read happens only when the write buffer is empty, and reads no more than this bound.
        self.echo.received(bytes, sent, buffer_max_bytes).map_err(|_| Errno::ENOBUFS)
    }

    /// Updates the registered interest when it has changed. No system call in steady level- and
    /// edge-triggered operation; one-shot is re-armed each time.
    fn update_interest<K: Kernel>(
        &self,
        io: &mut Io<'_, K>,
        mode: TriggerMode,
    ) -> Result<(), Errno> {
        let interest = mode.interest(self.echo.want());
        if !mode.trigger.is_oneshot() && io.is_registered_for(interest, mode.trigger) {
            return Ok(());
        }
        io.modify(interest, mode.trigger).map_err(Errno::from)
    }

    /// Records activity, in either direction, for the idle timeout.
    pub(super) fn record_activity(&mut self, now: Instant) {
        self.last_active_millis = truncated_millis(now, Rounded::Up);
        if self.echo.state() == State::Open {
            self.unsent = 0;
        }
    }

    /// Whether the deadline that has passed is the timeout itself, not just a check.
    pub(super) fn is_due(&self, now: Instant, config: &StreamConfig) -> bool {
        let is_silent = |idle: Duration| u128::from(self.silent_millis(now)) >= idle.as_millis();
        self.echo.state() == State::Closing || config.idle_timeout.is_none_or(is_silent)
    }

    /// The deadline has passed, and everything that had arrived by `now` has been read. `Some`
    /// when the connection is to be closed; otherwise the deadline is set again. After the idle
    /// timeout the connection first begins to close, unless the peer does not read its data.
    ///
    /// That the peer reads is visible in the send queue only: Linux reports `EPOLLOUT` when a
    /// third of it is free, which may be megabytes. So while data is left there the queue is
    /// checked four times per idle timeout, and each change counts as activity; the first check
    /// counts too, since the previous length is not known.
    pub(super) fn on_timeout<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        now: Instant,
        config: &StreamConfig,
    ) -> Option<CloseReason> {
        let Some(idle) = config.idle_timeout.filter(|_| self.echo.state() != State::Closing) else {
            return self.on_linger_timeout(io, now, config);
        };
        let idle_millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut silent_millis = self.silent_millis(now);
        let mut check_millis = idle_millis;
        if silent_millis > 0 {
            let unsent = hash_unsent(unsent_bytes(io).saturating_add(self.echo.pending().len()));
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
            io.set_deadline(now + Duration::from_millis(wait_millis));
            return None;
        }
        self.idle_timed_out = true;
        if self.echo.want() == Want::Write {
            self.echo.timed_out();
            return Some(CloseReason::IdleTimeout);
        }
        self.echo.begin_close();
        None
    }

    /// This side has half-closed, and the peer has not closed in time. The connection stays open
    /// as long as the peer reads what was sent.
    fn on_linger_timeout<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        now: Instant,
        config: &StreamConfig,
    ) -> Option<CloseReason> {
        let unsent = hash_unsent(unsent_bytes(io));
        if self.echo.state() == State::Closing && unsent != 0 && unsent != self.unsent {
            self.unsent = unsent;
            io.set_deadline(now + config.linger_timeout);
            return None;
        }
        self.echo.timed_out();
        Some(if self.idle_timed_out { CloseReason::IdleTimeout } else { CloseReason::DrainTimeout })
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

/// The length of the send queue; 0 where the kernel does not report it.
fn unsent_bytes<K: Kernel>(io: &mut Io<'_, K>) -> usize {
    io.syscall(|kernel, fd| kernel.ioctl_outq(fd)).unwrap_or(0)
}

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
pub(super) const fn truncated_millis(now: Instant, rounded: Rounded) -> u32 {
    match rounded {
        Rounded::Down => now.as_millis() as u32,
        Rounded::Up => now.as_nanos().div_ceil(1_000_000) as u32,
    }
}

/// Activity is rounded up and checks are rounded down, so that no idle timeout ends too early.
#[derive(Clone, Copy)]
pub(super) enum Rounded {
    Down,
    Up,
}
