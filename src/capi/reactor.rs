//! `epl_reactor`: registrations, waiting, deadlines, wake-ups. Knows no address and no server.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::num::NonZeroU32;
use core::ptr::{NonNull, null_mut};

use super::boundary::{allocate, destroy, done, free, shared, status, store};
use super::storage::{ALIGN, CArray, CStorage, Region, parts_bytes};
use super::text::VERSION;
use super::wake::Wake;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};
use crate::event::{Event, ExclusiveTrigger, Interest, Ready, Trigger};
use crate::instant::Instant;
use crate::kernel::{Fd, Kernel};
use crate::linux::{Linux, set_nonblocking};
use crate::reactor::storage::Parts;
use crate::reactor::{Io, Limits, Reactor, RegisterError};
use crate::token::Token;

/// `epl_reactor` of the header.
///
/// Other threads reach `wake` while one uses the rest.
#[derive(Debug)]
pub(super) struct Handle {
    wake: Wake,
    core: UnsafeCell<Core>,
    /// In storage of the caller's.
    is_lent: bool,
}

type CReactor = Reactor<Data, Linux, CStorage>;

struct Core {
    reactor: CReactor,
    /// Of C's; the one for wake-ups is not counted.
    registrations_max: u32,
    /// The bits of the token of wake-ups; [`NO_TOKEN`] before they are enabled.
    wake_token: u64,
}

impl core::fmt::Debug for Core {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Core").field("wake_token", &self.wake_token).finish_non_exhaustive()
    }
}

/// The pointer that C gives with a registration; it is not dereferenced here.
#[derive(Clone, Copy, Debug)]
struct Data(*mut c_void);

/// `struct epl_event` of the header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct EplEvent {
    token: u64,
    data: *mut c_void,
    kind: u32,
    ready: u32,
}

/// `EPL_FOREVER` of the header: a timeout without limit.
const FOREVER: i64 = -1;

const KIND_IO: u32 = 1;
const KIND_TIMER: u32 = 2;
const KIND_WOKEN: u32 = 3;

const LEVEL: u32 = 0;
pub(super) const EDGE: u32 = 1;
const ONESHOT: u32 = 2;
const EDGE_ONESHOT: u32 = 3;
const EXCLUSIVE: u32 = 4;
const EXCLUSIVE_EDGE: u32 = 5;

/// What can be ready: the bits of the header.
const READY_BITS: u32 = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP;

/// Stands for the default of a number.
const DEFAULT: u32 = 0;
/// More events of one wait bring nothing; their memory is allocated at once.
const EVENTS_MAX: u32 = 1 << 20;

/// Runs `call` with the reactor of `handle`; `EINVAL` for a null pointer.
///
/// # Safety
/// As [`with_both`].
unsafe fn with_core<R>(
    handle: *const Handle,
    call: impl FnOnce(&mut Core) -> Result<R, Errno>,
) -> Result<R, Errno> {
    // SAFETY: as the caller has promised.
    unsafe { with_both(handle, |_, core| call(core)) }
}

/// The same with the wake-up.
///
/// # Safety
/// `handle` is null or a reactor that is not freed yet, and no other thread uses it at the same
/// time, except to wake it.
unsafe fn with_both<R>(
    handle: *const Handle,
    call: impl FnOnce(&Wake, &mut Core) -> Result<R, Errno>,
) -> Result<R, Errno> {
    // SAFETY: as the caller has promised.
    let (wake, core) = unsafe { parts(handle) }?;
    call(wake, core)
}

/// The wake-up and the reactor of `handle`; `EINVAL` for a null pointer.
///
/// # Safety
/// As [`with_both`]; what is returned is used before the function of C returns, which calls no
/// other that could come back.
#[inline(always)]
unsafe fn parts<'a>(handle: *const Handle) -> Result<(&'a Wake, &'a mut Core), Errno> {
    // SAFETY: as the caller has promised.
    let handle = unsafe { shared(handle) }?;
    // SAFETY: only one thread is here, and only once, as the caller has promised.
    let core = unsafe { &mut *handle.core.get() };
    Ok((&handle.wake, core))
}

