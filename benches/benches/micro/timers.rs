//! The timer heap compared with the standard library: a lazy-deletion heap, and a tree.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use criterion::Criterion;
use epollite::Instant;
use epollite::collections::TimerHeap;

/// Connections with a deadline each.
const KEYS: u32 = 10_000;

/// Idle timeout, with one connection active per microsecond: no timer ever expires.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Operations on deadlines by key.
trait Deadlines {
    fn set(&mut self, key: u32, deadline: Instant);
    fn cancel(&mut self, key: u32);
    fn expire(&mut self, now: Instant) -> Option<u32>;
}

pub(super) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers re-arm 10000");
    group.bench_function("epollite", |bencher| rearm(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        rearm(bencher, LazyDeletionHeap::default())
    });
    group.bench_function("a tree", |bencher| rearm(bencher, Tree::default()));
    group.finish();
    let mut group = criterion.benchmark_group("timers arm and cancel 10000");
    group.bench_function("epollite", |bencher| arm_and_cancel(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        arm_and_cancel(bencher, LazyDeletionHeap::default());
    });
    group.bench_function("a tree", |bencher| arm_and_cancel(bencher, Tree::default()));
    group.finish();
    let mut group = criterion.benchmark_group("timers expire one of 10000");
    group.bench_function("epollite", |bencher| expire(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        expire(bencher, LazyDeletionHeap::default())
    });
    group.bench_function("a tree", |bencher| expire(bencher, Tree::default()));
    group.finish();
}

/// Re-arms the timer of an active connection and checks for expired ones: the operations of an idle
/// timeout.
fn rearm(bencher: &mut criterion::Bencher<'_>, mut timers: impl Deadlines) {
    let mut now = filled(&mut timers);
    let mut nth = 0;
    bencher.iter(|| {
        now = now + Duration::from_micros(1);
        nth += 1;
        timers.set(scattered(nth), now + TIMEOUT);
        timers.expire(now)
    });
}

/// Arms a timer and cancels it before it expires.
fn arm_and_cancel(bencher: &mut criterion::Bencher<'_>, mut timers: impl Deadlines) {
    let mut now = filled(&mut timers);
    let mut nth = 0;
    bencher.iter(|| {
        now = now + Duration::from_micros(1);
        nth += 1;
        timers.set(KEYS + nth % 64, now + TIMEOUT / 2);
        timers.cancel(KEYS + nth % 64);
        // The other timers are re-armed, so that none expires.
        timers.set(scattered(nth), now + TIMEOUT);
        timers.expire(now)
    });
}

/// Expires the earliest timer and arms it again.
fn expire(bencher: &mut criterion::Bencher<'_>, mut timers: impl Deadlines) {
    let mut now = filled(&mut timers);
    let far = TIMEOUT * 2;
    bencher.iter(|| {
        now = now + Duration::from_micros(2);
        while let Some(key) = timers.expire(now) {
            timers.set(key, now + far);
        }
    });
}

/// Sets a deadline for every key, in scattered order; returns the current time.
fn filled(timers: &mut impl Deadlines) -> Instant {
    for nth in 0..KEYS {
        let later = Duration::from_micros(u64::from(nth));
        timers.set(scattered(nth), Instant::ZERO + TIMEOUT + later);
    }
    Instant::ZERO + Duration::from_micros(u64::from(KEYS))
}

fn scattered(nth: u32) -> u32 {
    nth.wrapping_mul(7_919) % KEYS
}

impl Deadlines for TimerHeap {
    fn set(&mut self, key: u32, deadline: Instant) {
        Self::set(self, key, deadline);
    }

    fn cancel(&mut self, key: u32) {
        Self::cancel(self, key);
    }

    fn expire(&mut self, now: Instant) -> Option<u32> {
        Self::pop_expired(self, now)
    }
}

/// A binary heap with lazy deletion: a moved entry leaves a tombstone, removed when its deadline
/// passes.
#[derive(Default)]
struct LazyDeletionHeap {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The valid deadline of each key.
    valid: Vec<Option<Instant>>,
}

impl Deadlines for LazyDeletionHeap {
    fn set(&mut self, key: u32, deadline: Instant) {
        let index = key as usize;
        if index >= self.valid.len() {
            self.valid.resize(index + 1, None);
        }
        self.valid[index] = Some(deadline);
        self.heap.push(Reverse((deadline, key)));
    }

    fn cancel(&mut self, key: u32) {
        self.valid[key as usize] = None;
    }

    fn expire(&mut self, now: Instant) -> Option<u32> {
        while let Some(&Reverse((deadline, key))) = self.heap.peek() {
            if deadline > now {
                return None;
            }
            self.heap.pop();
            let valid = &mut self.valid[key as usize];
            if *valid == Some(deadline) {
                *valid = None;
                return Some(key);
            }
        }
        None
    }
}

/// An ordered set, from which any entry can be removed.
#[derive(Default)]
struct Tree {
    set: BTreeSet<(Instant, u32)>,
    valid: Vec<Option<Instant>>,
}

impl Deadlines for Tree {
    fn set(&mut self, key: u32, deadline: Instant) {
        let index = key as usize;
        if index >= self.valid.len() {
            self.valid.resize(index + 1, None);
        }
        if let Some(before) = self.valid[index].replace(deadline) {
            self.set.remove(&(before, key));
        }
        self.set.insert((deadline, key));
    }

    fn cancel(&mut self, key: u32) {
        if let Some(before) = self.valid[key as usize].take() {
            self.set.remove(&(before, key));
        }
    }

    fn expire(&mut self, now: Instant) -> Option<u32> {
        let &(deadline, key) = self.set.first()?;
        if deadline > now {
            return None;
        }
        self.set.pop_first();
        self.valid[key as usize] = None;
        Some(key)
    }
}
