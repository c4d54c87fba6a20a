//! The interest list as the reactor believes it to be, to be compared with the kernel's.
//!
//! Knows registrations, and makes no system call.

use super::reactor::{Reactor, WAKER_DATA};
use super::registration::{PAUSED_BIT, REQUEUE_MASK};
use super::storage::StorageOf;
use crate::audit::EpollEntry;
use crate::event::{EPOLLET, EPOLLIN};
use crate::kernel::Kernel;

impl<T, K: Kernel, S: StorageOf<T>> Reactor<T, K, S> {
    /// Every registration as an entry of the epoll's interest list, in the order of their slots;
    /// the waker, if there is one, is the last. For [`compare`](crate::audit::compare) with
    /// `/proc/self/fdinfo`. Cost: O(slots) for all of them, no system call.
    pub fn interest_list(&self) -> impl Iterator<Item = EpollEntry> + '_ {
        let registered = (0..self.slot_count()).filter_map(|slot| {
            let token = self.registrations.token_at(slot)?;
            let watched = &self.registrations.get(token)?.watched;
            if watched.is_timer() || watched.mask & PAUSED_BIT != 0 {
                return None;
            }
            let events = watched.mask & !REQUEUE_MASK;
            Some(EpollEntry { fd: watched.fd.number(), events, data: token.to_bits(), file: None })
        });
        let waker = self.waker.iter().map(|waker| EpollEntry {
            fd: waker.eventfd().number(),
            events: EPOLLIN | EPOLLET,
            data: WAKER_DATA,
            file: None,
        });
        registered.chain(waker)
    }
}
