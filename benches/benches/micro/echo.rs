//! The echo machine without a socket: what a conversation costs beside its bytes.

use std::hint::black_box;

use criterion::Criterion;
use epollite::echo::{Echo, Want};

/// All of them.
pub(super) fn all(criterion: &mut Criterion) {
    let message = [7; 64];
    let mut group = criterion.benchmark_group("echo machine");
    // The usual turn: all of it could be sent back at once.
    group.bench_function("a message", |bencher| {
        let mut echo = Echo::new();
        bencher.iter(|| {
            echo.received(black_box(&message), 64, 65_536).expect("nothing is owed");
            assert_eq!(black_box(&echo).want(), Want::Read, "on with it");
        });
    });
    // A short send: half is copied, owed, and paid.
    group.bench_function("a message half sent", |bencher| {
        let mut echo = Echo::new();
        bencher.iter(|| {
            echo.received(black_box(&message), 32, 65_536).expect("it fits");
            echo.sent(black_box(echo.pending()).len());
            assert_eq!(echo.want(), Want::Read, "on with it");
        });
    });
    // From the first byte to the end.
    group.bench_function("a life", |bencher| {
        bencher.iter(|| {
            let mut echo = Echo::new();
            echo.received(black_box(&message), 64, 65_536).expect("nothing is owed");
            echo.received_eof();
            assert_eq!(echo.want(), Want::Close, "it is over");
        });
    });
    group.finish();
}