/// Creates a reactor. `version` is the header's.
///
/// # Safety
/// `out` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_create(
    out: *mut *mut Handle,
    registrations_max: u32,
    events_max: u32,
    version: c_int,
) -> c_int {
    let create = || {
        // SAFETY: as the caller has promised.
        unsafe { begin(out, events_max, version) }?;
        let defaults = Limits::default();
        let registrations_max = match registrations_max {
            DEFAULT => defaults.registrations_max,
            most => most,
        };
        let events_max = NonZeroU32::new(events_max).unwrap_or(defaults.events_max);
        let parts = Parts {
            slots: CArray::growing(),
            events: CArray::growing(),
            deadlines: CArray::growing(),
            positions: CArray::growing(),
            requeued: CArray::growing(),
        };
        let handle = allocate::<Handle>()?;
        // SAFETY: just allocated, for a handle.
        let created =
            unsafe { Handle::create_at(handle, registrations_max, events_max, parts, false) };
        if created.is_err() {
            // SAFETY: allocated above, and without a value.
            unsafe { free(handle) };
        }
        created?;
        // SAFETY: not null, as the first store has shown, and writable.
        unsafe { store(out, handle.as_ptr()) }
    };
    done(create())
}

/// Creates a reactor in storage of the caller's, which it does not leave.
///
/// # Safety
/// `out` is null or may be written to; `storage` is null, or `bytes` bytes there belong to the
/// reactor until it is freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_create_in(
    out: *mut *mut Handle,
    storage: *mut c_void,
    bytes: usize,
    registrations_max: u32,
    events_max: u32,
    version: c_int,
) -> c_int {
    let create = || {
        // SAFETY: as the caller has promised.
        unsafe { begin(out, events_max, version) }?;
        let (registrations, events) = sizes(registrations_max, events_max).ok_or(Errno::EINVAL)?;
        let events_max = NonZeroU32::new(events_max).ok_or(Errno::EINVAL)?;
        // SAFETY: as the caller has promised.
        let mut region = unsafe { Region::new(storage.cast(), bytes) }?;
        let handle = region.take::<Handle>(1)?;
        let parts = region.parts(registrations, events)?;
        // SAFETY: of the storage, with room for it, and aligned.
        unsafe { Handle::create_at(handle, registrations_max, events_max, parts, true) }?;
        // SAFETY: not null, as the first store has shown, and writable.
        unsafe { store(out, handle.as_ptr()) }
    };
    done(create())
}

/// The bytes of storage that a reactor needs; 0 for numbers that no reactor has.
#[unsafe(no_mangle)]
extern "C" fn epl_storage_bytes(registrations_max: u32, events_max: u32) -> usize {
    let bytes = || {
        let (registrations, events) = sizes(registrations_max, events_max)?;
        let handle = size_of::<Handle>().checked_next_multiple_of(ALIGN)?;
        parts_bytes::<Data>(registrations, events)?.checked_add(handle)
    };
    bytes().unwrap_or(0)
}

/// What to make room for: the registrations with that for wake-ups, and the events.
fn sizes(registrations_max: u32, events_max: u32) -> Option<(usize, usize)> {
    if registrations_max == 0 || events_max == 0 || events_max > EVENTS_MAX {
        return None;
    }
    let registrations = registrations_max.checked_add(1)?;
    Some((usize::try_from(registrations).ok()?, usize::try_from(events_max).ok()?))
}

