//! The reactor: descriptors with their state, one place to wait, and events that name only
//! the living.
//!
//! Knows a [`Kernel`] and the parts; it has never heard of a server. Here is waiting; coming
//! and going is in `register.rs`, what can be done to one registration in `source.rs`, waking
//! from another thread in `waker.rs`.

mod register;
mod source;
mod waker;

pub use register::{Reason, Refused};
pub(crate) use source::patiently;
pub use source::{Io, Received, Sent, Source};
pub use waker::Waker;

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::errno::Errno;
use crate::event::{EPOLLRDHUP, Event, Interest, Ready, Trigger, Watch};
use crate::instant::Instant;
use crate::kernel::release;
use crate::kernel::{Control, EpollEvent, Fd, Kernel};
use crate::linux::Linux;
use crate::slab::Slab;
use crate::timer::Timers;
use crate::token::Token;

/// How much a reactor may hold and how much it takes at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Registrations at once. Further ones are refused with [`Reason::Full`].
    pub registrations_max: u32,
    /// Events that one wait brings at most. More come with the next wait: the kernel hands
    /// them out in turn, so that a small number is fair and a large one is cheap.
    pub events_max: NonZeroU32,
}

impl Default for Limits {
    /// As many registrations as there are descriptors on the largest of machines, and 256
    /// events: 3 KiB, past which the call's own cost does not show any more.
    fn default() -> Self {
        Self {
            registrations_max: 1 << 30,
            events_max: const { NonZeroU32::new(256).expect("256 is not zero") },
        }
    }
}

/// Waits in a row that [`Reactor::next`] repeats because a signal interrupted them, because they
/// returned too early, or because they returned stale events only and there was no descriptor to
/// sleep with. Far more than any burst of signals; and a bound all the same, so that `next` always
/// returns.
const REPEATS_MAX: u32 = 1_000;

/// Waits in a row that may return stale events only before the reactor sleeps between them. A few
/// stale events are ordinary: a batch holds them whenever one handler closes another's descriptor.
const STALE_WAITS_MAX: u32 = 8;

/// How long it sleeps then. One millisecond is the shortest sleep of epoll_wait(2): it keeps a
/// stale level-triggered registration below one percent of a core, and delays others by no more.
const STALE_SLEEP_MILLIS: u32 = 1;

/// Events after which a look at the kernel that found its batch full again and again counts as
/// complete, although stale events may hide some registrations: more than there are descriptors
/// in any process here: reached only with very many stale registrations.
const SWEEP_EVENTS_MAX: usize = 1 << 16;

/// The registration's own bits among those of its watch: whether it stands on the list of
/// those to be reported again, and with what. The kernel has no such bits.
const STANDS_AGAIN: u32 = 1 << 27;
const AGAIN: u32 = STANDS_AGAIN | 0x3f << AGAIN_SHIFT;
const AGAIN_SHIFT: u32 = 16;

/// The waker's place in `epoll_event.data`. No slab grows to that slot.
const WAKER: u64 = u64::MAX;

/// What the slab holds for one registration.
struct Registration<T> {
    fd: Fd,
    /// What the kernel was told, and [`AGAIN`].
    watch: u32,
    state: T,
}

