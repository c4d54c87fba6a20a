//! The [`Reactor`]: owns descriptors with their state, waits for all of them in one place, and
//! returns events for live registrations only.
//!
//! This file does the waiting; creating a reactor is in `create.rs`, adding and removing
//! registrations in `register.rs`, operations on one registration in `io.rs`, waking from another
//! thread in `waker.rs`, polling before a wait in `polling.rs`.

use core::fmt;
use core::time::Duration;

#[cfg(feature = "alloc")]
use super::io::IoParts;
use super::io::{Io, IoShared};
use super::limits::Limits;
use super::registration::{REQUEUE_MASK, REQUEUED_BIT, Registration, pack_ready, unpack_ready};
use super::spin::{Spin, SpinPolicy};
use super::storage::{Heap, Parts, StorageOf};
use super::sweep::{STALE_WAITS_MAX, Sweep};
#[cfg(feature = "alloc")]
use super::waker::Waker;
#[cfg(feature = "alloc")]
use crate::collections::part;
use crate::collections::{Array, SlabIn, SlotQueue, TimerHeapIn};
use crate::errno::Errno;
use crate::event::{Event, Ready};
use crate::instant::Instant;
use crate::kernel::close_quietly;
use crate::kernel::{Decision, EpollEvent, Fd, Kernel};
use crate::linux::Linux;
use crate::token::Token;

/// Consecutive waits that [`Reactor::next`] repeats because a signal interrupted them, because
/// they returned too early, or because they returned stale events only and there was no
/// descriptor to sleep with. Far more than any burst of signals; bounded so that `next` returns
/// although the kernel never reports an event.
const REPEATS_MAX: u32 = 1_000;

/// How long it sleeps then. One millisecond is the shortest sleep of epoll_wait(2): it keeps a
/// stale level-triggered registration below one percent of a core, and delays others by no more.
const STALE_SLEEP_MILLIS: u32 = 1;

/// Whether there are a waker and polling. The libraries for C have no function for them, and leave
/// their code out.
const HAS_OPTIONS: bool = !cfg!(epl_staticlib);

/// The waker's value of `epoll_event.data`. No slab grows to that slot.
pub(super) const WAKER_DATA: u64 = u64::MAX;

