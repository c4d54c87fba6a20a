//! Epoll: what is reported, and when.
//!
//! Knows files only by the two operations that Linux uses too: *current readiness*
//! (`KernelState::poll`), and *callback on change* (the wait queue, `KernelState::wake`). All rules
//! of readiness are in this file:
//!
//! ```text
//!   epoll_ctl ADD, MOD ── polls the file ───┐             ┌── ONESHOT: disarmed until MOD
//!                                           v             │   ET: removed until the next wake
//!   something happens ── poll_callback ──> READY LIST ─> epoll_wait polls the file again
//!   (a key says what)                       ^             │
//!                                           └── LT: back to the end, to be polled next time
//! ```
//!
//! *Level and edge differ in one line only*: whether a reported item is put back on the ready
//! list. Everything else follows: an edge is a wake-up, one per arrival whether or not earlier data
//! has been read; a level is "poll again"; a condition is only reported if it holds when
//! `epoll_wait` polls.

use alloc::collections::{BTreeMap, VecDeque};
use core::mem;
use core::time::Duration;

use super::state::{FileId, FileKind, KernelState, Result, WAKE_ALL, WaitEntry};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT};
use crate::kernel::{EpollEvent, EpollOp};

/// How deep epolls may be nested.
///
/// Reference: fs/eventpoll.c: `EP_MAX_NESTS`
const MAX_NESTS: usize = 4;

/// Flags of the registration, not of the file. An item without any other bits is disarmed.
///
/// Reference: fs/eventpoll.c: `EP_PRIVATE_BITS`
const PRIVATE_BITS: u32 = EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

/// All bits that may be combined with `EPOLLEXCLUSIVE`.
///
/// Reference: fs/eventpoll.c: `EPOLLEXCLUSIVE_OK_BITS`
const EXCLUSIVE_OK_BITS: u32 = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET | EPOLLEXCLUSIVE;

/// The key of a registration: the open file *and* the descriptor number it was registered under.
/// So a duplicate can be registered besides its original; and when the number is closed while a
/// duplicate is open, the registration remains and cannot be addressed.
///
/// Man page: epoll(7), questions 1 and 6
type Key = (FileId, u32);

#[derive(Default)]
pub(super) struct Epoll {
    /// The interest list.
    items: BTreeMap<Key, Item>,
    /// The ready list: items to be polled at the next wait. An item is in it at most once.
    ready: VecDeque<Key>,
}

struct Item {
    events: u32,
    data: u64,
    is_ready: bool,
}

impl KernelState {
    /// Reference: fs/eventpoll.c: `do_epoll_ctl`; man page: epoll_ctl(2)
    pub(super) fn epoll_ctl(&mut self, epoll: FileId, op: EpollOp, key: Key) -> Result<()> {
        let (file, _) = key;
        // Regular files are always ready and have no wait queue.
        if matches!(self.file_mut(file).kind, FileKind::Regular) {
            return Err(Errno::EPERM);
        }
        if epoll == file || self.find_epoll(epoll).is_none() {
            return Err(Errno::EINVAL);
        }
        let is_nested = self.find_epoll(file).is_some();
        let events = match op {
            EpollOp::Add(event) | EpollOp::Modify(event) => event.events(),
            EpollOp::Delete => 0,
        };
        if events & EPOLLEXCLUSIVE != 0 {
            let is_change = matches!(op, EpollOp::Modify(_));
            if is_change || is_nested || events & !EXCLUSIVE_OK_BITS != 0 {
                return Err(Errno::EINVAL);
            }
        }
        let is_new = matches!(op, EpollOp::Add(_));
        if is_new && is_nested && self.loop_check(epoll, file) {
            return Err(Errno::ELOOP);
        }
        let known = self.epoll(epoll).items.get(&key);
        let was_exclusive = known.map(|item| item.events & EPOLLEXCLUSIVE != 0);
        match (op, was_exclusive) {
            (EpollOp::Add(_), Some(_)) => return Err(Errno::EEXIST),
            (EpollOp::Modify(_) | EpollOp::Delete, None) => return Err(Errno::ENOENT),
            (EpollOp::Modify(_), Some(true)) => return Err(Errno::EINVAL),
            (EpollOp::Add(event), None) => self.insert(epoll, key, event),
            (EpollOp::Modify(event), Some(false)) => self.modify(epoll, key, event),
            (EpollOp::Delete, Some(_)) => self.remove(epoll, key),
        }
        Ok(())
    }

