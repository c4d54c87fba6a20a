//! One connection: where the verbs below and the data above meet.
//!
//! Knows one [`Io`] and one [`Echo`], and no other connection. All four trigger modes are
//! served by the same loop; where they differ is said in one place, [`Mode`].

use super::config::{Config, Left, Stats};
use crate::echo::{Echo, State, Want};
use crate::errno::Errno;
use crate::event::{Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{Kernel, Shut};
use crate::reactor::{Io, Received, Sent};

/// A connection's state: what an idle one costs beside its slot.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) echo: Echo,
    /// When it was last active, in milliseconds that wrap. Kept only when somebody asks.
    pub(super) active_millis: u32,
    /// Whether it is a Unix socket.
    pub(super) local: bool,
    /// Whether it was asked to leave for its silence.
    pub(super) idled: bool,
    /// Whether the server leaves: what has arrived is answered, and then no more.
    pub(super) is_leaving: bool,
}

/// What serving a connection came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Served {
    /// Something was done, and it waits for more.
    Useful,
    /// There was nothing to do.
    Spurious,
    /// It is to be closed.
    Over(Left),
}

/// How the trigger changes what has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub(super) trigger: Trigger,
    pub(super) local: bool,
}

impl Mode {
    /// Whether the kernel reminds us of what we leave behind: by repeating itself, or when we
    /// re-arm. In pure edge mode nobody does.
    const fn reminds(self) -> bool {
        !matches!(self.trigger, Trigger::Edge)
    }

    /// Whether this read has emptied the socket, so that the `recv` that would say so can be
    /// left out. See [`Ready::short_read_means_empty`]; a Unix socket also stops short where
    /// descriptors were passed.
    const fn is_drained(self, ready: Ready, count: usize, room: usize) -> bool {
        count < room && !self.local && ready.short_read_means_empty()
    }

    /// What to wait for when the conversation wants `want`.
    ///
    /// * Reminded: only what is wanted, or the kernel repeats the rest for ever.
    /// * Edge over TCP: everything, once, and never another epoll_ctl.
    /// * Edge over Unix: there each read of the peer's is an edge of `WRITABLE`, so that is
    ///   asked for only while something is owed.
    pub(super) fn interest(self, want: Want) -> Interest {
        let edge = Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY;
        match (self.reminds(), want) {
            (true, Want::Write) => Interest::WRITABLE,
            (true, _) => Interest::READABLE,
            (false, want) if self.local && want != Want::Write => edge,
            (false, _) => edge | Interest::WRITABLE,
        }
    }
}

impl Guest {
    pub(super) const fn new(local: bool, active_millis: u32) -> Self {
        Self { echo: Echo::new(), active_millis, local, idled: false, is_leaving: false }
    }

