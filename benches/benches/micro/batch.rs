//! A batch of datagrams, compared with one allocation per datagram.

use std::hint::black_box;

use criterion::Criterion;
use epollite::Addr;
use epollite::net::{BATCH_MAX, DatagramBatch};

pub(super) fn all(criterion: &mut Criterion) {
    let to = "127.0.0.1:7777".parse::<Addr>().expect("an address").encode();
    let message = [7; 64];
    // A full batch is filled, one datagram in four is removed, the rest is read.
    let mut group = criterion.benchmark_group("batch of 64 filled, filtered, read");
    group.bench_function("epollite", |bencher| {
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
    group.bench_function("a Vec per datagram", |bencher| {
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
