//! Epoll: who is told what, and when.
//!
//! Knows files only by two questions, the two that Linux asks too: *what is so now*
//! (`World::poll`), and *tell me when something happens* (the wait queue, `World::wake`). Every
//! rule of readiness stands in this file:
//!
//! ```text
//!   epoll_ctl ADD, MOD ── asks what is so ──┐             ┌── ONESHOT: disarmed until MOD
//!                                           v             │   ET: gone until the next wake
//!   something happens ── wakes the item ─> READY LIST ─> epoll_wait asks again what is so
//!   (a key says what)                       ^             │
//!                                           └── LT: back to the end, to be asked next time
//! ```
//!
//! *Level and edge differ in one line only*: whether an item that was reported goes back to the
//! ready list. All else follows: an edge is a wake-up, one for each arrival whether or not the
//! last has been read; a level is "ask again"; nothing is ever reported that is not so when
//! `epoll_wait` asks.

use alloc::collections::{BTreeMap, VecDeque};
use core::mem;
use core::time::Duration;

use super::world::{ANYTHING, FileId, Node, Result, Watcher, World};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT};
use crate::kernel::{Control, EpollEvent};

/// How deep epolls may watch epolls.
///
/// Reference: fs/eventpoll.c: `EP_MAX_NESTS`
const NESTS_MAX: usize = 4;

/// Bits that are about the registration, not about the file. An item with none besides is
/// disarmed.
///
/// Reference: fs/eventpoll.c: `EP_PRIVATE_BITS`
const PRIVATE: u32 = EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

/// All that goes with `EPOLLEXCLUSIVE`.
///
/// Reference: fs/eventpoll.c: `EPOLLEXCLUSIVE_OK_BITS`
const EXCLUSIVE_OK: u32 = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET | EPOLLEXCLUSIVE;

/// What a registration is known by: the open file *and* the number it was registered under.
/// So a duplicate can be registered beside its original; and when the number is closed while
/// a duplicate lives, the registration lives on and nobody can name it.
///
/// Man page: epoll(7), questions 1 and 6
type Key = (FileId, u32);

#[derive(Default)]
pub(super) struct Epoll {
    /// The interest list.
    items: BTreeMap<Key, Item>,
    /// The ready list: items to be asked at the next wait. An item is here at most once.
    ready: VecDeque<Key>,
}

struct Item {
    events: u32,
    data: u64,
    is_ready: bool,
}

impl World {
    /// Reference: fs/eventpoll.c: `do_epoll_ctl`; man page: epoll_ctl(2)
    pub(super) fn epoll_ctl(&mut self, epoll: FileId, control: Control, key: Key) -> Result<()> {
        let (file, _) = key;
        // Regular files are always ready and have no wait queue.
        if matches!(self.at(file).node, Node::Regular) {
            return Err(Errno::EPERM);
        }
        if epoll == file || self.find_epoll(epoll).is_none() {
            return Err(Errno::EINVAL);
        }
        let is_nested = self.find_epoll(file).is_some();
        let events = match control {
            Control::Add(event) | Control::Modify(event) => event.events(),
            Control::Delete => 0,
        };
        if events & EPOLLEXCLUSIVE != 0 {
            let is_change = matches!(control, Control::Modify(_));
            if is_change || is_nested || events & !EXCLUSIVE_OK != 0 {
                return Err(Errno::EINVAL);
            }
        }
        let is_new = matches!(control, Control::Add(_));
        if is_new && is_nested && self.would_nest_too_deep(epoll, file) {
            return Err(Errno::ELOOP);
        }
        let known = self.epoll(epoll).items.get(&key);
        let was_exclusive = known.map(|item| item.events & EPOLLEXCLUSIVE != 0);
        match (control, was_exclusive) {
            (Control::Add(_), Some(_)) => return Err(Errno::EEXIST),
            (Control::Modify(_) | Control::Delete, None) => return Err(Errno::ENOENT),
            (Control::Modify(_), Some(true)) => return Err(Errno::EINVAL),
            (Control::Add(event), None) => self.insert(epoll, key, event),
            (Control::Modify(event), Some(false)) => self.change(epoll, key, event),
            (Control::Delete, Some(_)) => self.remove(epoll, key),
        }
        Ok(())
    }

