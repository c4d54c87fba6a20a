//! `PeerTable`: what is remembered about the addresses of peers.
//!
//! Knows addresses, times and numbers of connections. Invariants:
//!
//! * An address with a connection is in the table. Of the others at most `idle_max` are, so that
//!   the memory is bounded by the connections and that.
//! * One without a connection is forgotten only when its rate is not used at all, which changes
//!   nothing, or after `idle_max` others have been seen since it was. So a peer that wants to be
//!   forgotten needs more than `idle_max` addresses, each of which has a limit of its own.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::collections::Array as _;
use crate::instant::Instant;
use crate::net::Addr;

/// How often something may happen: `count` times per `period`, all of them at once if there were
/// none before; then one each `period / count`, rounded up to a nanosecond. So in no time `t` are
/// there more than `count + t * count / period`. What was not used for a period is not saved up.
///
/// With a `period` of less than `count` nanoseconds it is one each nanosecond. Sums saturate, so
/// that a period of centuries is never over.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use epollite::Instant;
/// use epollite::server::{Admission, PeerLimits, PeerLimitsConfig, Rate, Refusal};
///
/// let count = NonZeroU32::new(2).expect("it is not 0");
/// let accept_rate = Some(Rate { count, period: Duration::from_secs(1) });
/// let config = PeerLimitsConfig { accept_rate, ..PeerLimitsConfig::default() };
/// let (mut limits, peer) = (PeerLimits::new(config)?, "10.0.0.1:4000".parse()?);
/// let mut at = |millis| {
///     let id = limits.admit(&peer, Instant::ZERO + Duration::from_millis(millis))?;
///     limits.release(id);
///     Ok(())
/// };
/// assert_eq!([at(0), at(0), at(0)], [Ok(()), Ok(()), Err(Refusal::Rate)]);
/// assert_eq!([at(499), at(500), at(500)], [Err(Refusal::Rate), Ok(()), Err(Refusal::Rate)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    /// How many times: at once, and in each period.
    pub count: NonZeroU32,
    /// In which time, of the kernel's monotonic clock.
    pub period: Duration,
}

impl Rate {
    /// The time that each of them takes, in nanoseconds; at least one. Rounded up, so that there
    /// are never more.
    fn interval_nanos(self) -> u64 {
        let nanos = self.period.as_nanos().div_ceil(u128::from(self.count.get()));
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }
}

/// Whose limits they are: an address of IPv4, or the first half of one of IPv6, since a site or a
/// host has all addresses with that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PeerKey {
    bits: u64,
    is_v6: bool,
}

impl PeerKey {
    /// That of a peer; `None` for one without an IP address.
    pub(super) fn of(peer: &Addr) -> Option<Self> {
        match peer.ip()?.to_canonical() {
            IpAddr::V4(v4) => Some(Self { bits: u32::from(v4).into(), is_v6: false }),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments().map(u64::from);
                Some(Self { bits: a << 48 | b << 32 | c << 16 | d, is_v6: true })
            }
        }
    }
}

/// Of a table that remembers only addresses with a connection: 64 KiB, so that 100,000 of them are
/// found in a few steps.
const BUCKETS_MIN: u32 = 1 << 14;

/// No entry.
const NIL: u32 = u32::MAX;

#[derive(Debug)]
struct Entry {
    key: PeerKey,
    /// Its connections.
    open: u32,
    /// When its rate will not have been used at all, in nanoseconds.
    unused_at: u64,
    /// The next entry of the same bucket; of a free one the next free one.
    next: u32,
    /// The neighbours among the entries without connection, by the time of their last use.
    newer: u32,
    older: u32,
}

/// The table. Every operation is O(1), but for colliding addresses, which a peer cannot choose
/// without `seed`.
#[derive(Debug)]
pub(super) struct PeerTable {
    entries: Vec<Entry>,
    /// The first entry of each bucket.
    buckets: Vec<u32>,
    free: u32,
    newest: u32,
    oldest: u32,
    idle: u32,
    idle_max: u32,
    seed: u64,
}

impl PeerTable {
    /// Creates an empty table; `None` without memory. Cost: one allocation of `idle_max` words, and
    /// at least [`BUCKETS_MIN`].
    pub(super) fn new(idle_max: u32, seed: u64) -> Option<Self> {
        let len = (idle_max.max(BUCKETS_MIN) as usize).checked_next_power_of_two()?;
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(len).ok()?;
        buckets.resize(len, NIL);
        let entries = Vec::new();
        let (free, newest, oldest) = (NIL, NIL, NIL);
        Some(Self { entries, buckets, free, newest, oldest, idle: 0, idle_max, seed })
    }

