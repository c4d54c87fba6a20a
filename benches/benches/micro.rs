//! The parts of the library, one by one, each beside what it could have been: `make micro`. It knows
//! nothing of sockets; how fast a server is, only `compare` can tell.
//!
//! A time means little on a shared machine, so what is printed at the end are ratios of two things
//! that were measured one after the other. A part that is twice as slow as its reference still costs
//! nothing beside the kernel: an echo is some 5 µs, a look into the slab 1 ns.

#[path = "micro/batch.rs"]
mod batch;
#[path = "micro/echo.rs"]
mod echo;
#[path = "micro/ratios.rs"]
mod ratios;
#[path = "micro/run_once.rs"]
mod run_once;
#[path = "micro/slab.rs"]
mod slab;
#[path = "micro/timers.rs"]
mod timers;
#[path = "micro/token.rs"]
mod token;
#[path = "micro/write_buffer.rs"]
mod write_buffer;

use std::time::Duration;

use criterion::Criterion;

/// Of each: long enough for a spread, short enough for all of them in a minute or two.
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
    run_once::all(&mut criterion);
    criterion.final_summary();
    // cargo says `--bench`; with `--test` each runs once and nothing is measured.
    if std::env::args().any(|argument| argument == "--bench") {
        print!("{}", ratios::table());
    }
}