    /// A new item stands in the file's wait queue, and in the ready list at once when what it
    /// wants is so already: registering late loses nothing, edge-triggered or not.
    ///
    /// Reference: fs/eventpoll.c: `ep_insert`, `ep_ptable_queue_proc`
    fn insert(&mut self, epoll: FileId, key: Key, event: EpollEvent) {
        let item = Item { events: asked(event), data: event.data(), is_ready: false };
        let is_exclusive = item.events & EPOLLEXCLUSIVE != 0;
        self.epoll(epoll).items.insert(key, item);
        let (file, number) = key;
        let watchers = &mut self.at(file).watchers;
        let watcher = Watcher { epoll, number };
        // The last to come is the first to be told; the exclusive ones are told last.
        if is_exclusive {
            watchers.push_back(watcher);
        } else {
            watchers.push_front(watcher);
        }
        self.arrived_if_so(epoll, key);
    }

    /// `MOD`, even with the same mask, asks again what is so: it re-arms a one-shot, and gives
    /// back the edge to who stopped reading too early.
    ///
    /// Reference: fs/eventpoll.c: `ep_modify`
    fn change(&mut self, epoll: FileId, key: Key, event: EpollEvent) {
        let item = self.item(epoll, key);
        (item.events, item.data) = (asked(event), event.data());
        self.arrived_if_so(epoll, key);
    }

    fn arrived_if_so(&mut self, epoll: FileId, key: Key) {
        if self.poll_item(epoll, key) != 0 && self.make_ready(epoll, key) {
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
        let watchers = &mut self.at(file).watchers;
        watchers.retain(|watcher| *watcher != Watcher { epoll, number });
    }

    /// Something happened to the file of `key`. A disarmed item does not hear of it, not even
    /// of an error; others do when the key says something they asked for, or nothing. An epoll
    /// that watches this one hears of it whether or not the item was ready before.
    ///
    /// `EPOLLEXCLUSIVE` makes no difference here: it spares the second of two epolls on which
    /// somebody *sleeps*, and in this world nobody sleeps while something happens.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll_callback`
    pub(super) fn arrived(&mut self, epoll: FileId, key: Key, what: u32) {
        let events = self.item(epoll, key).events;
        let is_armed = events & !PRIVATE != 0;
        if is_armed && (what == ANYTHING || what & events != 0) {
            self.make_ready(epoll, key);
            self.wake(epoll, EPOLLIN);
        }
    }

    /// To the end of the ready list, unless it is there already: returns which.
    fn make_ready(&mut self, epoll: FileId, key: Key) -> bool {
        let was_ready = mem::replace(&mut self.item(epoll, key).is_ready, true);
        if !was_ready {
            self.epoll(epoll).ready.push_back(key);
        }
        !was_ready
    }

    /// What of that which the item asked for is so now.
    ///
    /// Reference: fs/eventpoll.c: `ep_item_poll`
    fn poll_item(&mut self, epoll: FileId, key: Key) -> u32 {
        self.poll(key.0) & self.item(epoll, key).events
    }

    /// Takes the ready list from the front: asks each item again, reports what is so, and
    /// drops what is not. What is level-triggered goes to the end of the list, behind those
    /// that had no room this time, so that a small `events` is served round robin.
    ///
    /// Reference: fs/eventpoll.c: `ep_send_events`
    fn collect(&mut self, epoll: FileId, events: &mut [EpollEvent]) -> usize {
        let mut waiting = mem::take(&mut self.epoll(epoll).ready);
        let mut count = 0;
        while count < events.len()
            && let Some(key) = waiting.pop_front()
        {
            let so = self.poll_item(epoll, key);
            let item = self.item(epoll, key);
            item.is_ready = false;
            if so == 0 {
                continue;
            }
            events[count] = EpollEvent::new(so, item.data);
            count += 1;
            if item.events & EPOLLONESHOT != 0 {
                item.events &= PRIVATE;
            } else if item.events & EPOLLET == 0 {
                self.make_ready(epoll, key);
            }
        }
        let found = self.epoll(epoll);
        waiting.append(&mut found.ready);
        found.ready = waiting;
        count
    }

    /// An epoll is itself a file: readable when an item of its ready list is still so. Those
    /// that are not are dropped on the way, as a wait would.
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

    /// Waits: reports what is ready; else, when it may wait, the clock goes on to the timeout.
    /// A signal only ends a wait that would have to wait.
    ///
    /// Reference: fs/eventpoll.c: `ep_poll`
    ///
    /// # Panics
    /// Nothing is ready, and no timeout: with one thread in the world, a lost wake-up.
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
        self.catch_up();
        self.draw_noise(epoll);
        let count = self.collect(epoll, events);
        if count > 0 || timeout == Some(Duration::ZERO) {
            return Ok(count);
        }
        let is_interrupted = mem::take(&mut self.processes[process].is_interrupted);
        if is_interrupted || self.chance.happens(self.config.odds.interrupted) {
            return Err(Errno::EINTR);
        }
        let Some(timeout) = timeout else {
            panic!("nobody will ever wake this wait: nothing is ready, and no timeout is set");
        };
        self.now = self.now + timeout;
        Ok(0)
    }

