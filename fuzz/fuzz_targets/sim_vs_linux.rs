//! The model against the real kernel, driven by fuzzer input. The property is in
//! `tests/conformance_random/sim_vs_linux/mod.rs`, shared with the test suite.

#![no_main]

#[path = "../../tests/conformance_random/sim_vs_linux/mod.rs"]
mod property;

use epollite::kernel::Signal;
use epollite::{Kernel, Linux};

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer's own `main` does not ignore SIGPIPE; block it, so that EPIPE is returned
        // instead.
        let _ = Linux.sigprocmask(Signal::PIPE.into());
    },
    |plan: &[u8]| property::any_program_sees_the_same(plan)
);
