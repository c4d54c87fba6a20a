//! Micro-benchmarks of parts of the library, each next to an alternative: `make micro`. No sockets
//! are used; the speed of a server is measured by `compare`.
//!
//! Absolute times mean little on a shared machine, so the output ends with ratios of two benchmarks
//! measured one after the other. A part that is twice as slow as its alternative is still cheap
//! next to the kernel: an echo takes some 5 µs, a slab lookup 1 ns.

mod batch;
mod echo;
mod ratios;
mod slab;
mod timers;
mod token;
mod write_buffer;

use std::time::Duration;

use criterion::Criterion;

/// Per benchmark: long enough for a distribution, short enough for all of them in one to two
/// minutes.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(900);
const SAMPLES: usize = 30;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(WARM_UP)
        .measurement_time(MEASURED)
        .sample_size(SAMPLES)
        .without_plots()
        .configure_from_args();
    slab::all(&mut criterion);
    token::all(&mut criterion);
    timers::all(&mut criterion);
    write_buffer::all(&mut criterion);
    batch::all(&mut criterion);
    echo::all(&mut criterion);
    criterion.final_summary();
    // cargo passes `--bench`; with `--test` each benchmark runs once and nothing is measured.
    if std::env::args().any(|argument| argument == "--bench") {
        print!("{}", ratios::table());
    }
}
