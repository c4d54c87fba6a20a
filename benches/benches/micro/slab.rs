//! Our slab beside the crate of that name: what a generation in each slot costs.

use std::hint::black_box;

use criterion::Criterion;
use epollite::{Slab, Token};

/// How many live in it meanwhile: what fits a cache line, the first cache, and neither.
const LIVE: [usize; 3] = [1, 1_000, 100_000];

/// As large as a connection of the server.
type Value = [u64; 4];

/// All of them.
pub(super) fn all(criterion: &mut Criterion) {
    for live in LIVE {
        churn(criterion, live);
        lookup(criterion, live);
    }
    fill(criterion);
}

/// One leaves and another comes, anywhere among those that stay: accept and close.
fn churn(criterion: &mut Criterion, live: usize) {
    let mut group = criterion.benchmark_group(format!("slab churn {live}"));
    let order = scattered(live);
    group.bench_function("ours", |bencher| {
        let (mut slab, mut tokens) = ours(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let place = &mut tokens[*at.next().expect("it goes round")];
            let value = slab.remove(*place).expect("it lives");
            *place = slab.insert(value).expect("one has just left");
        });
    });
    group.bench_function("the crate slab", |bencher| {
        let (mut slab, mut keys) = theirs(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let place = &mut keys[*at.next().expect("it goes round")];
            let value = slab.remove(*place);
            *place = slab.insert(value);
        });
    });
    group.finish();
}

/// An event finds its connection.
fn lookup(criterion: &mut Criterion, live: usize) {
    let mut group = criterion.benchmark_group(format!("slab get {live}"));
    let order = scattered(live);
    group.bench_function("ours", |bencher| {
        let (slab, tokens) = ours(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let token = tokens[*at.next().expect("it goes round")];
            slab.get(black_box(token)).map(|value| value[0])
        });
    });
    group.bench_function("the crate slab", |bencher| {
        let (slab, keys) = theirs(live);
        let mut at = order.iter().cycle();
        bencher.iter(|| {
            let key = keys[*at.next().expect("it goes round")];
            slab.get(black_box(key)).map(|value| value[0])
        });
    });
    group.finish();
}

/// A thousand come into an empty one: ours grows by half, theirs by doubling.
fn fill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slab fill 1000");
    group.bench_function("ours", |bencher| bencher.iter(|| ours(1_000)));
    group.bench_function("the crate slab", |bencher| bencher.iter(|| theirs(1_000)));
    group.finish();
}

fn ours(live: usize) -> (Slab<Value>, Vec<Token>) {
    let mut slab = Slab::new(1 << 20);
    let tokens = (0..live as u64).map(|n| slab.insert([n; 4]).expect("there is room")).collect();
    (slab, tokens)
}

fn theirs(live: usize) -> (slab::Slab<Value>, Vec<usize>) {
    let mut slab = slab::Slab::new();
    let keys = (0..live as u64).map(|n| slab.insert([n; 4])).collect();
    (slab, keys)
}

/// Every number below `count` once, in an order that no prefetcher guesses.
fn scattered(count: usize) -> Vec<usize> {
    // A prime that divides none of the sizes goes through all of them.
    (0..count).map(|n| n * 7_919 % count).collect()
}