    /// Does what the conversation wants until the socket or the budget says stop; then waits
    /// for what is wanted next. Work: O(budget), at most one epoll_ctl.
    pub(super) fn serve<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        ready: Ready,
        buf: &mut [u8],
        config: &Config,
        stats: &mut Stats,
    ) -> Served {
        let mode = Mode { trigger: config.trigger, local: self.local };
        let did = match self.converse(io, ready, buf, mode, config, stats) {
            Ok(did) => did,
            // Signal upon signal: that is nobody's fault here, and what was to be done still is.
            Err(errno) if errno.interrupted() => {
                io.again(ready);
                true
            }
            Err(errno) => {
                self.echo.failed();
                return Served::Over(Left::Failed(errno));
            }
        };
        if self.echo.want() == Want::Close {
            return Served::Over(if self.idled { Left::Idle } else { Left::Closed });
        }
        match self.settle(io, mode) {
            Ok(()) if did => Served::Useful,
            Ok(()) => Served::Spurious,
            Err(errno) if errno.interrupted() => {
                io.again(ready);
                Served::Useful
            }
            Err(errno) => Served::Over(Left::Failed(errno)),
        }
    }

    /// Returns whether anything was done.
    fn converse<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        ready: Ready,
        buf: &mut [u8],
        mode: Mode,
        config: &Config,
        stats: &mut Stats,
    ) -> Result<bool, Errno> {
        // Room to write is news only to those who owe.
        if ready == Ready::WRITABLE && self.echo.want() == Want::Read {
            return Ok(false);
        }
        let mut budget_bytes = config.budget_bytes;
        let mut did = false;
        loop {
            match self.echo.want() {
                Want::Close => return Ok(true),
                Want::Write => match io.send(self.echo.owed())? {
                    Sent::Nothing => return Ok(did),
                    Sent::Bytes(count) => {
                        self.echo.paid(count);
                        stats.bytes_out += count as u64;
                    }
                },
                Want::Shutdown => {
                    io.shutdown(Shut::Write)?;
                    self.echo.shut();
                    let patience = io.kernel.now() + config.linger;
                    io.set_deadline(patience);
                }
                Want::Read | Want::Discard if budget_bytes == 0 => {
                    // Nobody reminds us of what is left; nor, when we leave, of there being none.
                    if !mode.reminds() || self.is_leaving {
                        io.again(ready);
                    }
                    return Ok(did);
                }
                Want::Read | Want::Discard => {
                    let room = buf.len().min(budget_bytes);
                    let count = match io.recv(&mut buf[..room])? {
                        // Only now is it known that nothing stands unread, and so unanswered.
                        Received::Nothing if self.stops_now() => {
                            did = true;
                            continue;
                        }
                        Received::Nothing => return Ok(did),
                        Received::End => {
                            self.echo.ended();
                            did = true;
                            continue;
                        }
                        Received::Bytes(count) => count,
                    };
                    budget_bytes -= count;
                    self.answer(io, &buf[..count], buf.len(), stats)?;
                    let is_paid = self.echo.owed().is_empty();
                    let is_enough = mode.reminds() || mode.is_drained(ready, count, room);
                    if is_paid && is_enough && !self.is_leaving {
                        return Ok(true);
                    }
                }
            }
            did = true;
        }
    }

    /// Stops the conversation, if that was waited for. Returns whether it was.
    fn stops_now(&mut self) -> bool {
        let stops = self.is_leaving && self.echo.state() == State::Open;
        if stops {
            self.echo.stop();
        }
        stops
    }

    /// Sends what has just been read straight back; what is not taken is owed.
    #[inline]
    fn answer<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        bytes: &[u8],
        owed_max_bytes: usize,
        stats: &mut Stats,
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
                Ok(Sent::Nothing) => {}
                // They have been read: whatever hinders us, they are owed.
                Err(errno) if errno.interrupted() => {}
                Err(errno) => return Err(errno),
            }
        }
        // We read only when nothing is owed, and no more than this bound: it is never crossed.
        self.echo.received(bytes, sent, owed_max_bytes).map_err(|_| Errno::ENOBUFS)
    }

    /// Tells the kernel what we wait for now, when it does not know. Nothing to do in steady
    /// level and edge mode; one-shot has to be armed again each time.
    fn settle<K: Kernel>(&self, io: &mut Io<'_, K>, mode: Mode) -> Result<(), Errno> {
        let interest = mode.interest(self.echo.want());
        if !mode.trigger.disarms() && io.watches(interest, mode.trigger) {
            return Ok(());
        }
        io.rearm(interest, mode.trigger).map_err(Errno::from)
    }

    /// Its deadline has passed. `Some` when it is to be closed now; otherwise the deadline is
    /// set anew. When silent too long it is first asked to leave, unless it owes us the
    /// reading of what we owe it.
    pub(super) fn time_passed<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        now: Instant,
        config: &Config,
    ) -> Option<Left> {
        let Some(idle) = config.idle.filter(|_| self.echo.state() != State::Closing) else {
            self.echo.expired();
            return Some(if self.idled { Left::Idle } else { Left::Expired });
        };
        let silent_millis = u64::from(wrapped_millis(now).wrapping_sub(self.active_millis));
        let idle_millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        if silent_millis < idle_millis {
            let rest = core::time::Duration::from_millis(idle_millis - silent_millis);
            io.set_deadline(now + rest);
            return None;
        }
        self.idled = true;
        if self.echo.want() == Want::Write {
            self.echo.expired();
            return Some(Left::Idle);
        }
        self.echo.stop();
        None
    }
}

/// Milliseconds in 32 bits: they wrap after 49 days, and only differences are looked at.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(super) const fn wrapped_millis(now: Instant) -> u32 {
    now.millis() as u32
}
