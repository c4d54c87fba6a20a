//! The echo state machine without a socket: its cost per message and per connection.

use std::hint::black_box;

use criterion::Criterion;
use epollite::echo::{Echo, Want};

pub(super) fn all(criterion: &mut Criterion) {
    let message = [7; 64];
    let mut group = criterion.benchmark_group("echo state machine");
    // Common case: the whole message is sent at once.
    group.bench_function("a message", |bencher| {
        let mut echo = Echo::new();
        bencher.iter(|| {
            echo.received(black_box(&message), 64, 65_536).expect("the write buffer is empty");
            assert_eq!(black_box(&echo).want(), Want::Read, "it continues to read");
        });
    });
    // A short send: half is copied into the write buffer, then sent.
    group.bench_function("a message half sent", |bencher| {
        let mut echo = Echo::new();
        bencher.iter(|| {
            echo.received(black_box(&message), 32, 65_536).expect("it fits");
            echo.sent(black_box(echo.pending()).len());
            assert_eq!(echo.want(), Want::Read, "it continues to read");
        });
    });
    // From the first byte to the close.
    group.bench_function("a connection", |bencher| {
        bencher.iter(|| {
            let mut echo = Echo::new();
            echo.received(black_box(&message), 64, 65_536).expect("the write buffer is empty");
            echo.received_eof();
            assert_eq!(echo.want(), Want::Close, "it is finished");
        });
    });
    group.finish();
}