/// Checks what both kinds of a new reactor have in common. `out` is null from here on.
///
/// # Safety
/// `out` is null or may be written to.
unsafe fn begin(out: *mut *mut Handle, events_max: u32, version: c_int) -> Result<(), Errno> {
    if version != VERSION {
        return Err(Errno::ELIBBAD);
    }
    if events_max > EVENTS_MAX {
        return Err(Errno::EINVAL);
    }
    // SAFETY: as the caller has promised.
    unsafe { store(out, null_mut()) }
}

/// Closes every registered descriptor, and frees the reactor.
///
/// # Safety
/// `handle` is null, or a reactor that no thread uses now or later.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_free(handle: *mut Handle) {
    // SAFETY: as the caller has promised.
    if let Ok(Handle { is_lent, .. }) = unsafe { shared(handle) } {
        // SAFETY: not null, and created by one of the functions above.
        unsafe { destroy(handle, *is_lent) };
    }
}

/// The descriptor of the epoll.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_fd(handle: *const Handle) -> c_int {
    // SAFETY: as the caller has promised.
    status(unsafe { with_core(handle, |core| Ok(core.reactor.epoll().raw())) })
}

/// How many registrations there are, that for wake-ups not counted.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_count(handle: *const Handle) -> u32 {
    // SAFETY: as the caller has promised.
    unsafe { with_core(handle, |core| Ok(core.count())) }.unwrap_or(0)
}

/// How many events came for registrations that had ended.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_reactor_stale_events(handle: *const Handle) -> u64 {
    // SAFETY: as the caller has promised.
    unsafe { with_core(handle, |core| Ok(core.reactor.stale_events())) }.unwrap_or(0)
}

/// Registers a descriptor, which is the reactor's from then on.
///
/// # Safety
/// As [`with_core`]; `fd` is the caller's to give; `token` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_register(
    handle: *mut Handle,
    fd: c_int,
    interest: u32,
    trigger: u32,
    data: *mut c_void,
    token: *mut u64,
) -> c_int {
    let register = |core: &mut Core| {
        if token.is_null() {
            return Err(Errno::EINVAL);
        }
        let interest = interest_of(interest)?;
        let fd = owned(fd)?;
        if core.count() >= core.registrations_max {
            return Err(Errno::ENOSPC);
        }
        if trigger > EXCLUSIVE_EDGE {
            return Err(Errno::EINVAL);
        }
        set_nonblocking(&fd)?;
        let reactor = &mut core.reactor;
        let registered = match trigger {
            EXCLUSIVE => {
                reactor.register_exclusive(fd, interest, ExclusiveTrigger::Level, Data(data))
            }
            EXCLUSIVE_EDGE => {
                reactor.register_exclusive(fd, interest, ExclusiveTrigger::Edge, Data(data))
            }
            trigger => reactor.register(fd, interest, trigger_of(trigger)?, Data(data)),
        };
        // After an error the descriptor is the caller's again: its number is dropped here.
        let registered = registered.map_err(|RegisterError { kind, .. }| Errno::from(kind))?;
        // SAFETY: not null, and writable, as the caller has promised.
        unsafe { store(token, registered.to_bits()) }
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, register) })
}

/// Changes what a registration waits for; arms a one-shot one again.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_modify(
    handle: *mut Handle,
    token: u64,
    interest: u32,
    trigger: u32,
) -> c_int {
    let modify = |core: &mut Core| {
        let (interest, trigger) = (interest_of(interest)?, trigger_of(trigger)?);
        let (_, mut io) = core.find(token)?;
        io.modify(interest, trigger).map_err(Errno::from)
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, modify) })
}

/// Ends a registration and returns its descriptor, which is the caller's again.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_deregister(handle: *mut Handle, token: u64) -> c_int {
    let deregister = |core: &mut Core| {
        let token = core.checked(token)?;
        core.reactor.get_mut(token).ok_or(Errno::ENOENT)?;
        // A timer has no descriptor.
        let (fd, _) = core.reactor.deregister(token).ok_or(Errno::EBADF)?;
        Ok(fd.raw())
    };
    // SAFETY: as the caller has promised.
    status(unsafe { with_core(handle, deregister) })
}