    /// A new item is added to the file's wait queue, and to the ready list at once if it is ready:
    /// registering late loses nothing, edge-triggered or not.
    ///
    /// Reference: fs/eventpoll.c: `ep_insert`, `ep_ptable_queue_proc`
    fn insert(&mut self, epoll: FileId, key: Key, event: EpollEvent) {
        let item = Item { events: effective_mask(event), data: event.data(), is_ready: false };
        let is_exclusive = item.events & EPOLLEXCLUSIVE != 0;
        self.epoll(epoll).items.insert(key, item);
        let (file, number) = key;
        let wait_queue = &mut self.file_mut(file).wait_queue;
        let entry = WaitEntry { epoll, number };
        // The newest entry is called first; exclusive ones are called last.
        if is_exclusive {
            wait_queue.push_back(entry);
        } else {
            wait_queue.push_front(entry);
        }
        self.queue_if_ready(epoll, key);
    }

    /// `MOD`, even with the same mask, polls the file again: it re-arms a one-shot item, and
    /// repeats an edge for a reader that stopped before `EAGAIN`.
    ///
    /// Reference: fs/eventpoll.c: `ep_modify`
    fn modify(&mut self, epoll: FileId, key: Key, event: EpollEvent) {
        let item = self.item(epoll, key);
        (item.events, item.data) = (effective_mask(event), event.data());
        self.queue_if_ready(epoll, key);
    }

    fn queue_if_ready(&mut self, epoll: FileId, key: Key) {
        if self.poll_item(epoll, key) != 0 && self.queue_ready(epoll, key) {
            self.wake(epoll, EPOLLIN);
        }
    }

    /// Reference: fs/eventpoll.c: `ep_remove`
    fn remove(&mut self, epoll: FileId, key: Key) {
        let (file, number) = key;
        let found = self.epoll(epoll);
        if found.items.remove(&key).is_some_and(|item| item.is_ready) {
            found.ready.retain(|ready| *ready != key);
        }
        let wait_queue = &mut self.file_mut(file).wait_queue;
        wait_queue.retain(|entry| *entry != WaitEntry { epoll, number });
    }

    /// Something happened to the file of `key`. A disarmed item ignores it, even an error; others
    /// become ready when the key contains something they asked for, or nothing. An epoll that
    /// watches this one is called back whether or not the item was ready before.
    ///
    /// `EPOLLEXCLUSIVE` makes no difference here: it avoids waking the second of two epolls with
    /// *sleeping* waiters, and in this model no thread sleeps while something happens.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll_callback`
    pub(super) fn poll_callback(&mut self, epoll: FileId, key: Key, what: u32) {
        let events = self.item(epoll, key).events;
        let is_armed = events & !PRIVATE_BITS != 0;
        if is_armed && (what == WAKE_ALL || what & events != 0) {
            self.queue_ready(epoll, key);
            self.wake(epoll, EPOLLIN);
        }
    }

    /// Appends to the ready list, unless it is in it already; returns whether it was appended.
    fn queue_ready(&mut self, epoll: FileId, key: Key) -> bool {
        let was_ready = mem::replace(&mut self.item(epoll, key).is_ready, true);
        if !was_ready {
            self.epoll(epoll).ready.push_back(key);
        }
        !was_ready
    }

    /// The item's current readiness within its interest.
    ///
    /// Reference: fs/eventpoll.c: `ep_item_poll`
    fn poll_item(&mut self, epoll: FileId, key: Key) -> u32 {
        self.poll(key.0) & self.item(epoll, key).events
    }

    /// Takes items from the front of the ready list: polls each, reports what is ready, and drops
    /// what is not. Level-triggered items go back to the end of the list, behind those that did
    /// not fit, so that a small `events` is served round-robin.
    ///
    /// Reference: fs/eventpoll.c: `ep_send_events`
    fn send_events(&mut self, epoll: FileId, events: &mut [EpollEvent]) -> usize {
        let mut waiting = mem::take(&mut self.epoll(epoll).ready);
        let mut count = 0;
        while count < events.len()
            && let Some(key) = waiting.pop_front()
        {
            let mask = self.poll_item(epoll, key);
            let item = self.item(epoll, key);
            item.is_ready = false;
            if mask == 0 {
                continue;
            }
            events[count] = EpollEvent::new(mask, item.data);
            count += 1;
            if item.events & EPOLLONESHOT != 0 {
                item.events &= PRIVATE_BITS;
            } else if item.events & EPOLLET == 0 {
                self.queue_ready(epoll, key);
            }
        }
        let found = self.epoll(epoll);
        waiting.append(&mut found.ready);
        found.ready = waiting;
        count
    }

    /// An epoll is itself a file: readable when an item of its ready list is still ready. Items
    /// that are not are dropped on the way, as in a wait.
    ///
    /// Reference: fs/eventpoll.c: `__ep_eventpoll_poll`
    pub(super) fn poll_epoll(&mut self, epoll: FileId) -> u32 {
        while let Some(&key) = self.epoll(epoll).ready.front() {
            if self.poll_item(epoll, key) != 0 {
                return EPOLLIN;
            }
            self.epoll(epoll).ready.pop_front();
            self.item(epoll, key).is_ready = false;
        }
        0
    }