/// Waits on many descriptors at once and owns them, each beside a state of the user's.
///
/// It is *pulled*: [`next`](Self::next) returns one event, and the loop around it is yours.
/// No callback, nothing boxed, no thread, no global. A [`Token`] names a registration; one
/// that has ended is never named again, so that an event which comes too late ends here and
/// is counted ([`stale`](Self::stale)), never delivered to whoever has the descriptor's
/// number now.
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use epollite::{Event, Interest, Kernel, Kind, Reactor, Received, Trigger};
///
/// let mut reactor = Reactor::new()?;
/// let (near, far) = reactor.kernel().socketpair(Kind::Stream)?;
/// let far = reactor.register_or_close(far, Interest::NONE, Trigger::Level, "far").unwrap();
/// let near = reactor.register_or_close(near, Interest::READABLE, Trigger::Level, "near").unwrap();
///
/// reactor.source(far).unwrap().io.send(b"hello")?;
/// let Some(Event::Io { token, ready }) = reactor.next(None)? else { panic!() };
/// assert!(token == near && ready.is_readable());
///
/// let mut source = reactor.source(token).unwrap();
/// let mut buf = [0; 16];
/// assert_eq!(source.io.recv(&mut buf)?, Received::Bytes(5));
/// assert_eq!(*source.state, "near");
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// Dropping it closes everything it owns.
pub struct Reactor<T, K: Kernel = Linux> {
    kernel: K,
    epoll: Fd,
    waker: Option<Waker>,
    registrations: Slab<Registration<T>>,
    timers: Timers,
    /// What the last wait brought; `batch[at..len]` has not been looked at yet.
    batch: Vec<EpollEvent>,
    at: usize,
    len: usize,
    /// To be reported without the kernel's word; only the first `again_now` in this round, so
    /// that one who asks again and again stands behind what the kernel reports meanwhile.
    again: VecDeque<Token>,
    again_now: usize,
    /// How many deadlines may still be reported in this round, for the same reason.
    timers_now: usize,
    /// Whatever was ready at this time has been reported. Deadlines are judged by it.
    reported_until: Instant,
    /// An unfinished sweep: the last batch was full.
    sweep: Option<Sweep>,
    has_pwait2: bool,
    stale: u64,
    /// An epoll that watches nothing: what the reactor sleeps with. Made when it is needed.
    sleeper: Option<Fd>,
}

/// Several waits that together ask the kernel for everything that was ready at one time.
///
/// The kernel's ready list is a queue: what was reported and still is ready goes to its end. So
/// after as many events as there are registrations each of them has had its place.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    since: Instant,
    /// Registrations when it began, and the waker: whatever was ready then has one of so many
    /// places; what comes later stands behind.
    places: usize,
    /// Events of living registrations.
    living: usize,
    events: usize,
    /// Waits that returned stale events only.
    stale_waits: u32,
}

impl<T> Reactor<T> {
    /// A reactor on the real kernel. Work: one system call.
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn new() -> Result<Self, Errno> {
        Self::on(Linux)
    }
}

impl<T, K: Kernel> Reactor<T, K> {
    /// A reactor on `kernel`, with the usual limits. Work: one system call.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: out of something.
    ///
    /// Man page: epoll_create1(2)
    #[doc(alias = "epoll_create1")]
    pub fn on(kernel: K) -> Result<Self, Errno> {
        Self::with_limits(kernel, Limits::default())
    }

    /// A reactor on `kernel`, with limits of your own. Work: one system call and one
    /// allocation, 12 bytes an event.
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn with_limits(mut kernel: K, limits: Limits) -> Result<Self, Errno> {
        let epoll = kernel.epoll_create1()?;
        Ok(Self {
            kernel,
            epoll,
            waker: None,
            registrations: Slab::new(limits.registrations_max),
            timers: Timers::new(),
            batch: vec![EpollEvent::default(); limits.events_max.get() as usize],
            at: 0,
            len: 0,
            again: VecDeque::new(),
            again_now: 0,
            timers_now: 0,
            reported_until: Instant::ZERO,
            sweep: None,
            has_pwait2: true,
            stale: 0,
            sleeper: None,
        })
    }

