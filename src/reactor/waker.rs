//! Waking a reactor from another thread, with at most one system call a wake.
//!
//! Knows an eventfd and two words of shared memory. The eventfd is watched edge-triggered and
//! never read: each write is an edge, read or not.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::patiently;
use crate::errno::Errno;
use crate::kernel::release;
use crate::kernel::{Fd, Kernel};

/// Wakes the reactor that made it; clone it, send it, use it from any thread.
///
/// It brings no data: put that in a queue of your own *before* you wake, and look there when
/// [`Event::Woken`](crate::Event::Woken) comes. Wakes before the reactor has heard are one.
///
/// The call is made on a kernel of the caller's, since the reactor's own is busy waiting:
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), epollite::Errno> {
/// use epollite::{Event, Linux, Reactor};
/// let mut reactor = Reactor::<()>::new()?;
/// let waker = reactor.waker()?;
/// let thread = std::thread::spawn(move || waker.wake(&mut Linux));
/// assert_eq!(reactor.next(None)?, Some(Event::Woken));
/// thread.join().unwrap()
/// # }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    eventfd: Fd,
    /// A wake is on its way that the reactor has not heard of.
    pending: AtomicBool,
    /// How many threads are about to write, and [`RETIRED`]. Who takes it down to `RETIRED`
    /// alone is the last that can reach the eventfd, and closes it.
    inside: AtomicU32,
}

/// The reactor is gone: nobody may enter any more.
const RETIRED: u32 = 1 << 31;

impl Waker {
    pub(super) fn of(eventfd: Fd) -> Self {
        let (pending, inside) = (AtomicBool::new(false), AtomicU32::new(0));
        Self(Arc::new(Shared { eventfd, pending, inside }))
    }

    /// Has the reactor's [`next`](crate::Reactor::next) return `Woken`. Work: one system
    /// call, none when a wake is on its way already. (Three once in 2⁶⁴ wakes, when the
    /// counter is full.)
    ///
    /// # Errors
    /// * [`Errno::EPIPE`]: the reactor is gone.
    ///
    /// Man page: eventfd(2)
    pub fn wake<K: Kernel>(&self, kernel: &mut K) -> Result<(), Errno> {
        let shared = &*self.0;
        // First of all: a wake that nobody heard stands for ever when the reactor has gone.
        if shared.inside.load(Ordering::Acquire) & RETIRED != 0 {
            return Err(Errno::EPIPE);
        }
        if shared.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let enter = |inside| {
            if inside & RETIRED == 0 { Some(inside + 1) } else { None }
        };
        if shared.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
            return Err(Errno::EPIPE);
        }
        let written = knock(kernel, &shared.eventfd);
        if written.is_err() {
            shared.pending.store(false, Ordering::Release);
        }
        if shared.inside.fetch_sub(1, Ordering::AcqRel) == RETIRED + 1 {
            shared.close(kernel);
        }
        written
    }

    /// For the reactor: it has heard. From here on a wake knocks again. It must be said
    /// *before* the user looks into his queue, or what is put there meanwhile is lost.
    pub(super) fn hear(&self) {
        self.0.pending.swap(false, Ordering::AcqRel);
    }

    /// For the reactor: it goes. Closes the eventfd, or leaves that to who is writing to it.
    pub(super) fn retire<K: Kernel>(self, kernel: &mut K) {
        if self.0.inside.fetch_or(RETIRED, Ordering::AcqRel) == 0 {
            self.0.close(kernel);
        }
    }
}

impl Shared {
    /// Exactly one thread comes here, once, and none that could still write.
    fn close<K: Kernel>(&self, kernel: &mut K) {
        release(kernel, Fd::from_raw(self.eventfd.raw()));
    }
}

/// Adds one to the counter. A full one is emptied first: then only the write is an edge.
fn knock<K: Kernel>(kernel: &mut K, eventfd: &Fd) -> Result<(), Errno> {
    let one = 1u64.to_ne_bytes();
    match patiently(|| kernel.write(eventfd, &one)) {
        Err(errno) if errno.would_block() => {
            patiently(|| kernel.read(eventfd, &mut [0; 8]))?;
            patiently(|| kernel.write(eventfd, &one)).map(drop)
        }
        written => written.map(drop),
    }
}