    /// Waits: reports what is ready; otherwise, if it may block, the clock advances to the
    /// timeout. A signal only interrupts a wait that would block.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll`
    ///
    /// # Panics
    /// Nothing is ready, and no timeout: with a single thread, a lost wake-up.
    pub(super) fn epoll_wait(
        &mut self,
        process: usize,
        epoll: FileId,
        events: &mut [EpollEvent],
        timeout: Option<Duration>,
    ) -> Result<usize> {
        if events.is_empty() || self.find_epoll(epoll).is_none() {
            return Err(Errno::EINVAL);
        }
        self.run_deferred();
        self.inject_noise(epoll);
        let count = self.send_events(epoll, events);
        if count > 0 || timeout == Some(Duration::ZERO) {
            return Ok(count);
        }
        let is_interrupted = mem::take(&mut self.processes[process].is_interrupted);
        if is_interrupted || self.entropy.chance(self.config.probabilities.interrupted) {
            return Err(Errno::EINTR);
        }
        let Some(timeout) = timeout else {
            panic!("endless wait: nothing is ready, and no timeout is set");
        };
        self.now = self.now + timeout;
        Ok(0)
    }

    /// Behaviour that Linux may show too: an edge is repeated, the order differs.
    fn inject_noise(&mut self, epoll: FileId) {
        let probabilities = self.config.probabilities;
        if self.entropy.chance(probabilities.repeated_edge) {
            let count = self.epoll(epoll).items.len();
            let drawn = self.entropy.gen_below(count.max(1));
            let drawn_key = self.epoll(epoll).items.keys().nth(drawn).copied();
            if let Some(key) = drawn_key {
                self.poll_callback(epoll, key, WAKE_ALL);
            }
        }
        if self.entropy.chance(probabilities.shuffled) {
            let count = self.epoll(epoll).ready.len();
            let drawn = self.entropy.gen_below(count.max(1));
            self.epoll(epoll).ready.rotate_left(drawn);
        }
    }

    /// The last descriptor of `file` was closed: every epoll drops it. Only now: a close that
    /// leaves a duplicate open keeps the registration too.
    ///
    /// Reference: fs/eventpoll.c: `eventpoll_release_file`
    pub(super) fn release_from_epolls(&mut self, file: FileId) {
        while let Some(&WaitEntry { epoll, number }) = self.file_mut(file).wait_queue.front() {
            self.remove(epoll, (file, number));
        }
    }

    /// Reference: fs/eventpoll.c: `ep_clear_and_put`
    pub(super) fn close_epoll(&mut self, epoll: FileId) {
        while let Some((&key, _)) = self.epoll(epoll).items.first_key_value() {
            self.remove(epoll, key);
        }
        self.files.remove(&epoll);
    }

    /// Whether adding `epoll -> file` would close a cycle of epolls or make a path too long.
    ///
    /// Reference: fs/eventpoll.c: `ep_loop_check`
    fn loop_check(&mut self, epoll: FileId, file: FileId) -> bool {
        let Some(below) = self.depth_below(file, epoll, 0) else {
            return true;
        };
        below + 1 + self.depth_above(epoll, 0) > MAX_NESTS
    }

    /// The depth of nested epolls below `file`; `None` when `top` is among them, or beyond the
    /// limit.
    fn depth_below(&mut self, file: FileId, top: FileId, depth: usize) -> Option<usize> {
        if file == top || depth > MAX_NESTS {
            return None;
        }
        let mut deepest = 0;
        let inner: VecDeque<FileId> = self.epoll(file).items.keys().map(|key| key.0).collect();
        for inner in inner {
            if self.find_epoll(inner).is_some() {
                deepest = deepest.max(self.depth_below(inner, top, depth + 1)? + 1);
            }
        }
        Some(deepest)
    }

    fn depth_above(&mut self, epoll: FileId, height: usize) -> usize {
        if height > MAX_NESTS {
            return 0;
        }
        let above = self.file_mut(epoll).wait_queue.clone();
        let heights = above.iter().map(|entry| self.depth_above(entry.epoll, height + 1) + 1);
        heights.max().unwrap_or(0)
    }

    fn item(&mut self, epoll: FileId, key: Key) -> &mut Item {
        let item = self.epoll(epoll).items.get_mut(&key);
        item.expect("an item in a wait queue or ready list is registered")
    }

    fn epoll(&mut self, file: FileId) -> &mut Epoll {
        self.find_epoll(file).expect("the caller has checked that it is an epoll")
    }

    fn find_epoll(&mut self, file: FileId) -> Option<&mut Epoll> {
        match &mut self.file_mut(file).kind {
            FileKind::Epoll(epoll) => Some(epoll),
            _ => None,
        }
    }
}

/// Errors and hang-ups are always reported: they cannot be masked.
///
/// Man page: epoll_ctl(2), `EPOLLERR`, `EPOLLHUP`
fn effective_mask(event: EpollEvent) -> u32 {
    event.events() | EPOLLERR | EPOLLHUP
}