/// Ends a registration and closes its descriptor.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_close(handle: *mut Handle, token: u64) -> c_int {
    let close = |core: &mut Core| {
        let token = core.checked(token)?;
        core.reactor.close(token).map(drop).ok_or(Errno::ENOENT)
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, close) })
}

/// The descriptor of a registration, which stays the reactor's.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_fd(handle: *mut Handle, token: u64) -> c_int {
    // SAFETY: as the caller has promised.
    let Ok((_, core)) = (unsafe { parts(handle) }) else { return -Errno::EINVAL.number() };
    let Ok((_, fd)) = core.get(token) else { return -Errno::ENOENT.number() };
    // A timer has none.
    if fd.raw() < 0 { -Errno::EBADF.number() } else { fd.raw() }
}

/// The pointer given with a registration.
///
/// # Safety
/// As [`with_core`]; `data` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_data(handle: *mut Handle, token: u64, data: *mut *mut c_void) -> c_int {
    // SAFETY: `data` is null or writable, as the caller has promised.
    let read = |core: &mut Core| core.get(token).and_then(|(it, _)| unsafe { store(data, it.0) });
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, read) })
}

/// Replaces it.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_set_data(handle: *mut Handle, token: u64, data: *mut c_void) -> c_int {
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, |core| core.find(token).map(|(it, _)| it.0 = data)) })
}

/// Reports the registration again without an event of the kernel.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_requeue(handle: *mut Handle, token: u64, ready: u32) -> c_int {
    let requeue = |core: &mut Core| {
        if ready & !READY_BITS != 0 {
            return Err(Errno::EINVAL);
        }
        let (_, mut io) = core.find(token)?;
        io.try_requeue(Ready::from_bits(ready))
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, requeue) })
}

/// Waits for one event; 1 if there is one, 0 if the time has passed.
///
/// # Safety
/// As [`with_core`]; `event` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_next(handle: *mut Handle, timeout_ns: i64, event: *mut EplEvent) -> c_int {
    // SAFETY: as the caller has promised.
    let Ok((wake, core)) = (unsafe { parts(handle) }) else { return -Errno::EINVAL.number() };
    if event.is_null() {
        return -Errno::EINVAL.number();
    }
    let next = match deadline_after(timeout_ns).and_then(|deadline| core.reactor.next(deadline)) {
        Ok(Some(next)) => next,
        Ok(None) => return 0,
        Err(errno) => return -errno.number(),
    };
    let mut next = core.translate(wake, next);
    next.data = core.get(next.token).map_or(null_mut(), |(data, _)| data.0);
    // SAFETY: not null, and writable, as the caller has promised.
    unsafe { event.write(next) };
    1
}

/// Waits for events, and returns as many as there are, `events_max` at most.
///
/// # Safety
/// As [`with_core`]; `events` is null, or `events_max` events may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_next_batch(
    handle: *mut Handle,
    timeout_ns: i64,
    events: *mut EplEvent,
    events_max: c_int,
) -> c_int {
    let wait = |wake: &Wake, core: &mut Core| {
        if events_max <= 0 || events.is_null() {
            return Err(Errno::EINVAL);
        }
        let mut next = core.reactor.next(deadline_after(timeout_ns)?)?;
        let (mut count, mut place) = (0, events);
        while let Some(event) = next {
            // SAFETY: not null, and one of `events_max`, as the caller has promised.
            unsafe { store(place, core.translate(wake, event)) }?;
            (count, place) = (count + 1, place.wrapping_add(1));
            next = if count < events_max { core.reactor.try_next() } else { None };
        }
        Ok(count)
    };
    // SAFETY: as the caller has promised.
    status(unsafe { with_both(handle, wait) })
}

/// Now, in nanoseconds of the clock of deadlines.
#[unsafe(no_mangle)]
extern "C" fn epl_now() -> u64 {
    Linux.now().as_nanos()
}

