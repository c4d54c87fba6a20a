//! The last calls and decisions of each thread, in a ring of its own.
//!
//! Knows no output. A ring's lock is taken by another thread only to print it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use epollite::instrument::Argument;

use crate::instrument::entry::Entry;
use crate::instrument::explain;

/// Entries of a ring: some thousand rounds of an echo server, and about two megabytes.
const ENTRIES_MAX: usize = 4096;

/// Of a list of events or datagrams, so many are kept: a wait may return a thousand.
const LIST_MAX: usize = 16;

type SharedRing = Arc<Mutex<Ring>>;

/// The rings of all threads with their numbers, once they are kept.
static RINGS: OnceLock<Mutex<Vec<(usize, SharedRing)>>> = OnceLock::new();

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    static RING: RefCell<Option<SharedRing>> = const { RefCell::new(None) };
}

/// The last entries of one thread.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    /// All that there ever were.
    count: u64,
}

impl Ring {
    fn push(&mut self, entry: Entry) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.count += 1;
    }

    fn text(&self, number: usize) -> String {
        let (kept, count) = (self.entries.len(), self.count);
        let mut text = format!("flight recorder, thread {number}: the last {kept} of {count}\n");
        for entry in &self.entries {
            // Writing to a String cannot fail.
            let _ = match entry {
                Entry::Call(record) => writeln!(text, "  {record:#}"),
                Entry::Decision(decision) => writeln!(text, "  {}", explain::sentence(decision)),
            };
        }
        text
    }
}

/// Keeps entries from now on.
pub(crate) fn start() {
    RINGS.get_or_init(Mutex::default);
}

/// Gives this thread the number that a trace shows too; without one it is 0, the main thread. Must
/// come before its first entry.
pub(crate) fn set_thread_number(number: usize) {
    NUMBER.set(number);
}

/// Whether entries are kept.
pub(crate) fn is_on() -> bool {
    RINGS.get().is_some()
}

/// Keeps a copy of an entry of this thread, if entries are kept.
pub(crate) fn keep(entry: &Entry) {
    let Some(rings) = RINGS.get() else { return };
    let mut entry = entry.clone();
    if let Entry::Call(record) = &mut entry {
        record.arguments.iter_mut().for_each(shorten);
    }
    RING.with_borrow_mut(|ring| {
        let ring = ring.get_or_insert_with(|| {
            let ring = SharedRing::default();
            let mut rings = rings.lock().unwrap_or_else(PoisonError::into_inner);
            rings.push((NUMBER.get(), Arc::clone(&ring)));
            ring
        });
        ring.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    });
}

fn shorten(argument: &mut Argument) {
    match argument {
        Argument::Events(events) => events.truncate(LIST_MAX),
        Argument::Messages(messages) => messages.truncate(LIST_MAX),
        _ => {}
    }
}

/// The rings of all threads, in words. After a panic a lock may be held by the thread that
/// panicked: what is locked is left out.
pub(crate) fn texts() -> Vec<String> {
    let Some(rings) = RINGS.get() else { return Vec::new() };
    let rings = match rings.try_lock() {
        Ok(rings) => rings,
        Err(TryLockError::Poisoned(rings)) => rings.into_inner(),
        Err(TryLockError::WouldBlock) => return Vec::new(),
    };
    let text = |(number, ring): &(usize, SharedRing)| match ring.try_lock() {
        Ok(ring) => ring.text(*number),
        Err(TryLockError::Poisoned(ring)) => ring.into_inner().text(*number),
        Err(TryLockError::WouldBlock) => format!("flight recorder, thread {number}: busy\n"),
    };
    rings.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use epollite::kernel::{Decision, ListenerDecision};

    fn decision(accepted: u32) -> Entry {
        let what = ListenerDecision::QueueEmpty { accepted };
        Entry::Decision(Decision::Listener { fd: 7, what })
    }

    #[test]
    fn a_ring_has_the_number_of_its_thread() {
        start();
        let thread = std::thread::spawn(|| {
            set_thread_number(41);
            keep(&decision(4_141));
        });
        thread.join().unwrap();
        let texts = texts();
        let own = texts.iter().find(|text| text.contains(" 4141 ")).expect("it is kept");
        assert!(own.starts_with("flight recorder, thread 41: the last 1 of 1\n"), "{own}");
    }

    #[test]
    fn a_ring_keeps_the_last_entries() {
        let mut ring = Ring::default();
        for number in 0..5000 {
            ring.push(decision(number));
        }
        let text = ring.text(3);
        assert!(text.starts_with("flight recorder, thread 3: the last 4096 of 5000\n"));
        assert_eq!(text.lines().count(), 4097);
        assert!(text.lines().nth(1).unwrap().contains("904 "), "{}", text.lines().nth(1).unwrap());
        assert!(text.lines().last().unwrap().contains("4999 "));
    }
}