    /// The entry of an address, a new one if there is none; `None` without memory. Forgets others
    /// that are of no use. The caller calls [`put`](Self::put) when it is done.
    pub(super) fn take(&mut self, key: PeerKey, now: Instant) -> Option<u32> {
        if let Some(index) = self.find(key) {
            if self.entry(index).open == 0 {
                self.unlink_idle(index);
            }
            return Some(index);
        }
        // Two for one: so the table shrinks to what is in use.
        for _ in 0..2 {
            let oldest = self.oldest;
            if oldest != NIL && self.entry(oldest).unused_at <= now.as_nanos() {
                self.forget(oldest);
            }
        }
        self.insert(key)
    }

    /// An entry that was taken: if it has no connection, it is the newest of those.
    pub(super) fn put(&mut self, index: u32) {
        if self.entry(index).open > 0 {
            return;
        }
        let newest = self.newest;
        let entry = self.entry_mut(index);
        (entry.newer, entry.older) = (NIL, newest);
        match newest {
            NIL => self.oldest = index,
            _ => self.entry_mut(newest).newer = index,
        }
        self.newest = index;
        self.idle += 1;
        if self.idle > self.idle_max {
            self.forget(self.oldest);
        }
    }

    /// The number of connections of an entry.
    pub(super) fn connections(&self, index: u32) -> u32 {
        self.entry(index).open
    }

    /// An entry that was taken has one connection more.
    pub(super) fn connect(&mut self, index: u32) {
        self.entry_mut(index).open += 1;
    }

    /// An entry has one connection less.
    pub(super) fn disconnect(&mut self, index: u32) {
        let is_open = self.entries.get(index as usize).is_some_and(|entry| entry.open > 0);
        debug_assert!(is_open, "a connection is released once");
        if is_open {
            self.entry_mut(index).open -= 1;
            self.put(index);
        }
    }

    /// Uses an address's rate `count` times, if it may be used once: for more than there are left,
    /// the next use is later. A use that is refused costs nothing. Returns whether it may.
    pub(super) fn use_rate(&mut self, index: u32, rate: Rate, count: u32, now: Instant) -> bool {
        let (interval, now) = (rate.interval_nanos(), now.as_nanos());
        let entry = self.entry_mut(index);
        let begin = entry.unused_at.max(now);
        let burst = interval.saturating_mul(rate.count.get().into());
        let is_within = begin.saturating_add(interval) - now <= burst;
        if is_within {
            entry.unused_at = begin.saturating_add(interval.saturating_mul(count.into()));
        }
        is_within
    }

    /// How many addresses there are. Cost: O(addresses).
    pub(super) fn len(&self) -> usize {
        let mut free = 0;
        let mut at = self.free;
        while at != NIL {
            (free, at) = (free + 1, self.entry(at).next);
        }
        self.entries.len() - free
    }

    fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    fn entry_mut(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index as usize]
    }

    /// Two multiplications with numbers that a peer does not know, of 128 bits each.
    fn bucket(&self, key: PeerKey) -> usize {
        let mix = |value: u64, secret: u64| {
            let product = u128::from(value) * u128::from(secret | 1);
            let low = product & u128::from(u64::MAX);
            u64::try_from(product >> 64 ^ low).unwrap_or(0)
        };
        let first = mix(key.bits ^ self.seed, self.seed.rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15);
        let second = mix(first ^ u64::from(key.is_v6), self.seed ^ 0xbf58_476d_1ce4_e5b9);
        usize::try_from(second & (self.buckets.len() as u64 - 1)).unwrap_or(0)
    }

    fn find(&self, key: PeerKey) -> Option<u32> {
        let mut at = self.buckets[self.bucket(key)];
        while at != NIL && self.entry(at).key != key {
            at = self.entry(at).next;
        }
        (at != NIL).then_some(at)
    }

    fn insert(&mut self, key: PeerKey) -> Option<u32> {
        let bucket = self.bucket(key);
        let next = self.buckets[bucket];
        let entry = Entry { key, open: 0, unused_at: 0, next, newer: NIL, older: NIL };
        let index = if self.free == NIL {
            let index = u32::try_from(self.entries.len()).ok().filter(|&index| index != NIL)?;
            self.entries.try_push(entry).ok()?;
            index
        } else {
            let index = self.free;
            self.free = self.entry(index).next;
            *self.entry_mut(index) = entry;
            index
        };
        self.buckets[bucket] = index;
        Some(index)
    }

    /// Removes an entry without connection from the order of their use.
    fn unlink_idle(&mut self, index: u32) {
        let &Entry { newer, older, .. } = self.entry(index);
        match newer {
            NIL => self.newest = older,
            _ => self.entry_mut(newer).older = older,
        }
        match older {
            NIL => self.oldest = newer,
            _ => self.entry_mut(older).newer = newer,
        }
        self.idle -= 1;
    }

    /// Removes an entry without connection.
    fn forget(&mut self, index: u32) {
        self.unlink_idle(index);
        let &Entry { key, next, .. } = self.entry(index);
        let bucket = self.bucket(key);
        if self.buckets[bucket] == index {
            self.buckets[bucket] = next;
        } else {
            let mut at = self.buckets[bucket];
            while self.entry(at).next != index {
                at = self.entry(at).next;
            }
            self.entry_mut(at).next = next;
        }
        self.entry_mut(index).next = self.free;
        self.free = index;
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    use super::*;

    /// Of each kind `count`, which differ in their lowest or in their highest bits.
    fn keys(count: u32) -> [Vec<PeerKey>; 4] {
        let key = |ip: IpAddr| PeerKey::of(&SocketAddr::from((ip, 7)).into()).unwrap();
        let v4 = |bits: u32| key(Ipv4Addr::from(bits).into());
        let v6 = |shift: u32| move |bits| key(Ipv6Addr::from(u128::from(bits) << shift).into());
        [
            (0..count).map(v4).collect(),
            (0..count).map(u32::reverse_bits).map(v4).collect(),
            (0..count).map(v6(64)).collect(),
            (0..count).map(v6(110)).collect(),
        ]
    }

    const SEEDS: [u64; 4] = [0, 1, 0x0123_4567_89ab_cdef, u64::MAX];

    #[test]
    fn there_are_as_many_buckets_as_addresses_or_more() {
        for (idle_max, buckets) in [(0, 16_384), (16_384, 16_384), (16_385, 32_768)] {
            assert_eq!(PeerTable::new(idle_max, 7).unwrap().buckets.len(), buckets);
        }
    }

    #[test]
    fn addresses_are_spread_over_the_buckets() {
        for seed in SEEDS {
            let table = PeerTable::new(0, seed).unwrap();
            for keys in keys(BUCKETS_MIN) {
                let mut sizes = alloc::vec![0; table.buckets.len()];
                for key in keys {
                    sizes[table.bucket(key)] += 1;
                }
                let longest = sizes.iter().max().unwrap();
                assert!(*longest < 15, "random ones have 8, but {longest} of seed {seed:#x}");
            }
        }
    }

    /// Among thousands of addresses some share a bucket.
    #[test]
    fn the_addresses_used_last_are_remembered() {
        const COUNT: u32 = 4_000;
        let rate = Rate { count: NonZeroU32::MIN, period: Duration::from_secs(60) };
        for seed in SEEDS {
            for keys in keys(COUNT) {
                let mut table = PeerTable::new(COUNT / 2, seed).unwrap();
                for key in &keys {
                    let index = table.take(*key, Instant::ZERO).unwrap();
                    assert!(table.use_rate(index, rate, 1, Instant::ZERO));
                    table.put(index);
                }
                let (forgotten, known) = keys.split_at(keys.len() / 2);
                assert!(forgotten.iter().all(|key| table.find(*key).is_none()));
                assert!(known.iter().all(|key| table.find(*key).is_some()));
                assert_eq!(table.len(), known.len());
                // Once their rates are unused, each new one takes the place of two.
                let later = Instant::ZERO + rate.period;
                for key in &forgotten[..10] {
                    let index = table.take(*key, later).unwrap();
                    assert!(table.use_rate(index, rate, 1, later));
                    table.put(index);
                }
                assert_eq!(table.len(), known.len() - 10);
                assert!(known[..20].iter().all(|key| table.find(*key).is_none()));
                assert!(known[20..].iter().all(|key| table.find(*key).is_some()));
            }
        }
    }
}