/// Adds a timer without a descriptor.
///
/// # Safety
/// As [`with_core`]; `token` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_add_timer(
    handle: *mut Handle,
    deadline_ns: u64,
    data: *mut c_void,
    token: *mut u64,
) -> c_int {
    let add = |core: &mut Core| {
        if token.is_null() {
            return Err(Errno::EINVAL);
        }
        if core.count() >= core.registrations_max {
            return Err(Errno::ENOSPC);
        }
        let timer = core.reactor.add_timer(Instant::from_nanos(deadline_ns), Data(data))?;
        // SAFETY: not null, and writable, as the caller has promised.
        unsafe { store(token, timer.to_bits()) }
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, add) })
}

/// Sets the deadline of a registration.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_set_deadline(handle: *mut Handle, token: u64, deadline_ns: u64) -> c_int {
    let set = |core: &mut Core| {
        let (_, mut io) = core.find(token)?;
        io.try_set_deadline(Instant::from_nanos(deadline_ns))
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_core(handle, set) })
}

/// Cancels it; 1 if there was one.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_cancel_deadline(handle: *mut Handle, token: u64) -> c_int {
    let cancel = |core: &mut Core| {
        let (_, mut io) = core.find(token)?;
        Ok(c_int::from(io.cancel_deadline()))
    };
    // SAFETY: as the caller has promised.
    status(unsafe { with_core(handle, cancel) })
}

/// How long a loop around the reactor may wait.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_timeout(handle: *mut Handle) -> i64 {
    let timeout = |core: &mut Core| {
        let Some(deadline) = core.reactor.next_deadline() else { return Ok(FOREVER) };
        let now = core.reactor.kernel().now().as_nanos();
        let left = deadline.as_nanos().saturating_sub(now);
        Ok(i64::try_from(left).unwrap_or(i64::MAX))
    };
    // SAFETY: as the caller has promised.
    match unsafe { with_core(handle, timeout) } {
        Ok(nanos) => nanos,
        Err(errno) => -i64::from(errno.number()),
    }
}

/// Makes wake-ups possible.
///
/// # Safety
/// As [`with_core`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_enable_wake(handle: *mut Handle) -> c_int {
    let enable = |wake: &Wake, core: &mut Core| {
        if core.wake_token != NO_TOKEN {
            return Ok(());
        }
        let fd = Linux.eventfd(0)?;
        let number = fd.raw();
        // Edge-triggered, so that it need not be read.
        let (interest, trigger) = (Interest::READABLE, Trigger::Edge);
        let registered = core.reactor.register_or_close(fd, interest, trigger, Data(null_mut()));
        core.wake_token = registered.map_err(Errno::from)?.to_bits();
        wake.enable(number);
        Ok(())
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with_both(handle, enable) })
}

/// Makes a wait return, from any thread or signal handler.
///
/// # Safety
/// `handle` is null, or a reactor that is not freed before this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_wake(handle: *const Handle) -> c_int {
    // SAFETY: as the caller has promised; only atomics are touched.
    done(unsafe { shared(handle) }.and_then(|handle| handle.wake.wake()))
}

impl Handle {
    /// Creates one in `memory`: what is moved there would be copied more than once.
    ///
    /// # Safety
    /// There is room for a handle, aligned, and nothing else uses it.
    unsafe fn create_at(
        memory: NonNull<Self>,
        registrations_max: u32,
        events_max: NonZeroU32,
        mut parts: Parts<Data, CStorage>,
        is_lent: bool,
    ) -> Result<(), Errno> {
        let limits = Limits { registrations_max: registrations_max.saturating_add(1), events_max };
        let epoll = CReactor::prepare(&mut Linux, &mut parts.events, limits)?;
        let reactor = CReactor::with_epoll(Linux, limits, parts, epoll);
        let core = UnsafeCell::new(Core { reactor, registrations_max, wake_token: NO_TOKEN });
        // SAFETY: as the caller has promised. What was there is not dropped.
        unsafe { memory.write(Self { wake: Wake::new(), core, is_lent }) };
        Ok(())
    }
}

