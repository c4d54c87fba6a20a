//! Our timers beside what the standard library has: a heap that forgets nobody, and a tree.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use criterion::Criterion;
use epollite::{Instant, TimerHeap};

/// Connections with a deadline each.
const KEYS: u32 = 10_000;

/// How long each may be silent, when one of them speaks each microsecond: nobody ever expires.
const TIMEOUT: Duration = Duration::from_millis(20);

/// What can be done to deadlines by key.
trait Deadlines {
    fn set(&mut self, key: u32, deadline: Instant);
    fn cancel(&mut self, key: u32);
    fn expire(&mut self, now: Instant) -> Option<u32>;
}

/// All of them.
pub(super) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers re-arm 10000");
    group.bench_function("ours", |bencher| rearm(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        rearm(bencher, LazyDeletionHeap::default())
    });
    group.bench_function("a tree", |bencher| rearm(bencher, Tree::default()));
    group.finish();
    let mut group = criterion.benchmark_group("timers arm and cancel 10000");
    group.bench_function("ours", |bencher| arm_and_cancel(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        arm_and_cancel(bencher, LazyDeletionHeap::default());
    });
    group.bench_function("a tree", |bencher| arm_and_cancel(bencher, Tree::default()));
    group.finish();
    let mut group = criterion.benchmark_group("timers expire one of 10000");
    group.bench_function("ours", |bencher| expire(bencher, TimerHeap::new()));
    group.bench_function("a heap with tombstones", |bencher| {
        expire(bencher, LazyDeletionHeap::default())
    });
    group.bench_function("a tree", |bencher| expire(bencher, Tree::default()));
    group.finish();
}

/// Somebody has spoken, and may be silent anew; now and then somebody looks who was silent for too
/// long. That is what an idle timeout does all day.
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

/// A deadline for one answer, which comes.
fn arm_and_cancel(bencher: &mut criterion::Bencher<'_>, mut timers: impl Deadlines) {
    let mut now = filled(&mut timers);
    let mut nth = 0;
    bencher.iter(|| {
        now = now + Duration::from_micros(1);
        nth += 1;
        timers.set(KEYS + nth % 64, now + TIMEOUT / 2);
        timers.cancel(KEYS + nth % 64);
        // Those that are left have nothing to fear: each is asked for later again.
        timers.set(scattered(nth), now + TIMEOUT);
        timers.expire(now)
    });
}

/// The earliest is over, and is given another.
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

/// Every key has a deadline, in no order; the time it is then.
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

/// The usual heap: who is moved leaves a tombstone, which goes when its time comes.
#[derive(Default)]
struct LazyDeletionHeap {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The deadline that counts, of each key.
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

/// An ordered set, from which anybody can be taken.
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
