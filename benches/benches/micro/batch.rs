//! A batch of datagrams, beside one allocation for each.

use std::hint::black_box;

use criterion::Criterion;
use epollite::{Addr, BATCH_MAX, DatagramBatch};

/// All of them.
pub(super) fn all(criterion: &mut Criterion) {
    let to = "127.0.0.1:7777".parse::<Addr>().expect("an address").encode();
    let message = [7; 64];
    // As many as one call takes are put in, one in four is refused, the rest is looked at.
    let mut group = criterion.benchmark_group("batch of 64 filled, sifted, read");
    group.bench_function("ours", |bencher| {
        let mut batch = DatagramBatch::new(BATCH_MAX, 2048);
        bencher.iter(|| {
            batch.clear();
            for nth in 0..BATCH_MAX {
                batch.push(black_box(&message[..64 - nth % 4]), &to);
            }
            batch.retain(|datagram| datagram.bytes.len() != 64);
            batch.iter().map(|datagram| datagram.bytes.len()).sum::<usize>()
        });
    });
    group.bench_function("a Vec for each", |bencher| {
        let mut batch = Vec::new();
        bencher.iter(|| {
            batch.clear();
            for nth in 0..BATCH_MAX {
                batch.push((black_box(&message[..64 - nth % 4]).to_vec(), to));
            }
            batch.retain(|(bytes, _)| bytes.len() != 64);
            batch.iter().map(|(bytes, _)| bytes.len()).sum::<usize>()
        });
    });
    group.finish();
}