    /// What may be so on Linux too: an edge comes twice, the order is another.
    fn draw_noise(&mut self, epoll: FileId) {
        let odds = self.config.odds;
        if self.chance.happens(odds.repeated_edge) {
            let count = self.epoll(epoll).items.len();
            let drawn = self.chance.below(count.max(1));
            let again = self.epoll(epoll).items.keys().nth(drawn).copied();
            if let Some(key) = again {
                self.arrived(epoll, key, ANYTHING);
            }
        }
        if self.chance.happens(odds.shuffled) {
            let count = self.epoll(epoll).ready.len();
            let drawn = self.chance.below(count.max(1));
            self.epoll(epoll).ready.rotate_left(drawn);
        }
    }

    /// The last descriptor of `file` was closed: every epoll forgets it. Only now: a close
    /// that leaves a duplicate leaves the registration too.
    ///
    /// Reference: fs/eventpoll.c: `eventpoll_release_file`
    pub(super) fn forget_everywhere(&mut self, file: FileId) {
        while let Some(&Watcher { epoll, number }) = self.at(file).watchers.front() {
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

    /// Whether a path of epolls through `epoll -> file` would close a ring or be too long.
    ///
    /// Reference: fs/eventpoll.c: `ep_loop_check`
    fn would_nest_too_deep(&mut self, epoll: FileId, file: FileId) -> bool {
        let Some(below) = self.depth_below(file, epoll, 0) else {
            return true;
        };
        below + 1 + self.height_above(epoll, 0) > NESTS_MAX
    }

    /// How many epolls deep it goes below `file`; `None` when `top` is among them, or too deep
    /// to go on.
    fn depth_below(&mut self, file: FileId, top: FileId, depth: usize) -> Option<usize> {
        if file == top || depth > NESTS_MAX {
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

    fn height_above(&mut self, epoll: FileId, height: usize) -> usize {
        if height > NESTS_MAX {
            return 0;
        }
        let above = self.at(epoll).watchers.clone();
        let heights = above.iter().map(|watcher| self.height_above(watcher.epoll, height + 1) + 1);
        heights.max().unwrap_or(0)
    }

    fn item(&mut self, epoll: FileId, key: Key) -> &mut Item {
        let item = self.epoll(epoll).items.get_mut(&key);
        item.expect("who stands in a wait queue or a ready list is registered")
    }

    fn epoll(&mut self, file: FileId) -> &mut Epoll {
        self.find_epoll(file).expect("whoever calls has seen that it is an epoll")
    }

    fn find_epoll(&mut self, file: FileId) -> Option<&mut Epoll> {
        match &mut self.at(file).node {
            Node::Epoll(epoll) => Some(epoll),
            _ => None,
        }
    }
}

/// Errors and hang-ups are reported unasked: nobody can mask them.
///
/// Man page: epoll_ctl(2), `EPOLLERR`, `EPOLLHUP`
fn asked(event: EpollEvent) -> u32 {
    event.events() | EPOLLERR | EPOLLHUP
}
