//! The slab compared with the crate `slab`: the cost of a generation per slot.

use std::hint::black_box;

use criterion::Criterion;
use epollite::Token;
use epollite::collections::Slab;

/// Number of live entries: fitting a cache line, the L1 cache, and neither.
const LIVE: [usize; 3] = [1, 1_000, 100_000];

/// As large as a connection of the server.
type Value = [u64; 4];

pub(super) fn all(criterion: &mut Criterion) {
    for live in LIVE {
        churn(criterion, live);
        lookup(criterion, live);
    }
    fill(criterion);
}

/// Removes and inserts an entry at a scattered position: accept and close.
fn churn(criterion: &mut Criterion, live: usize) {
    let mut group = criterion.benchmark_group(format!("slab churn {live}"));
    let order = scattered(live);
    group.bench_function("epollite", |bencher| {
        let (mut slab, mut tokens) = epollite_slab(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let place = &mut tokens[*at.next().expect("the iterator is cyclic")];
            let value = slab.remove(*place).expect("it lives");
            *place = slab.insert(value).expect("an entry was just removed");
        });
    });
    group.bench_function("the crate slab", |bencher| {
        let (mut slab, mut keys) = crate_slab(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let place = &mut keys[*at.next().expect("the iterator is cyclic")];
            let value = slab.remove(*place);
            *place = slab.insert(value);
        });
    });
    group.finish();
}

/// Looks up the connection of an event.
fn lookup(criterion: &mut Criterion, live: usize) {
    let mut group = criterion.benchmark_group(format!("slab get {live}"));
    let order = scattered(live);
    group.bench_function("epollite", |bencher| {
        let (slab, tokens) = epollite_slab(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let token = tokens[*at.next().expect("the iterator is cyclic")];
            slab.get(black_box(token)).map(|value| value[0])
        });
    });
    group.bench_function("the crate slab", |bencher| {
        let (slab, keys) = crate_slab(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let key = keys[*at.next().expect("the iterator is cyclic")];
            slab.get(black_box(key)).map(|value| value[0])
        });
    });
    group.finish();
}

/// Inserts a thousand entries into an empty slab: epollite's grows by half, the crate's doubles.
fn fill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slab fill 1000");
    group.bench_function("epollite", |bencher| bencher.iter(|| epollite_slab(1_000)));
    group.bench_function("the crate slab", |bencher| bencher.iter(|| crate_slab(1_000)));
    group.finish();
}

fn epollite_slab(live: usize) -> (Slab<Value>, Vec<Token>) {
    let mut slab = Slab::new(1 << 20);
    let tokens = (0..live as u64).map(|n| slab.insert([n; 4]).expect("there is room")).collect();
    (slab, tokens)
}

fn crate_slab(live: usize) -> (slab::Slab<Value>, Vec<usize>) {
    let mut slab = slab::Slab::new();
    let keys = (0..live as u64).map(|n| slab.insert([n; 4])).collect();
    (slab, keys)
}

/// Every number below `count` once, in an order that defeats the prefetcher.
fn scattered(count: usize) -> Vec<usize> {
    // A prime that divides none of the sizes yields a permutation.
    (0..count).map(|n| n * 7_919 % count).collect()
}
