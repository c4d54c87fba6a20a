//! Epoll: what is reported, and when.
//!
//! Knows files only by the two operations that Linux uses too: *current readiness* (the closure
//! [`Poll`]), and *callback on change* (the wait queue, [`Epolls::wake`]). All rules of readiness
//! are in this file:
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

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::entropy::{Entropy, Probabilities};
use super::file::{FileId, Result, WAKE_ALL, err_if};
use super::id_map::IdMap;
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

/// The current readiness of a file that is no epoll, as poll(2) would report it.
pub(super) type Poll<'a> = &'a mut dyn FnMut(FileId) -> u32;

/// All epolls of the kernel, and the wait queues of all files.
pub(super) struct Epolls {
    epolls: BTreeMap<FileId, Epoll>,
    /// Of each file that is watched: the registrations to call back when something happens. An
    /// event costs no search: it finds the queue by the file, and few epolls watch one file.
    wait_queues: IdMap<Vec<Item>>,
}

#[derive(Default)]
struct Epoll {
    /// The interest list. As in Linux a tree, which only `epoll_ctl` searches.
    keys: BTreeSet<Key>,
    /// The ready list: items to be polled at the next wait. An item is in it at most once.
    ready: VecDeque<Key>,
}

/// A registration, in the wait queue of its file: `(that file, number)` in `epoll`'s interest list.
#[derive(Clone, Copy)]
struct Item {
    epoll: FileId,
    data: u64,
    number: u32,
    events: u32,
    is_ready: bool,
}

impl Epolls {
    pub(super) const fn new() -> Self {
        Self { epolls: BTreeMap::new(), wait_queues: IdMap::new() }
    }

    /// `file` is a new epoll.
    pub(super) fn create(&mut self, file: FileId) {
        self.epolls.insert(file, Epoll::default());
    }

    /// Whether `file` is an epoll.
    pub(super) fn contains(&self, file: FileId) -> bool {
        self.epolls.contains_key(&file)
    }

    /// Reference: fs/eventpoll.c: `do_epoll_ctl`; man page: epoll_ctl(2)
    pub(super) fn ctl(
        &mut self,
        epoll: FileId,
        op: EpollOp,
        key: Key,
        poll: Poll<'_>,
    ) -> Result<()> {
        let (file, _) = key;
        err_if(epoll == file || !self.contains(epoll), Errno::EINVAL)?;
        let is_nested = self.contains(file);
        let events = match op {
            EpollOp::Add(event) | EpollOp::Modify(event) => event.events(),
            EpollOp::Delete => 0,
        };
        if events & EPOLLEXCLUSIVE != 0 {
            let is_change = matches!(op, EpollOp::Modify(_));
            err_if(is_change || is_nested || events & !EXCLUSIVE_OK_BITS != 0, Errno::EINVAL)?;
        }
        let is_new = matches!(op, EpollOp::Add(_));
        err_if(is_new && is_nested && self.loop_check(epoll, file), Errno::ELOOP)?;
        let is_known = self.epoll(epoll).keys.contains(&key);
        let was_exclusive = is_known.then(|| self.item(epoll, key).events & EPOLLEXCLUSIVE != 0);
        match (op, was_exclusive) {
            (EpollOp::Add(_), Some(_)) => return Err(Errno::EEXIST),
            (EpollOp::Modify(_) | EpollOp::Delete, None) => return Err(Errno::ENOENT),
            (EpollOp::Modify(_), Some(true)) => return Err(Errno::EINVAL),
            (EpollOp::Add(event), None) => self.insert(epoll, key, event, poll),
            (EpollOp::Modify(event), Some(false)) => self.modify(epoll, key, event, poll),
            (EpollOp::Delete, Some(_)) => self.remove(epoll, key),
        }
        Ok(())
    }

    /// A new item is added to the file's wait queue, and to the ready list at once if it is ready:
    /// registering late loses nothing, edge-triggered or not.
    ///
    /// Reference: fs/eventpoll.c: `ep_insert`, `ep_ptable_queue_proc`
    fn insert(&mut self, epoll: FileId, key: Key, event: EpollEvent, poll: Poll<'_>) {
        let ((file, number), data) = (key, event.data());
        let item = Item { epoll, number, events: effective_mask(event), data, is_ready: false };
        self.epoll(epoll).keys.insert(key);
        match self.wait_queues.get_mut(file) {
            None => self.wait_queues.insert(file, vec![item]),
            // The newest entry is called first; exclusive ones are called last.
            Some(wait_queue) if item.events & EPOLLEXCLUSIVE != 0 => wait_queue.push(item),
            Some(wait_queue) => wait_queue.insert(0, item),
        }
        self.queue_if_ready(epoll, key, poll);
    }

