//! The write buffer of a connection, compared with a queue that keeps its memory.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::Criterion;
use epollite::collections::WriteBuffer;

/// The bytes that a full socket did not accept.
const REST: [u8; 4096] = [7; 4096];

pub(super) fn all(criterion: &mut Criterion) {
    // A short send, then the rest: the write buffer frees its memory each time. And a peer that
    // reads slowly: the buffer is sent in pieces.
    for (name, pieces) in [("one consume", 1), ("16 consumes", 16)] {
        let mut group = criterion.benchmark_group(format!("write buffer 4 KiB, {name}"));
        group.bench_function("epollite", |bencher| {
            let mut buffer = WriteBuffer::new();
            bencher.iter(|| {
                buffer.push(black_box(&REST), 65_536).expect("there is room");
                for _ in 0..pieces {
                    black_box(buffer.as_slice());
                    buffer.consume(REST.len() / pieces);
                }
            });
        });
        group.bench_function("a VecDeque", |bencher| {
            let mut queue: VecDeque<u8> = VecDeque::new();
            bencher.iter(|| {
                queue.extend(black_box(&REST));
                for _ in 0..pieces {
                    black_box(queue.as_slices());
                    queue.drain(..REST.len() / pieces);
                }
            });
        });
        group.finish();
    }
}
