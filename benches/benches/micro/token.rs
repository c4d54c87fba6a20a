//! Packing and unpacking a token, and the cost of detecting a stale one.

use std::hint::black_box;

use criterion::Criterion;
use epollite::Token;
use epollite::collections::Slab;

pub(super) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token to bits and back");
    let token = Token::new(7, 3);
    group.bench_function("epollite", |bencher| {
        bencher.iter(|| Token::from_bits(black_box(black_box(token).to_bits())));
    });
    // Two plain numbers.
    group.bench_function("a pair", |bencher| bencher.iter(|| black_box(black_box((7_u32, 3_u32)))));
    group.finish();
    check(criterion);
}

/// The cost of the generation check of a lookup.
fn check(criterion: &mut Criterion) {
    let mut slab = Slab::new(64);
    let stale = slab.insert(1_u64).expect("there is room");
    slab.remove(stale);
    let live = slab.insert(2_u64).expect("there is room");
    assert_eq!(stale.slot(), live.slot(), "the slot is reused");
    let plain = [Some(2_u64)];
    let mut group = criterion.benchmark_group("token check");
    group.bench_function("live", |bencher| bencher.iter(|| slab.get(black_box(live)).copied()));
    group.bench_function("stale", |bencher| bencher.iter(|| slab.get(black_box(stale)).copied()));
    group.bench_function("an index, unchecked", |bencher| {
        bencher.iter(|| plain.get(black_box(0)).copied().flatten());
    });
    group.finish();
}