    /// `MOD`, even with the same mask, polls the file again: it re-arms a one-shot item, and
    /// repeats an edge for a reader that stopped before `EAGAIN`.
    ///
    /// Reference: fs/eventpoll.c: `ep_modify`
    fn modify(&mut self, epoll: FileId, key: Key, event: EpollEvent, poll: Poll<'_>) {
        let item = self.item(epoll, key);
        (item.events, item.data) = (effective_mask(event), event.data());
        self.queue_if_ready(epoll, key, poll);
    }

    fn queue_if_ready(&mut self, epoll: FileId, key: Key, poll: Poll<'_>) {
        if self.poll_item(epoll, key, poll) != 0 && self.queue_ready(epoll, key) {
            self.wake(epoll, EPOLLIN);
        }
    }

    /// Reference: fs/eventpoll.c: `ep_remove`
    fn remove(&mut self, epoll: FileId, key: Key) {
        let (file, number) = key;
        let wait_queue = self.wait_queues.get_mut(file).expect(ITEM_IS_REGISTERED);
        let at = wait_queue.iter().position(|item| item.is_of(epoll, number));
        let item = wait_queue.remove(at.expect(ITEM_IS_REGISTERED));
        if wait_queue.is_empty() {
            self.wait_queues.remove(file);
        }
        self.forget(file, item);
    }

    /// An item has left its wait queue: its epoll drops it too.
    fn forget(&mut self, file: FileId, item: Item) {
        let (epoll, key) = (self.epoll(item.epoll), (file, item.number));
        epoll.keys.remove(&key);
        if item.is_ready {
            epoll.ready.retain(|ready| *ready != key);
        }
    }

    /// Something happened to `file`: calls each registration back, in the order of the wait queue.
    /// `key` says what may have changed; registrations without interest in it are skipped.
    ///
    /// Reference: kernel/sched/wait.c: `__wake_up_common`
    pub(super) fn wake(&mut self, file: FileId, key: u32) {
        let mut index = 0;
        while let Some(&item) =
            self.wait_queues.get(file).and_then(|wait_queue| wait_queue.get(index))
        {
            self.poll_callback(file, item, key);
            index += 1;
        }
    }