impl Core {
    /// How many registrations C has.
    fn count(&self) -> u32 {
        self.reactor.len() - u32::from(self.wake_token != NO_TOKEN)
    }

    /// The token, unless it is that of wake-ups, which C does not have.
    #[inline(always)]
    fn checked(&self, token: u64) -> Result<Token, Errno> {
        if token == self.wake_token { Err(Errno::ENOENT) } else { Ok(Token::from_bits(token)) }
    }

    #[inline(always)]
    fn get(&self, token: u64) -> Result<(&Data, &Fd), Errno> {
        let token = self.checked(token)?;
        self.reactor.get(token).ok_or(Errno::ENOENT)
    }

    fn find(&mut self, token: u64) -> Result<(&mut Data, Io<'_, Linux, CStorage>), Errno> {
        let token = self.checked(token)?;
        self.reactor.get_mut(token).ok_or(Errno::ENOENT)
    }

    #[inline(always)]
    fn translate(&self, wake: &Wake, event: Event) -> EplEvent {
        let (kind, token, ready) = match event {
            Event::Io { token, .. } if token.to_bits() == self.wake_token => {
                // Before the caller looks into its queue: what is put there later wakes again.
                wake.acknowledge();
                (KIND_WOKEN, None, 0)
            }
            Event::Io { token, ready } => (KIND_IO, Some(token), ready.bits()),
            Event::Timer { token } => (KIND_TIMER, Some(token), 0),
            Event::Woken => (KIND_WOKEN, None, 0),
        };
        EplEvent { token: token.map_or(NO_TOKEN, Token::to_bits), data: null_mut(), kind, ready }
    }
}

/// The token of an event without a registration; no registration has it.
const NO_TOKEN: u64 = u64::MAX;

/// A descriptor that C gives away. Its number is all that is known of it.
fn owned(fd: c_int) -> Result<Fd, Errno> {
    if fd < 0 { Err(Errno::EBADF) } else { Ok(Fd::from_raw(fd)) }
}

fn interest_of(bits: u32) -> Result<Interest, Errno> {
    let known = [Interest::READABLE, Interest::WRITABLE, Interest::PRIORITY, Interest::READ_CLOSED];
    let mut interest = Interest::NONE;
    for one in known {
        if bits & one.bits() != 0 {
            interest |= one;
        }
    }
    if interest.bits() == bits { Ok(interest) } else { Err(Errno::EINVAL) }
}

pub(super) const fn trigger_of(trigger: u32) -> Result<Trigger, Errno> {
    match trigger {
        LEVEL => Ok(Trigger::Level),
        EDGE => Ok(Trigger::Edge),
        ONESHOT => Ok(Trigger::OneShot),
        EDGE_ONESHOT => Ok(Trigger::EdgeOneShot),
        _ => Err(Errno::EINVAL),
    }
}

/// Zero: a deadline that has passed, so that the wait only polls. `EINVAL` for a negative timeout
/// other than [`FOREVER`]: a subtraction that went below zero must not wait without limit.
#[inline(always)]
pub(super) fn deadline_after(timeout_ns: i64) -> Result<Option<Instant>, Errno> {
    match u64::try_from(timeout_ns) {
        Err(_) if timeout_ns == FOREVER => Ok(None),
        Err(_) => Err(Errno::EINVAL),
        Ok(0) => Ok(Some(Instant::ZERO)),
        Ok(nanos) => Ok(Some(after(nanos))),
    }
}

#[inline(never)]
fn after(nanos: u64) -> Instant {
    Instant::from_nanos(Linux.now().as_nanos().saturating_add(nanos))
}
