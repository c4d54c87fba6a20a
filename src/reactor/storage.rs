//! Where a reactor keeps what it holds: on the heap, or in memory that the caller lends.
//!
//! Knows arrays and their elements, and nothing of what a reactor does with them.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::marker::PhantomData;

use super::registration::Registration;
use crate::collections::{Array, Deadline, LentArray, Slot};
use crate::kernel::EpollEvent;

/// The arrays of a reactor that do not depend on the state of its registrations.
///
/// Implemented by [`Heap`] and [`Lent`].
pub trait Storage: Sized {
    /// The events of one wait.
    type Events: Array<EpollEvent>;
    /// A heap of deadlines.
    type Deadlines: Array<Deadline>;
    /// A number for each slot.
    type Numbers: Array<u32>;
}

/// All arrays of a reactor whose registrations have a state `T`.
pub trait StorageOf<T>: Storage {
    /// The registrations.
    type Slots: Array<Slot<Registration<T>>>;
}

/// What an empty reactor is made of.
pub(crate) struct Parts<T, S: StorageOf<T>> {
    pub(crate) slots: S::Slots,
    pub(crate) events: S::Events,
    pub(crate) deadlines: S::Deadlines,
    pub(crate) positions: S::Numbers,
    pub(crate) requeued: S::Numbers,
}

/// Memory of the global allocator: grows as registrations are added. Without the feature `alloc`
/// nothing can be created in it.
#[derive(Debug)]
pub enum Heap {}

#[cfg(feature = "alloc")]
impl Storage for Heap {
    type Events = Vec<EpollEvent>;
    type Deadlines = Vec<Deadline>;
    type Numbers = Vec<u32>;
}

#[cfg(feature = "alloc")]
impl<T> StorageOf<T> for Heap {
    type Slots = Vec<Slot<Registration<T>>>;
}

// The default is the same type with each set of features: a program that names it must not break
// when another part of it enables `alloc`.
#[cfg(not(feature = "alloc"))]
impl Storage for Heap {
    type Events = LentArray<'static, EpollEvent>;
    type Deadlines = LentArray<'static, Deadline>;
    type Numbers = LentArray<'static, u32>;
}

#[cfg(not(feature = "alloc"))]
impl<T: 'static> StorageOf<T> for Heap {
    type Slots = LentArray<'static, Slot<Registration<T>>>;
}

/// Memory that the caller lends, in a [`Room`].
#[derive(Debug)]
pub struct Lent<'m>(PhantomData<&'m mut ()>);

impl<'m> Storage for Lent<'m> {
    type Events = LentArray<'m, EpollEvent>;
    type Deadlines = LentArray<'m, Deadline>;
    type Numbers = LentArray<'m, u32>;
}

impl<'m, T: 'm> StorageOf<T> for Lent<'m> {
    type Slots = LentArray<'m, Slot<Registration<T>>>;
}

/// Memory for a reactor with up to `REGISTRATIONS` registrations with a state `T`, and `EVENTS`
/// events of one wait: on a stack, in a `static`, wherever there is room.
///
/// ```
/// # fn main() -> Result<(), epollite::Errno> {
/// use epollite::{Event, Instant, Linux, Reactor};
/// use epollite::reactor::Room;
/// let mut room = Room::<&str, 2, 8>::new();
/// let mut reactor = Reactor::in_room(Linux, &mut room)?;
/// let soon = reactor.add_timer(Instant::ZERO, "soon").unwrap();
/// assert!(reactor.add_timer(Instant::ZERO, "late").is_ok());
/// assert!(reactor.add_timer(Instant::ZERO, "more").is_err(), "there is room for two");
/// assert_eq!(reactor.next(None)?, Some(Event::Timer { token: soon }));
/// # Ok(()) }
/// ```
pub struct Room<T, const REGISTRATIONS: usize, const EVENTS: usize> {
    slots: [Slot<Registration<T>>; REGISTRATIONS],
    events: [EpollEvent; EVENTS],
    deadlines: [Deadline; REGISTRATIONS],
    positions: [u32; REGISTRATIONS],
    requeued: [u32; REGISTRATIONS],
}

impl<T, const REGISTRATIONS: usize, const EVENTS: usize> Room<T, REGISTRATIONS, EVENTS> {
    /// Makes room. Cost: O(registrations + events).
    ///
    /// Does not compile without a place for an event and a registration.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(REGISTRATIONS > 0 && EVENTS > 0, "a reactor holds something") };
        Self {
            slots: [const { Slot::VACANT }; REGISTRATIONS],
            events: [EpollEvent::new(0, 0); EVENTS],
            deadlines: [Deadline::NONE; REGISTRATIONS],
            positions: [0; REGISTRATIONS],
            requeued: [0; REGISTRATIONS],
        }
    }

    pub(super) const fn parts(&mut self) -> Parts<T, Lent<'_>> {
        Parts {
            slots: LentArray::new(&mut self.slots),
            events: LentArray::new(&mut self.events),
            deadlines: LentArray::new(&mut self.deadlines),
            positions: LentArray::new(&mut self.positions),
            requeued: LentArray::new(&mut self.requeued),
        }
    }
}

impl<T, const REGISTRATIONS: usize, const EVENTS: usize> Default
    for Room<T, REGISTRATIONS, EVENTS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const REGISTRATIONS: usize, const EVENTS: usize> core::fmt::Debug
    for Room<T, REGISTRATIONS, EVENTS>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Room({REGISTRATIONS} registrations, {EVENTS} events)")
    }
}