    /// All that can be done to one registration, and its state; `None` for a stale token.
    /// Work: O(1).
    pub fn source(&mut self, token: Token) -> Option<Source<'_, T, K>> {
        let registration = self.registrations.get_mut(token)?;
        Some(Source {
            state: &mut registration.state,
            io: Io {
                kernel: &mut self.kernel,
                fd: &registration.fd,
                token,
                epoll: &self.epoll,
                watch: &mut registration.watch,
                timers: &mut self.timers,
                again: &mut self.again,
                now: self.reported_until,
            },
        })
    }

    /// The next event, waiting for one until `deadline`; `None` when that has passed first, or when
    /// the kernel has returned a thousand times before it, with nothing (Linux does not).
    /// Without a deadline it waits for ever. Work: at most one wait for each batch of events;
    /// a stale event is skipped, an interrupted wait begun anew with the time that is left.
    ///
    /// A deadline that has passed already asks and does not wait. The order: what the kernel
    /// reports, then what was to be reported [`again`](Io::again), together with what the
    /// kernel reports of it, then deadlines.
    ///
    /// Neither `deadline` nor a registration's own counts as passed before the kernel has
    /// reported everything that was ready at that time, however late this is called and however
    /// much there is: what arrived in time is reported first
    /// ([`reported_until`](Self::reported_until)).
    ///
    /// Stale events never end the loop. When waits return nothing else, which takes a
    /// level-triggered registration whose descriptor was closed while a duplicate lives, the
    /// reactor sleeps for a millisecond between them.
    ///
    /// # Errors
    /// * [`Errno::EINTR`]: interrupted a thousand times in a row. Nothing is lost: call again.
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`]: stale events only, a thousand
    ///   times, and epoll_create1(2) gives no descriptor to sleep with. Nothing is lost: call again.
    ///
    /// Man page: epoll_wait(2), epoll_pwait2(2)
    #[doc(alias = "epoll_wait")]
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, Errno> {
        let (mut repeats, mut stale_waits) = (0, 0);
        // What the kernel said last, of those after which it is asked again.
        let mut said = None;
        loop {
            if let Some(event) = self.pending() {
                return Ok(Some(event));
            }
            if repeats == REPEATS_MAX {
                return said.map_or(Ok(None), Err);
            }
            let stale = self.stale;
            match self.wait(deadline) {
                Ok(()) => {}
                Err(errno) if errno.interrupted() => {
                    said = Some(errno);
                    repeats += 1;
                    continue;
                }
                Err(errno) => return Err(errno),
            }
            if let Some(event) = self.pending() {
                return Ok(Some(event));
            }
            if deadline.is_some_and(|deadline| deadline <= self.reported_until) {
                return Ok(None);
            }
            if self.stale > stale {
                stale_waits += 1;
                if stale_waits > STALE_WAITS_MAX
                    && let Err(errno) = self.sleep()
                {
                    said = Some(errno);
                    repeats += 1;
                }
            } else {
                // A kernel that returns before its time, with nothing.
                repeats += 1;
            }
        }
    }

    /// The next event of those that the last wait brought; never waits, makes no call. With
    /// it a loop can tell where one turn ends. Work: O(1), and O(1) for each stale event.
    #[inline]
    pub fn pending(&mut self) -> Option<Event> {
        let is_over = self.at == self.len && self.again_now == 0 && self.timers_now == 0;
        if is_over { None } else { self.pop() }
    }

    fn pop(&mut self) -> Option<Event> {
        while self.at < self.len {
            let event = self.batch[self.at];
            self.at += 1;
            let token = Token::from_bits(event.data());
            if let Some(registration) = self.registrations.get_mut(token) {
                let ready = Ready::from_bits(event.events());
                if registration.watch & STANDS_AGAIN == 0 {
                    return Some(Event::Io { token, ready });
                }
                // Its turn comes in this round anyway, and one turn is enough for both.
                registration.watch |= again_bits(ready);
            } else if event.data() == WAKER {
                if let Some(waker) = &self.waker {
                    waker.hear();
                }
                return Some(Event::Woken);
            } else {
                self.stale += 1;
            }
        }
        self.pop_late()
    }

    /// What is reported after the batch: what stands again, then deadlines.
    #[inline(never)]
    fn pop_late(&mut self) -> Option<Event> {
        while self.again_now > 0 {
            self.again_now -= 1;
            let token = self.again.pop_front()?;
            // One that has been deregistered since is no stale event: the kernel is innocent.
            if let Some(registration) = self.registrations.get_mut(token) {
                let ready = again_ready(registration.watch);
                registration.watch &= !AGAIN;
                return Some(Event::Io { token, ready });
            }
        }
        if self.timers_now > 0
            && let Some(slot) = self.timers.expire(self.reported_until)
        {
            self.timers_now -= 1;
            return self.registrations.token_at(slot).map(|token| Event::Timer { token });
        }
        None
    }

    /// One wait, for the kernel, until the earliest of `deadline` and all deadlines.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Errno> {
        (self.at, self.len) = (0, 0);
        let until = [deadline, self.timers.earliest()].into_iter().flatten().min();
        let asked_at = until.map(|_| self.kernel.now());
        let patience = match until.zip(asked_at) {
            _ if !self.again.is_empty() => Some(Duration::ZERO),
            Some((until, now)) => Some(until - now),
            None => None,
        };
        let brought = self.epoll_wait(patience)?;
        assert!(brought <= self.batch.len(), "a kernel brought more events than there was room");
        self.len = brought;
        self.again_now = self.again.len();
        self.timers_now = self.timers.len();
        match until.zip(asked_at) {
            // The time was up and nothing was ready. (An early return must not expire a deadline.)
            Some((until, asked_at)) if brought == 0 && self.again.is_empty() => {
                self.sweep = None;
                self.reported_until = until.min(self.kernel.now()).max(asked_at);
            }
            Some((_, asked_at)) => self.sweep(asked_at),
            None => self.sweep = None,
        }
        Ok(())
    }

    /// Counts what a wait begun at `asked_at` brought. A batch that is not full holds all that
    /// was ready; a full one may not, so that the kernel is to be asked again.
    fn sweep(&mut self, asked_at: Instant) {
        if self.len < self.batch.len() {
            self.sweep = None;
            self.reported_until = asked_at;
            return;
        }
        let places = self.registrations.len() as usize + 1;
        let fresh = Sweep { since: asked_at, places, living: 0, events: 0, stale_waits: 0 };
        let mut sweep = self.sweep.unwrap_or(fresh);
        let is_live =
            |event: &&EpollEvent| self.registrations.get(Token::from_bits(event.data())).is_some();
        let living = self.batch.iter().filter(is_live).count();
        sweep.living += living;
        sweep.events += self.len;
        sweep.stale_waits += u32::from(living == 0);
        let is_whole = sweep.living > sweep.places || sweep.stale_waits > STALE_WAITS_MAX;
        if is_whole || sweep.events > 2 * sweep.places + SWEEP_EVENTS_MAX {
            self.reported_until = sweep.since;
            self.sweep = None;
        } else {
            self.sweep = Some(sweep);
        }
    }

    /// Sleeps for a moment: a stale event makes a wait on the epoll itself return at once.
    ///
    /// # Errors
    /// What epoll_create1(2) or epoll_wait(2) said: it has not slept.
    fn sleep(&mut self) -> Result<(), Errno> {
        let sleeper = match self.sleeper.take() {
            Some(sleeper) => sleeper,
            None => self.kernel.epoll_create1()?,
        };
        let sleeper = self.sleeper.insert(sleeper);
        self.kernel.epoll_wait(sleeper, &mut self.batch, Some(STALE_SLEEP_MILLIS)).map(drop)
    }

    fn epoll_wait(&mut self, patience: Option<Duration>) -> Result<usize, Errno> {
        // Both ends of patience need no nanoseconds, and so no newer call.
        let millis = match patience {
            None => None,
            Some(Duration::ZERO) => Some(0),
            Some(patience) if self.has_pwait2 => {
                match self.kernel.epoll_pwait2(&self.epoll, &mut self.batch, Some(patience)) {
                    // Old kernels do not know it, and old sandboxes forbid what they do not.
                    Err(Errno::ENOSYS | Errno::EPERM) => self.has_pwait2 = false,
                    result => return result,
                }
                Some(millis_up(patience))
            }
            Some(patience) => Some(millis_up(patience)),
        };
        self.kernel.epoll_wait(&self.epoll, &mut self.batch, millis)
    }

    /// Something another thread can wake this reactor with. Work: two system calls the first
    /// time, none after.
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`], [`Errno::ENOMEM`], [`Errno::ENOSPC`]: out of
    ///   something.
    ///
    /// Man page: eventfd(2)
    #[doc(alias = "eventfd")]
    pub fn waker(&mut self) -> Result<Waker, Errno> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let fd = self.kernel.eventfd(0)?;
        let watch = Watch::new(Interest::READABLE, Trigger::Edge);
        let control = Control::Add(EpollEvent::new(watch.bits(), WAKER));
        if let Err(errno) = self.kernel.epoll_ctl(&self.epoll, control, &fd) {
            release(&mut self.kernel, fd);
            return Err(errno);
        }
        let waker = Waker::of(fd);
        self.waker = Some(waker.clone());
        Ok(waker)
    }

    /// The kernel below, to make and to set up descriptors with. Work: O(1).
    pub fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// The token of the registration in `slot` now: with [`slots`](Self::slots) a walk over
    /// all of them, during which they may come and go. Work: O(1).
    #[must_use]
    pub fn token_at(&self, slot: u32) -> Option<Token> {
        self.registrations.token_at(slot)
    }

    /// One more than the highest slot ever used. Work: O(1).
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.registrations.slots()
    }

    /// How many registrations there are. Work: O(1).
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.registrations.len()
    }

    /// Whether nothing is registered. Work: O(1).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    /// How many events came too late, for a registration that had ended. Work: O(1).
    #[must_use]
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// The time by which deadlines are judged: whatever was ready then has been reported. As
    /// libuv's `uv_now` and libev's `ev_now` it lags behind the clock: it moves when the kernel
    /// is asked, and only while there is a deadline. Work: O(1).
    ///
    /// A handler that looks itself whether a connection was silent for too long must judge by
    /// this and not by the clock: what arrived while the process stood still has not been
    /// reported yet.
    #[must_use]
    pub const fn reported_until(&self) -> Instant {
        self.reported_until
    }

    /// The epoll itself: readable when an event waits, so that another reactor can wait on
    /// this one (through a [`dup`](Kernel::dup)). Work: O(1).
    pub const fn epoll(&self) -> &Fd {
        &self.epoll
    }

    /// Bytes that one registration takes. Work: O(1).
    pub const REGISTRATION_BYTES: usize = Slab::<Registration<T>>::SLOT_BYTES;
}

