//! One client on a non-blocking socket: as much of the conversation as can be had now.
//!
//! Knows one descriptor and one [`Echo`]; whether and when it is worth a try, somebody else
//! finds out, and how they find out is what the models differ in.

use std::time::Duration;

use epollite::echo::{Echo, State, Want};
use epollite::server::stream::Left;
use epollite::{Errno, Fd, Instant, Interest, Shut};

use super::patience::{LOOKS, SendQueue};
use super::stage::Stage;
use crate::meter::Meter;

/// How long a client that *we* end has to end its side, so that no reset destroys what is still
/// on its way.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes read from one client before the others have their turn, when more than one read is
/// made at all.
const BUDGET_BYTES: usize = 1 << 20;

/// A client.
pub(super) struct Guest {
    /// What it is called, if that is told.
    pub(super) name: String,
    /// What it has sent.
    pub(super) bytes: u64,
    echo: Echo,
    /// When patience with it ends, if ever: it is silent, or was asked to leave.
    pub(super) deadline: Option<Instant>,
    idle: Option<Duration>,
    is_idled: bool,
    is_leaving: bool,
    queue: SendQueue,
}

/// What a deadline that has passed means for a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    /// It still takes what was sent to it: not silent.
    Reads,
    /// It was silent for too long: it has been asked to leave.
    Idle,
    /// It is to be closed.
    Over(Left),
}

/// What serving it came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Served {
    Useful,
    Spurious,
    Over(Left),
}

impl Guest {
    pub(super) fn new(name: String, idle: Option<Duration>, now: Instant) -> Self {
        let deadline = idle.map(|idle| now + idle);
        let echo = Echo::new();
        Self {
            name,
            bytes: 0,
            echo,
            deadline,
            idle,
            is_idled: false,
            is_leaving: false,
            queue: SendQueue::default(),
        }
    }

    /// What it waits for. Never both: while it owes, nothing more is read.
    pub(super) fn interest(&self) -> Interest {
        match self.echo.want() {
            Want::Write => Interest::WRITABLE,
            _ => Interest::READABLE,
        }
    }

    /// Does what can be done now: one read and the answer to it, or some more of an answer.
    pub(super) fn serve<K: Meter>(
        &mut self,
        fd: &Fd,
        stage: &mut Stage<K>,
        buf: &mut [u8],
    ) -> Served {
        match self.converse(fd, stage, buf) {
            Err(errno) => Served::Over(Left::Failed(errno)),
            Ok(_) if self.echo.want() == Want::Close => {
                Served::Over(if self.is_idled { Left::Idle } else { Left::Closed })
            }
            Ok(false) => Served::Spurious,
            Ok(true) => {
                if let Some(idle) = self.idle.filter(|_| !self.is_leaving && !self.is_idled) {
                    self.deadline = Some(stage.kernel.now() + idle);
                    self.queue = SendQueue::default();
                }
                Served::Useful
            }
        }
    }

    /// Returns whether anything was done.
    fn converse<K: Meter>(
        &mut self,
        fd: &Fd,
        stage: &mut Stage<K>,
        buf: &mut [u8],
    ) -> Result<bool, Errno> {
        let (mut did, mut budget_bytes) = (false, BUDGET_BYTES);
        loop {
            match self.echo.want() {
                Want::Close => return Ok(true),
                Want::Write => match later(stage.kernel.send(fd, self.echo.owed()))? {
                    None => return Ok(did),
                    Some(count) => {
                        self.echo.paid(count);
                        stage.stats.bytes_out += count as u64;
                    }
                },
                Want::Shutdown => {
                    stage.kernel.shutdown(fd, Shut::Write)?;
                    self.echo.shut();
                    self.queue.is_stuck(stage.kernel.ioctl_outq(fd).unwrap_or(0), 1);
                    self.deadline = Some(stage.kernel.now() + LINGER);
                }
                Want::Read | Want::Discard if budget_bytes == 0 => return Ok(did),
                Want::Read | Want::Discard => match later(stage.kernel.recv(fd, buf))? {
                    None if self.is_leaving && self.echo.state() == State::Open => self.echo.stop(),
                    None => return Ok(did),
                    Some(0) => self.echo.ended(),
                    Some(count) => {
                        budget_bytes = budget_bytes.saturating_sub(count);
                        self.answer(fd, stage, &buf[..count])?;
                        if self.echo.owed().is_empty() && !self.is_leaving {
                            return Ok(true);
                        }
                    }
                },
            }
            did = true;
        }
    }

    /// Sends what has just been read straight back; what is not taken is owed.
    fn answer<K: Meter>(
        &mut self,
        fd: &Fd,
        stage: &mut Stage<K>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        stage.stats.bytes_in += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        let mut sent = 0;
        if self.echo.state() == State::Open {
            stage.stats.echoes += 1;
            sent = later(stage.kernel.send(fd, bytes))?.unwrap_or(0);
            stage.stats.bytes_out += sent as u64;
        }
        // We read only when nothing is owed: it is never more than was read at once.
        self.echo.received(bytes, sent, bytes.len()).map_err(|_| Errno::ENOBUFS)
    }

    /// We want to leave: from here on what has arrived is answered, and no more.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
        self.deadline = None;
    }

    /// Its deadline has passed, and what it had sent by then has been read.
    pub(super) fn time_passed<K: Meter>(&mut self, fd: &Fd, kernel: &mut K) -> Passed {
        let (span, looks) = match self.idle {
            Some(idle) if !self.is_idled && !self.is_leaving => (SendQueue::pause(idle), LOOKS),
            _ => (LINGER, 1),
        };
        let unsent_bytes = kernel.ioctl_outq(fd).unwrap_or(0) + self.echo.owed().len();
        if !self.queue.is_stuck(unsent_bytes, looks) {
            self.deadline = Some(kernel.now() + span);
            return Passed::Reads;
        }
        self.deadline = None;
        let is_first = !self.is_idled && !self.is_leaving;
        self.is_idled |= is_first;
        if is_first && self.echo.want() == Want::Read {
            self.echo.stop();
            return Passed::Idle;
        }
        self.echo.expired();
        Passed::Over(if self.is_idled { Left::Idle } else { Left::Expired })
    }
}

/// "Not now" is a fact about now, not a failure.
pub(super) fn later(result: Result<usize, Errno>) -> Result<Option<usize>, Errno> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(errno) if errno.would_block() || errno.interrupted() => Ok(None),
        Err(errno) => Err(errno),
    }
}