/// Waits on many descriptors at once and owns them, each with a state of the caller's.
///
/// It is *pulled*: [`next`](Self::next) returns one event, and the loop is the caller's. No
/// callback, no boxed closure, no thread, no global. A [`Token`] identifies a registration and is
/// never reused after it has ended, so that a late event is dropped and counted
/// ([`stale_events`](Self::stale_events)), never delivered to the registration that has the same
/// descriptor number now.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use epollite::{Event, Interest, Kernel, Reactor, Received, Trigger};
/// use epollite::kernel::SocketType;
///
/// let mut reactor = Reactor::new()?;
/// let (near, far) = reactor.kernel().socketpair(SocketType::Stream)?;
/// let far = reactor.register_or_close(far, Interest::NONE, Trigger::Level, "far").unwrap();
/// let near = reactor.register_or_close(near, Interest::READABLE, Trigger::Level, "near").unwrap();
///
/// let (_, mut io) = reactor.get_mut(far).unwrap();
/// io.send(b"hello")?;
/// let Some(Event::Io { token, ready }) = reactor.next(None)? else { panic!() };
/// assert!(token == near && ready.is_readable());
///
/// let (state, mut io) = reactor.get_mut(token).unwrap();
/// let mut buf = [0; 16];
/// assert_eq!(io.recv(&mut buf)?, Received::Bytes(5));
/// assert_eq!(*state, "near");
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// Dropping it closes everything it owns.
///
/// What it holds is on the heap, or in memory of the caller's: [`in_room`](Self::in_room).
///
/// # Threads
/// It is `Send` if its states and its kernel are, and `Sync` if they are: shared, it can only be
/// looked at. Only a [`Waker`] is used while another thread waits.
///
/// # fork(2)
/// A child process shares the epoll and the open files with its parent: a registration that it
/// adds or removes is the parent's too. It may close the numbers or call exec, for which all
/// descriptors are close-on-exec, but it must not use or drop the reactor
/// ([`mem::forget`](core::mem::forget) keeps it). The parent's reactor goes on as if nothing had
/// happened. A child that wants a reactor creates its own.
///
/// # Signal handlers
/// A handler may call [`Waker::wake`](crate::reactor::Waker::wake), on a waker that it does not
/// drop: some atomics and one write(2). Nothing else of this type is async-signal-safe. A handler
/// that does nothing is not noticed: [`next`](Self::next) waits on, until its deadline. To be told
/// of a signal, register a [signalfd](crate::Kernel::signalfd), or wake.
pub struct Reactor<T, K: Kernel = Linux, S: StorageOf<T> = Heap> {
    pub(super) kernel: K,
    pub(super) shared: IoShared<S>,
    #[cfg(feature = "alloc")]
    pub(super) waker: Option<Waker>,
    pub(super) registrations: SlabIn<Registration<T>, S::Slots>,
    /// Events of the last wait; `events[cursor..len]` have not been returned yet.
    events: S::Events,
    cursor: usize,
    len: usize,
    /// How many of the requeued registrations are reported in this round, so that one that is
    /// requeued repeatedly comes after the kernel's next events.
    requeued_this_round: u32,
    /// How many deadlines may still be reported in this round, for the same reason.
    timers_this_round: usize,
    /// An unfinished sweep: the last batch was full.
    sweep: Option<Sweep>,
    has_pwait2: bool,
    pub(super) spin: SpinPolicy,
    /// How to poll before a wait, if that is wanted. A pointer, so that a program that never polls
    /// does not contain the code.
    pub(super) poll: Option<PollBeforeWait<T, K, S>>,
    stale: u64,
    /// An empty epoll, with which the reactor sleeps. Created when it is first needed.
    sleeper: Option<Fd>,
}

/// Waits as [`Reactor::epoll_wait_now`] does, and polls before.
pub(super) type PollBeforeWait<T, K, S> =
    fn(&mut Reactor<T, K, S>, Option<Duration>) -> Result<usize, Errno>;