    /// Something happened to the file of `item`. A disarmed item ignores it, even an error; others
    /// become ready when the key contains something they asked for, or nothing. An epoll that
    /// watches this one is called back whether or not the item was ready before.
    ///
    /// `EPOLLEXCLUSIVE` makes no difference here: it avoids waking the second of two epolls with
    /// *sleeping* waiters, and in this model no thread sleeps while something happens.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll_callback`
    fn poll_callback(&mut self, file: FileId, item: Item, what: u32) {
        let is_armed = item.events & !PRIVATE_BITS != 0;
        if is_armed && (what == WAKE_ALL || what & item.events != 0) {
            self.queue_ready(item.epoll, (file, item.number));
            self.wake(item.epoll, EPOLLIN);
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
    fn poll_item(&mut self, epoll: FileId, key: Key, poll: Poll<'_>) -> u32 {
        let (file, _) = key;
        let mask = if self.contains(file) { self.poll_epoll(file, poll) } else { poll(file) };
        mask & self.item(epoll, key).events
    }

    /// Takes items from the front of the ready list: polls each, reports what is ready, and drops
    /// what is not. Level-triggered items go back to the end of the list, behind those that did
    /// not fit, so that a small `events` is served round-robin.
    ///
    /// Reference: fs/eventpoll.c: `ep_send_events`
    pub(super) fn send_events(
        &mut self,
        epoll: FileId,
        events: &mut [EpollEvent],
        poll: Poll<'_>,
    ) -> usize {
        let mut waiting = mem::take(&mut self.epoll(epoll).ready);
        let mut count = 0;
        while count < events.len()
            && let Some(key) = waiting.pop_front()
        {
            let mask = self.poll_item(epoll, key, poll);
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
    fn poll_epoll(&mut self, epoll: FileId, poll: Poll<'_>) -> u32 {
        while let Some(&key) = self.epoll(epoll).ready.front() {
            if self.poll_item(epoll, key, poll) != 0 {
                return EPOLLIN;
            }
            self.epoll(epoll).ready.pop_front();
            self.item(epoll, key).is_ready = false;
        }
        0
    }

    /// Behaviour that Linux may show too: an edge is repeated, the order differs.
    pub(super) fn inject_noise(
        &mut self,
        epoll: FileId,
        entropy: &mut Entropy,
        probabilities: Probabilities,
    ) {
        if entropy.chance(probabilities.repeated_edge) {
            let count = self.epoll(epoll).keys.len();
            let drawn = entropy.gen_below(count.max(1));
            let drawn_key = self.epoll(epoll).keys.iter().nth(drawn).copied();
            if let Some(key) = drawn_key {
                let item = *self.item(epoll, key);
                self.poll_callback(key.0, item, WAKE_ALL);
            }
        }
        if entropy.chance(probabilities.shuffled) {
            let count = self.epoll(epoll).ready.len();
            let drawn = entropy.gen_below(count.max(1));
            self.epoll(epoll).ready.rotate_left(drawn);
        }
    }

    /// The last descriptor of `file` was closed: every epoll drops it; an epoll drops what it
    /// watches. Only now: a close that leaves a duplicate open keeps the registration too.
    ///
    /// Reference: fs/eventpoll.c: `eventpoll_release_file`, `ep_clear_and_put`
    pub(super) fn release(&mut self, file: FileId) {
        for item in self.wait_queues.remove(file).unwrap_or_default() {
            self.forget(file, item);
        }
        while let Some(&key) = self.epolls.get(&file).and_then(|epoll| epoll.keys.first()) {
            self.remove(file, key);
        }
        self.epolls.remove(&file);
    }

    /// Whether adding `epoll -> file` would close a cycle of epolls or make a path too long.
    ///
    /// Reference: fs/eventpoll.c: `ep_loop_check`
    fn loop_check(&self, epoll: FileId, file: FileId) -> bool {
        let Some(below) = self.depth_below(file, epoll, 0) else {
            return true;
        };
        below + 1 + self.depth_above(epoll, 0) > MAX_NESTS
    }

    /// The depth of nested epolls below `file`; `None` when `top` is among them, or beyond the
    /// limit.
    fn depth_below(&self, file: FileId, top: FileId, depth: usize) -> Option<usize> {
        if file == top || depth > MAX_NESTS {
            return None;
        }
        let mut deepest = 0;
        for &(inner, _) in &self.epolls[&file].keys {
            if self.contains(inner) {
                deepest = deepest.max(self.depth_below(inner, top, depth + 1)? + 1);
            }
        }
        Some(deepest)
    }

    fn depth_above(&self, epoll: FileId, height: usize) -> usize {
        if height > MAX_NESTS {
            return 0;
        }
        let above = self.wait_queues.get(epoll).into_iter().flatten();
        let heights = above.map(|item| self.depth_above(item.epoll, height + 1) + 1);
        heights.max().unwrap_or(0)
    }

    fn item(&mut self, epoll: FileId, (file, number): Key) -> &mut Item {
        let wait_queue = self.wait_queues.get_mut(file).expect(ITEM_IS_REGISTERED);
        let item = wait_queue.iter_mut().find(|item| item.is_of(epoll, number));
        item.expect(ITEM_IS_REGISTERED)
    }

    fn epoll(&mut self, file: FileId) -> &mut Epoll {
        self.epolls.get_mut(&file).expect("the caller has checked that it is an epoll")
    }
}

const ITEM_IS_REGISTERED: &str = "a key in an interest list or ready list is in a wait queue";

impl Item {
    const fn is_of(&self, epoll: FileId, number: u32) -> bool {
        self.epoll == epoll && self.number == number
    }
}

/// Errors and hang-ups are always reported: they cannot be masked.
///
/// Man page: epoll_ctl(2), `EPOLLERR`, `EPOLLHUP`
fn effective_mask(event: EpollEvent) -> u32 {
    event.events() | EPOLLERR | EPOLLHUP
}