/// The six facts of a [`Ready`], packed into [`AGAIN`]: five stand side by side already.
const fn again_bits(ready: Ready) -> u32 {
    let beside = (ready.is_read_closed() as u32) << 5;
    STANDS_AGAIN | (ready.bits() & 0x1f | beside) << AGAIN_SHIFT
}

/// And back.
const fn again_ready(watch: u32) -> Ready {
    let packed = watch >> AGAIN_SHIFT & 0x3f;
    let read_closed = if packed & 0x20 != 0 { EPOLLRDHUP } else { 0 };
    Ready::from_bits(packed & 0x1f | read_closed)
}

/// In whole milliseconds, rounded up: rounded down, the last of a wait would be spent asking
/// again and again.
fn millis_up(patience: Duration) -> u32 {
    u32::try_from(patience.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

impl<T, K: Kernel> Drop for Reactor<T, K> {
    fn drop(&mut self) {
        for slot in 0..self.slots() {
            if let Some(token) = self.token_at(slot)
                && let Some(Registration { fd, .. }) = self.registrations.remove(token)
            {
                // The epoll goes too, and with it what a duplicate would keep registered.
                release(&mut self.kernel, fd);
            }
        }
        if let Some(waker) = self.waker.take() {
            waker.retire(&mut self.kernel);
        }
        if let Some(sleeper) = self.sleeper.take() {
            release(&mut self.kernel, sleeper);
        }
        // The last thing this reactor does with it: nobody else can reach it any more.
        release(&mut self.kernel, Fd::from_raw(self.epoll.raw()));
    }
}

impl<T, K: Kernel> fmt::Debug for Reactor<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("epoll", &self.epoll)
            .field("registrations", &self.len())
            .field("deadlines", &self.timers.len())
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "std")]
impl<T, K: Kernel> std::os::fd::AsFd for Reactor<T, K> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
