//! One client on a non-blocking socket: performs as much I/O as is possible without waiting.
//!
//! Knows one descriptor and one [`Echo`]. The caller decides when to try; how it finds out that a
//! socket is ready is what the models differ in.

use std::time::Duration;

use epollite::echo::{Echo, State, Want};
use epollite::kernel::Shutdown;
use epollite::server::stream::CloseReason;
use epollite::{Errno, Fd, Instant, Interest};

use super::context::WorkerContext;
use super::send_queue::{POLLS_PER_TIMEOUT, SendQueue};
use crate::instrument::InstrumentedKernel;

/// After a close that *we* begin: how long to wait for the peer's FIN, so that no reset destroys
/// data in flight.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes read from one client before other clients are served, when more than one read is made at
/// all.
const READ_BUDGET_BYTES: usize = 1 << 20;

/// One connected client.
pub(super) struct Connection {
    /// Its name in the log; empty unless logging is verbose.
    pub(super) name: String,
    /// Bytes received from it.
    pub(super) bytes: u64,
    echo: Echo,
    /// When the current timeout (idle, linger) ends, if there is one.
    pub(super) deadline: Option<Instant>,
    idle: Option<Duration>,
    idle_timed_out: bool,
    is_draining: bool,
    queue: SendQueue,
}

/// What an expired deadline leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeoutAction {
    /// The peer still takes data from the send queue: it is not idle; the deadline is extended.
    Extend,
    /// The peer was idle for too long: the connection is being shut down.
    BeginClose,
    /// The connection is to be closed.
    Close(CloseReason),
}

/// The result of serving a connection once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Handled,
    Spurious,
    Close(CloseReason),
}

impl Connection {
    pub(super) fn new(name: String, idle: Option<Duration>, now: Instant) -> Self {
        let deadline = idle.map(|idle| now + idle);
        let echo = Echo::new();
        Self {
            name,
            bytes: 0,
            echo,
            deadline,
            idle,
            idle_timed_out: false,
            is_draining: false,
            queue: SendQueue::default(),
        }
    }

    /// The interest to wait for. Never both: nothing is read while the write buffer is not empty.
    pub(super) fn interest(&self) -> Interest {
        match self.echo.want() {
            Want::Write => Interest::WRITABLE,
            _ => Interest::READABLE,
        }
    }

    /// Does what is possible now: one read and its echo, or more of a pending write.
    pub(super) fn on_ready<K: InstrumentedKernel>(
        &mut self,
        fd: &Fd,
        context: &mut WorkerContext<K>,
        buf: &mut [u8],
    ) -> Progress {
        match self.pump(fd, context, buf) {
            Err(errno) => Progress::Close(CloseReason::Error(errno)),
            Ok(_) if self.echo.want() == Want::Close => Progress::Close(if self.idle_timed_out {
                CloseReason::IdleTimeout
            } else {
                CloseReason::Closed
            }),
            Ok(false) => Progress::Spurious,
            Ok(true) => {
                if let Some(idle) = self.idle.filter(|_| !self.is_draining && !self.idle_timed_out)
                {
                    self.deadline = Some(context.kernel.now() + idle);
                    self.queue = SendQueue::default();
                }
                Progress::Handled
            }
        }
    }

    /// Returns whether any call succeeded.
    fn pump<K: InstrumentedKernel>(
        &mut self,
        fd: &Fd,
        context: &mut WorkerContext<K>,
        buf: &mut [u8],
    ) -> Result<bool, Errno> {
        let (mut progress, mut budget_bytes) = (false, READ_BUDGET_BYTES);
        loop {
            match self.echo.want() {
                Want::Close => return Ok(true),
                Want::Write => {
                    match would_block_to_none(context.kernel.send(fd, self.echo.pending()))? {
                        None => return Ok(progress),
                        Some(count) => {
                            self.echo.sent(count);
                            context.stats.bytes_out += count as u64;
                        }
                    }
                }
                Want::Shutdown => {
                    context.kernel.shutdown(fd, Shutdown::Write)?;
                    self.echo.write_shut_down();
                    self.queue.is_stuck(context.kernel.ioctl_outq(fd).unwrap_or(0), 1);
                    self.deadline = Some(context.kernel.now() + LINGER);
                }
                Want::Read | Want::Discard if budget_bytes == 0 => return Ok(progress),
                Want::Read | Want::Discard => {
                    match would_block_to_none(context.kernel.recv(fd, buf))? {
                        None if self.is_draining && self.echo.state() == State::Open => {
                            self.echo.begin_close()
                        }
                        None => return Ok(progress),
                        Some(0) => self.echo.received_eof(),
                        Some(count) => {
                            budget_bytes = budget_bytes.saturating_sub(count);
                            self.echo_back(fd, context, &buf[..count])?;
                            if self.echo.pending().is_empty() && !self.is_draining {
                                return Ok(true);
                            }
                        }
                    }
                }
            }
            progress = true;
        }
    }

    /// Sends the bytes just read straight back; the unsent rest goes to the write buffer.
    fn echo_back<K: InstrumentedKernel>(
        &mut self,
        fd: &Fd,
        context: &mut WorkerContext<K>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        context.stats.bytes_in += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        let mut sent = 0;
        if self.echo.state() == State::Open {
            context.stats.echoes += 1;
            sent = would_block_to_none(context.kernel.send(fd, bytes))?.unwrap_or(0);
            context.stats.bytes_out += sent as u64;
        }
        // We read only with an empty write buffer: it never holds more than one read.
        self.echo.received(bytes, sent, bytes.len()).map_err(|_| Errno::ENOBUFS)
    }

    /// Begins draining: echoes the data that has already arrived, then closes.
    pub(super) fn begin_drain(&mut self) {
        self.is_draining = true;
        self.deadline = None;
    }

    /// Called when the deadline has passed and all data received by then has been read.
    pub(super) fn on_timeout<K: InstrumentedKernel>(
        &mut self,
        fd: &Fd,
        kernel: &mut K,
    ) -> TimeoutAction {
        let (span, polls) = match self.idle {
            Some(idle) if !self.idle_timed_out && !self.is_draining => {
                (SendQueue::pause(idle), POLLS_PER_TIMEOUT)
            }
            _ => (LINGER, 1),
        };
        let unsent_bytes = kernel.ioctl_outq(fd).unwrap_or(0) + self.echo.pending().len();
        if !self.queue.is_stuck(unsent_bytes, polls) {
            self.deadline = Some(kernel.now() + span);
            return TimeoutAction::Extend;
        }
        self.deadline = None;
        let is_first = !self.idle_timed_out && !self.is_draining;
        self.idle_timed_out |= is_first;
        if is_first && self.echo.want() == Want::Read {
            self.echo.begin_close();
            return TimeoutAction::BeginClose;
        }
        self.echo.timed_out();
        TimeoutAction::Close(if self.idle_timed_out {
            CloseReason::IdleTimeout
        } else {
            CloseReason::DrainTimeout
        })
    }
}

/// Maps `EAGAIN` and `EINTR` to `None`: they are outcomes, not failures.
pub(super) fn would_block_to_none(result: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(errno) if errno.is_would_block() || errno.is_interrupted() => Ok(None),
        Err(errno) => Err(errno),
    }
}
