//! The write buffer of a connection, compared with a queue that keeps its memory.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::Criterion;
use epollite::collections::WriteBuffer;

/// The bytes that a full socket did not accept.
const REST: [u8; 4096] = [7; 4096];

/// Runs all benchmarks of this group.
pub(super) fn all(criterion: &mut Criterion) {
    // A short send, then the rest: the write buffer frees its memory each time.
    let mut group = criterion.benchmark_group("write buffer 4 KiB, one consume");
    group.bench_function("epollite", |bencher| {
        let mut buffer = WriteBuffer::new();
        bencher.iter(|| {
            buffer.push(black_box(&REST), 65_536).expect("there is room");
            buffer.consume(black_box(buffer.as_slice()).len());
        });
    });
    group.bench_function("a VecDeque", |bencher| {
        let mut queue: VecDeque<u8> = VecDeque::new();
        bencher.iter(|| {
            queue.extend(black_box(&REST));
            let count = black_box(queue.as_slices().0).len();
            queue.drain(..count);
        });
    });
    group.finish();
    // The peer reads slowly: the buffer is sent in pieces.
    let mut group = criterion.benchmark_group("write buffer 4 KiB, 16 consumes");
    group.bench_function("epollite", |bencher| {
        let mut buffer = WriteBuffer::new();
        bencher.iter(|| {
            buffer.push(black_box(&REST), 65_536).expect("there is room");
            for _ in 0..16 {
                black_box(buffer.as_slice());
                buffer.consume(REST.len() / 16);
            }
        });
    });
    group.bench_function("a VecDeque", |bencher| {
        let mut queue: VecDeque<u8> = VecDeque::new();
        bencher.iter(|| {
            queue.extend(black_box(&REST));
            for _ in 0..16 {
                black_box(queue.as_slices());
                queue.drain(..REST.len() / 16);
            }
        });
    });
    group.finish();
}