#[cfg(feature = "alloc")]
/// What [`Reactor::serve_batch`] does after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BatchStep {
    /// It was served: passes the next one.
    Continue,
    /// It was served: returns.
    Break,
    /// It was not served: returns, and leaves it in the batch.
    Decline,
}

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// An empty reactor in `parts`, which are empty. Cost: one system call.
    pub(crate) fn in_parts(
        mut kernel: K,
        limits: Limits,
        mut parts: Parts<T, S>,
    ) -> Result<Self, Errno> {
        let epoll = Self::prepare(&mut kernel, &mut parts.events, limits)?;
        Ok(Self::with_epoll(kernel, limits, parts, epoll))
    }

    /// Makes the events of one wait, and an epoll.
    pub(crate) fn prepare(
        kernel: &mut K,
        events: &mut S::Events,
        limits: Limits,
    ) -> Result<Fd, Errno> {
        for _ in 0..limits.events_max.get() {
            events.try_push(EpollEvent::default()).map_err(|_| Errno::ENOMEM)?;
        }
        kernel.epoll_create1()
    }

    /// A reactor with the events and the epoll of [`prepare`](Self::prepare).
    #[inline(always)]
    pub(crate) fn with_epoll(kernel: K, limits: Limits, parts: Parts<T, S>, epoll: Fd) -> Self {
        Self {
            kernel,
            shared: IoShared {
                epoll,
                timers: TimerHeapIn::within(parts.deadlines, parts.positions),
                requeued: SlotQueue::new(parts.requeued),
                reported_until: Instant::ZERO,
            },
            #[cfg(feature = "alloc")]
            waker: None,
            registrations: SlabIn::within(parts.slots, limits.registrations_max),
            events: parts.events,
            cursor: 0,
            len: 0,
            requeued_this_round: 0,
            timers_this_round: 0,
            sweep: None,
            has_pwait2: true,
            spin: SpinPolicy::new(Spin::Off),
            poll: None,
            stale: 0,
            sleeper: None,
        }
    }

    /// Access to one registration: its state, and its descriptor with the operations on it; `None`
    /// for a stale token. They are borrowed separately, so that bytes held in the state can be
    /// sent. Cost: O(1).
    pub fn get_mut(&mut self, token: Token) -> Option<(&mut T, Io<'_, K, S>)> {
        let registration = self.registrations.get_mut(token)?;
        let io = Io {
            kernel: &mut self.kernel,
            watched: &mut registration.watched,
            token,
            shared: &mut self.shared,
        };
        Some((&mut registration.state, io))
    }

    /// The state and the descriptor of one registration. Cost: O(1).
    #[cfg(feature = "capi")]
    #[inline(always)]
    pub(crate) fn get(&self, token: Token) -> Option<(&T, &Fd)> {
        self.registrations.get(token).map(|it| (&it.state, &it.watched.fd))
    }

    /// Returns the next event, waiting for one until `deadline`; `None` when that has passed
    /// first, or when the kernel returned early a thousand times, without events (Linux does not).
    /// Without a deadline it waits indefinitely. Cost: at most one wait per batch of
    /// events; stale events are skipped, an interrupted wait is repeated with the time left.
    ///
    /// With a deadline that has already passed it polls without blocking. The order: the kernel's
    /// events, then [requeued](Io::requeue) registrations, merged with what the kernel reports
    /// for them, then deadlines.
    ///
    /// Neither `deadline` nor a registration's own deadline counts as passed before the kernel
    /// has reported everything that was ready at that time, however late this is called and
    /// however much there is: data that arrived in time is reported first
    /// ([`reported_until`](Self::reported_until)).
    ///
    /// Stale events never end the loop. When waits return only stale events, which takes a
    /// level-triggered registration whose descriptor was closed while a duplicate is open, the
    /// reactor sleeps for a millisecond between them.
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: interrupted a thousand times in a row. Nothing is lost: call again.
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: stale events only, a thousand
    ///   times, and epoll_create1(2) returns no descriptor to sleep with. Nothing is lost: call
    ///   again.
    ///
    /// Man page: epoll_wait(2), epoll_pwait2(2)
    #[doc(alias = "epoll_wait")]
    #[inline]
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Errno> {
        if self.has_next() || self.wait(deadline)? { Ok(self.take_next()) } else { Ok(None) }
    }

    /// Waits as [`next`](Self::next) does, when the batch is used up. Returns whether there is an
    /// event for [`try_next`](Self::try_next).
    #[inline]
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Result<bool, Errno> {
        let first = self.wait_events(deadline);
        if first.is_ok() && self.has_next() {
            return Ok(true);
        }
        self.wait_again(first, deadline)
    }

    /// Waits without a deadline if the batch is used up, and there are neither deadlines nor
    /// requeued registrations; an interrupted wait is repeated. Returns whether there is a batch.
    /// An error is not kept: the caller continues with [`wait`](Self::wait), which gets it again.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn wait_plainly(&mut self) -> bool {
        let is_plain = self.cursor == self.len
            && self.requeued_this_round == 0
            && self.shared.requeued.is_empty()
            && self.shared.timers.is_empty();
        if !is_plain {
            return false;
        }
        for _ in 0..REPEATS_MAX {
            match self.wait_events_undated() {
                // A signal without a handler interrupts a wait too: SIGCONT.
                Err(errno) if errno.is_interrupted() => {}
                result => return result.is_ok() && self.len > 0,
            }
        }
        false
    }

    /// Waits again, after a wait that has returned `result` and no event to be reported.
    #[cold]
    fn wait_again(
        &mut self,
        mut result: Result<(), Errno>,
        deadline: Option<Instant>,
    ) -> Result<bool, Errno> {
        let (mut repeats, mut stale_waits) = (0, 0);
        // The last error after which the wait was repeated.
        let mut last_error = None;
        loop {
            match result {
                Ok(())
                    if deadline.is_some_and(|deadline| deadline <= self.shared.reported_until) =>
                {
                    return Ok(false);
                }
                // Events, all of them stale.
                Ok(()) if self.len > 0 => {
                    stale_waits += 1;
                    if stale_waits > STALE_WAITS_MAX
                        && let Err(errno) = self.sleep()
                    {
                        last_error = Some(errno);
                        repeats += 1;
                    }
                }
                // The kernel returned early, without events.
                Ok(()) => repeats += 1,
                Err(errno) if errno.is_interrupted() => {
                    last_error = Some(errno);
                    repeats += 1;
                }
                Err(errno) => return Err(errno),
            }
            if repeats == REPEATS_MAX {
                return last_error.map_or(Ok(false), Err);
            }
            result = self.wait_events(deadline);
            if result.is_ok() && self.has_next() {
                return Ok(true);
            }
        }
    }

    /// Returns the next event of the last wait; never waits, makes no system call. With it a loop
    /// can tell where one round ends. Cost: O(1), and O(1) for each stale event.
    #[inline]
    pub fn try_next(&mut self) -> Option<Event> {
        if self.has_next() { self.take_next() } else { None }
    }

    /// Passes the kernel's events of the last wait to `serve`, each with its registration, which is
    /// looked up once. Ends with the batch, or before the first event that is not an ordinary one
    /// (of the waker, stale, to be merged with a requeued one) or that `serve` declines: that one
    /// is left for [`try_next`](Self::try_next). Cost: O(events), and that of `serve`.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn serve_batch(
        &mut self,
        mut serve: impl FnMut(Ready, &mut T, IoParts<'_, K, S>) -> BatchStep,
    ) {
        let mut left = part(self.events.as_slice(), self.cursor..self.len);
        while let Some((event, later)) = left.split_first() {
            let token = Token::from_bits(event.data());
            let Some(registration) = self.registrations.get_mut(token) else { break };
            if registration.watched.mask & REQUEUED_BIT != 0 {
                break;
            }
            let parts = IoParts {
                kernel: &mut self.kernel,
                watched: &mut registration.watched,
                token,
                shared: &mut self.shared,
            };
            let step = serve(Ready::from_bits(event.events()), &mut registration.state, parts);
            if step == BatchStep::Decline {
                break;
            }
            left = later;
            if step == BatchStep::Break {
                break;
            }
        }
        self.cursor = self.len - left.len();
    }

    /// Whether [`take_next`](Self::take_next) would return an event. Removes those before it that
    /// are not reported.
    #[inline(always)]
    pub(crate) fn has_next(&mut self) -> bool {
        let Some(event) = self.unreported() else { return self.has_more() };
        match self.registrations.get(Token::from_bits(event.data())) {
            // Most events are ordinary ones.
            Some(registration) if registration.watched.mask & REQUEUED_BIT == 0 => true,
            _ => self.find_next(),
        }
    }

    /// Whether anything is reported after the batch.
    #[inline(always)]
    fn has_more(&mut self) -> bool {
        (self.requeued_this_round > 0 || self.timers_this_round > 0) && self.has_late()
    }

    /// As [`has_next`](Self::has_next), for any event.
    #[inline(never)]
    fn find_next(&mut self) -> bool {
        while let Some(event) = self.unreported() {
            match self.registrations.get_mut(Token::from_bits(event.data())) {
                Some(registration) if registration.watched.mask & REQUEUED_BIT == 0 => return true,
                // It is in the requeue list and is reported from there: merge the two reports.
                Some(registration) => {
                    registration.watched.mask |= pack_ready(Ready::from_bits(event.events()));
                }
                None if event.data() == WAKER_DATA => return true,
                None => {
                    self.stale += 1;
                    self.kernel.on_decision(Decision::StaleEvent {
                        token: Token::from_bits(event.data()),
                        ready: Ready::from_bits(event.events()),
                    });
                }
            }
            self.cursor += 1;
        }
        self.has_more()
    }

    /// Whether anything is reported after the batch: requeued registrations, then deadlines.
    #[inline(never)]
    fn has_late(&mut self) -> bool {
        while self.requeued_this_round > 0 {
            let first = self.shared.requeued.first();
            let registration = first.and_then(|slot| self.registrations.at(slot));
            if registration.is_some_and(|it| it.watched.mask & REQUEUED_BIT != 0) {
                return true;
            }
            // Removed since it was requeued: that is not counted as a stale event.
            self.requeued_this_round -= 1;
            self.shared.requeued.pop();
        }
        let is_due = |deadline| deadline <= self.shared.reported_until;
        self.timers_this_round > 0 && self.shared.timers.next_deadline().is_some_and(is_due)
    }

    /// Returns the next event, after [`has_next`](Self::has_next) has found one.
    #[inline(always)]
    fn take_next(&mut self) -> Option<Event> {
        let Some(event) = self.unreported() else { return self.take_late() };
        self.cursor += 1;
        if event.data() != WAKER_DATA {
            let (token, ready) = (Token::from_bits(event.data()), event.events());
            return Some(Event::Io { token, ready: Ready::from_bits(ready) });
        }
        #[cfg(feature = "alloc")]
        if HAS_OPTIONS && let Some(waker) = &self.waker {
            waker.acknowledge();
        }
        Some(Event::Woken)
    }

    #[inline(never)]
    fn take_late(&mut self) -> Option<Event> {
        if self.requeued_this_round > 0 {
            self.requeued_this_round -= 1;
            let token = self.registrations.token_at(self.shared.requeued.pop()?)?;
            let registration = self.registrations.get_mut(token)?;
            let ready = unpack_ready(registration.watched.mask);
            registration.watched.mask &= !REQUEUE_MASK;
            return Some(Event::Io { token, ready });
        }
        self.timers_this_round = self.timers_this_round.checked_sub(1)?;
        let slot = self.shared.timers.pop_expired(self.shared.reported_until)?;
        self.registrations.token_at(slot).map(|token| Event::Timer { token })
    }

    /// The first event of the last wait that has not been returned yet.
    #[inline(always)]
    fn unreported(&self) -> Option<EpollEvent> {
        if self.cursor < self.len { self.events.as_slice().get(self.cursor).copied() } else { None }
    }

    /// Waits once, until the earliest of `deadline` and all registrations' deadlines.
    #[inline]
    fn wait_events(&mut self, deadline: Option<Instant>) -> Result<(), Errno> {
        if deadline.is_some() || !self.shared.timers.is_empty() || !self.shared.requeued.is_empty()
        {
            (self.cursor, self.len) = (0, 0);
            return self.wait_events_until(deadline);
        }
        self.wait_events_undated()
    }

    /// Waits once, without any deadline or requeued registration.
    #[inline(never)]
    fn wait_events_undated(&mut self) -> Result<(), Errno> {
        (self.cursor, self.len) = (0, 0);
        if HAS_OPTIONS && self.poll.is_some() {
            return self.wait_events_until(None);
        }
        self.sweep = None;
        self.timers_this_round = 0;
        let count = self.epoll_wait_millis(None)?;
        self.check_fits(count);
        self.len = count;
        Ok(())
    }

    #[inline(never)]
    fn wait_events_until(&mut self, deadline: Option<Instant>) -> Result<(), Errno> {
        let until = match (deadline, self.shared.timers.next_deadline()) {
            (Some(deadline), Some(timer)) => Some(deadline.min(timer)),
            (deadline, timer) => deadline.or(timer),
        };
        let started_at = until.map(|_| self.kernel.now());
        let timeout = match until.zip(started_at) {
            _ if !self.shared.requeued.is_empty() => Some(Duration::ZERO),
            Some((until, now)) => Some(until - now),
            None => None,
        };
        self.len = self.epoll_wait(timeout)?;
        self.requeued_this_round = self.shared.requeued.len();
        self.timers_this_round = self.shared.timers.len();
        match until.zip(started_at) {
            // Timed out with nothing ready. (An early return must not expire a deadline.)
            Some((until, started_at)) if self.len == 0 && self.shared.requeued.is_empty() => {
                self.sweep = None;
                self.shared.reported_until = until.min(self.kernel.now()).max(started_at);
            }
            Some((_, started_at)) => self.sweep(started_at),
            None => self.sweep = None,
        }
        Ok(())
    }

    /// Accounts for a wait begun at `started_at`. A batch that is not full holds everything that
    /// was ready; a full one may not, so the kernel must be asked again.
    fn sweep(&mut self, started_at: Instant) {
        let events = self.events.as_slice();
        if self.len < events.len() {
            self.sweep = None;
            self.shared.reported_until = started_at;
            return;
        }
        let places = self.registrations.len() as usize;
        let is_live =
            |event: &&EpollEvent| self.registrations.get(Token::from_bits(event.data())).is_some();
        let live = events.iter().filter(is_live).count();
        let sweep = self.sweep.unwrap_or(Sweep::new(started_at, places));
        self.sweep = sweep.continued(live, self.len);
        if self.sweep.is_none() {
            self.shared.reported_until = sweep.since;
        }
    }

    /// Sleeps briefly: a stale event makes a wait on the epoll itself return at once.
    ///
    /// # Errors
    /// What epoll_create1(2) or epoll_wait(2) returned: it has not slept.
    fn sleep(&mut self) -> Result<(), Errno> {
        let sleeper = match self.sleeper.take() {
            Some(sleeper) => sleeper,
            None => self.kernel.epoll_create1()?,
        };
        let sleeper = self.sleeper.insert(sleeper);
        let events = self.events.as_mut_slice();
        self.kernel.epoll_wait(sleeper, events, Some(STALE_SLEEP_MILLIS)).map(drop)
    }

    #[inline]
    fn epoll_wait(&mut self, timeout: Option<Duration>) -> Result<usize, Errno> {
        match self.poll {
            Some(poll) if HAS_OPTIONS => poll(self, timeout),
            _ => self.epoll_wait_now(timeout),
        }
    }

    #[inline]
    pub(super) fn epoll_wait_now(&mut self, timeout: Option<Duration>) -> Result<usize, Errno> {
        // No timeout and a zero timeout need no nanoseconds, and so no epoll_pwait2.
        let count = match timeout {
            Some(timeout) if !timeout.is_zero() => {
                let (epoll, events) = (&self.shared.epoll, self.events.as_mut_slice());
                wait_nanos(&mut self.kernel, epoll, events, timeout, &mut self.has_pwait2)?
            }
            _ => self.epoll_wait_millis(timeout.map(|_| 0))?,
        };
        self.check_fits(count);
        Ok(count)
    }

    #[inline(always)]
    fn epoll_wait_millis(&mut self, millis: Option<u32>) -> Result<usize, Errno> {
        self.kernel.epoll_wait(&self.shared.epoll, self.events.as_mut_slice(), millis)
    }

    #[inline(always)]
    fn check_fits(&self, count: usize) {
        assert!(
            !crate::assertions::ASSERTS || count <= self.events.as_slice().len(),
            "a kernel returned more events than fit the buffer"
        );
    }

    /// The kernel, to create and configure descriptors with. Cost: O(1).
    pub fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// The token of the registration now in `slot`: with [`slot_count`](Self::slot_count) it
    /// iterates over all of them, while they may be added and removed. Cost: O(1).
    #[must_use]
    pub fn token_at(&self, slot: u32) -> Option<Token> {
        self.registrations.token_at(slot)
    }

    /// One more than the highest slot ever used. Cost: O(1).
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.registrations.slot_count()
    }

    /// How many deadlines are set: of registrations, and timers. Cost: O(1).
    #[must_use]
    pub fn deadline_count(&self) -> usize {
        self.shared.timers.len()
    }

    /// How many registrations there are, timers included. Cost: O(1).
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.registrations.len()
    }

    /// Whether nothing is registered. Cost: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    /// How many events arrived for a registration that had already ended. Cost: O(1).
    #[must_use]
    pub const fn stale_events(&self) -> u64 {
        self.stale
    }

    /// The time that deadlines are compared with: everything ready at that time has been reported.
    /// Like libuv's `uv_now` and libev's `ev_now` it lags behind the clock: it advances when the
    /// kernel is asked, and only while there is a deadline. Cost: O(1).
    ///
    /// A handler that checks itself whether a connection was idle for too long must compare with
    /// this and not with the clock: data that arrived while the process was suspended has not
    /// been reported yet.
    #[must_use]
    pub const fn reported_until(&self) -> Instant {
        self.shared.reported_until
    }

    /// The epoll itself: readable when an event is pending, so that another reactor can wait on
    /// this one (through a [`dup`](Kernel::dup)). Cost: O(1).
    pub const fn epoll(&self) -> &Fd {
        &self.shared.epoll
    }

    /// Bytes that one registration takes. Cost: O(1).
    pub const REGISTRATION_BYTES: usize = SlabIn::<Registration<T>, S::Slots>::SLOT_BYTES;
}

