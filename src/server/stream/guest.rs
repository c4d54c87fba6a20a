//! One connection: where the verbs below and the data above meet.
//!
//! Knows one [`Io`] and one [`Echo`], and no other connection. All four trigger modes are
//! served by the same loop; where they differ is said in one place, [`Mode`].

use core::time::Duration;

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
    /// What was left in the send queue at the last look, as [`hash_unsent`] has it; 0 for nothing, or
    /// for no look since it was last active.
    unsent: u8,
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
        let (idled, is_leaving) = (false, false);
        Self { echo: Echo::new(), active_millis, unsent: 0, local, idled, is_leaving }
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
                io.again(ready | Ready::WRITABLE);
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
        // Room to write is news only when something waits for it; and while something does, an
        // edge that says nothing of room leaves the kernel with as little as before.
        let is_for_nothing = match self.echo.want() {
            Want::Read => ready == Ready::WRITABLE,
            Want::Write => {
                !(mode.reminds() || ready.is_writable() || ready.is_hup() || ready.is_error())
            }
            _ => false,
        };
        if is_for_nothing {
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
                    self.unsent = hash_unsent(unsent_bytes(io));
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

    /// Something came or went: it is not silent.
    pub(super) fn was_active(&mut self, now: Instant) {
        self.active_millis = wrapped_millis(now, Rounded::Up);
        if self.echo.state() == State::Open {
            self.unsent = 0;
        }
    }

    /// Whether its deadline, which has passed, is for more than to look again.
    pub(super) fn is_due(&self, now: Instant, config: &Config) -> bool {
        let is_silent = |idle: Duration| u128::from(self.silent_millis(now)) >= idle.as_millis();
        self.echo.state() == State::Closing || config.idle.is_none_or(is_silent)
    }

    /// Its deadline has passed, and everything that had arrived by `now` has been read. `Some`
    /// when it is to be closed; otherwise the deadline is set anew. When silent too long it is
    /// first asked to leave, unless the peer does not read what we have for it.
    ///
    /// That the peer reads shows in the send queue only: Linux tells of room when a third of it
    /// is free, which may be megabytes. So while something is left there we look four times in an
    /// idle time, and each change counts as activity; the first look counts too, since what was
    /// there before is not known.
    pub(super) fn time_passed<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        now: Instant,
        config: &Config,
    ) -> Option<Left> {
        let Some(idle) = config.idle.filter(|_| self.echo.state() != State::Closing) else {
            return self.lingered(io, now, config);
        };
        let idle_millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut silent_millis = self.silent_millis(now);
        let mut look_millis = idle_millis;
        if silent_millis > 0 {
            let unsent = hash_unsent(unsent_bytes(io).saturating_add(self.echo.owed().len()));
            if unsent != self.unsent {
                self.was_active(now);
                silent_millis = 0;
            }
            self.unsent = unsent;
            if unsent != 0 {
                look_millis = (idle_millis / LOOKS_PER_IDLE).max(1);
            }
        }
        if silent_millis < idle_millis {
            let rest_millis = (idle_millis - silent_millis).min(look_millis);
            io.set_deadline(now + Duration::from_millis(rest_millis));
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

    /// We have shut our side, and the peer has not shut its own in time. It may go on as long as
    /// it takes what we have sent.
    fn lingered<K: Kernel>(
        &mut self,
        io: &mut Io<'_, K>,
        now: Instant,
        config: &Config,
    ) -> Option<Left> {
        let unsent = hash_unsent(unsent_bytes(io));
        if self.echo.state() == State::Closing && unsent != 0 && unsent != self.unsent {
            self.unsent = unsent;
            io.set_deadline(now + config.linger);
            return None;
        }
        self.echo.expired();
        Some(if self.idled { Left::Idle } else { Left::Expired })
    }

    /// How long it has been silent at `now`, which may lie before its last activity: what was
    /// read late had arrived in time.
    fn silent_millis(&self, now: Instant) -> u64 {
        /// More than any idle time, with as much room for times to come.
        const FUTURE_MILLIS: u32 = 3 << 30;
        let millis = wrapped_millis(now, Rounded::Down).wrapping_sub(self.active_millis);
        if millis < FUTURE_MILLIS { u64::from(millis) } else { 0 }
    }
}

/// How often in an idle time the send queue of a silent connection is looked at.
const LOOKS_PER_IDLE: u64 = 4;

/// What is left in the send queue; nothing where the kernel does not tell.
fn unsent_bytes<K: Kernel>(io: &mut Io<'_, K>) -> usize {
    io.kernel.ioctl_outq(io.fd).unwrap_or(0)
}

/// So many bytes in one: 0 for none, and of two other numbers it differs 254 times in 255. Missing
/// a change now and then is nothing, since a connection ends when four looks in a row see none.
const fn hash_unsent(bytes: usize) -> u8 {
    /// 2^64 by the golden ratio: neighbours and multiples are spread over all of the high bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    if bytes == 0 {
        return 0;
    }
    let high = (bytes as u64).wrapping_mul(SPREAD) >> 56;
    if high == 0 { 1 } else { high as u8 }
}

/// Milliseconds in 32 bits: they wrap after 49 days, and only differences are looked at.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(super) const fn wrapped_millis(now: Instant, rounded: Rounded) -> u32 {
    match rounded {
        Rounded::Down => now.millis() as u32,
        Rounded::Up => now.nanos().div_ceil(1_000_000) as u32,
    }
}

/// Activity is written down late and looked at early, so that no idle time ends too soon.
#[derive(Clone, Copy)]
pub(super) enum Rounded {
    Down,
    Up,
}