/// Waits with a timeout that is not zero. One code for every kind of reactor.
fn wait_nanos<K: Kernel>(
    kernel: &mut K,
    epoll: &Fd,
    events: &mut [EpollEvent],
    timeout: Duration,
    has_pwait2: &mut bool,
) -> Result<usize, Errno> {
    if *has_pwait2 {
        match kernel.epoll_pwait2(epoll, events, Some(timeout)) {
            // ENOSYS on old kernels; EPERM in sandboxes older than the call.
            Err(Errno::ENOSYS | Errno::EPERM) => *has_pwait2 = false,
            result => return result,
        }
    }
    kernel.epoll_wait(epoll, events, Some(timeout_millis_ceil(timeout)))
}

/// Whole milliseconds, rounded up: rounded down, the last fraction of a wait would be spent
/// polling.
fn timeout_millis_ceil(timeout: Duration) -> u32 {
    let rest = timeout.subsec_nanos().div_ceil(1_000_000);
    let millis = timeout.as_secs().saturating_mul(1_000).saturating_add(rest.into());
    u32::try_from(millis).unwrap_or(u32::MAX)
}

impl<T, K: Kernel, S: StorageOf<T>> Drop for Reactor<T, K, S> {
    fn drop(&mut self) {
        for slot in 0..self.slot_count() {
            if let Some(token) = self.token_at(slot)
                && let Some(Registration { watched, .. }) = self.registrations.remove(token)
                && !watched.is_timer()
            {
                // The epoll is closed too, and with it registrations that duplicates keep alive.
                close_quietly(&mut self.kernel, watched.fd);
            }
        }
        #[cfg(feature = "alloc")]
        if HAS_OPTIONS && let Some(waker) = self.waker.take() {
            waker.close(&mut self.kernel);
        }
        if let Some(sleeper) = self.sleeper.take() {
            close_quietly(&mut self.kernel, sleeper);
        }
        // The epoll's last use: the reactor is dropped, and nothing else holds the number.
        close_quietly(&mut self.kernel, Fd::from_raw(self.shared.epoll.raw()));
    }
}

impl<T, K: Kernel, S: StorageOf<T>> fmt::Debug for Reactor<T, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("epoll", &self.shared.epoll)
            .field("registrations", &self.len())
            .field("deadlines", &self.shared.timers.len())
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "std")]
impl<T, K: Kernel, S: StorageOf<T>> std::os::fd::AsFd for Reactor<T, K, S> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.shared.epoll.as_fd()
    }
}
