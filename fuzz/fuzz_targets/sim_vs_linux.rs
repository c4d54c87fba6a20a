//! The model against the real kernel, with plans of the fuzzer's: the law is
//! `tests/laws/sim_vs_linux.rs`, the one that the suite drives too.

#![no_main]

#[path = "../../tests/laws/sim_vs_linux.rs"]
mod law;

use epollite::{Kernel, Linux, Signal};

libfuzzer_sys::fuzz_target!(
    init: {
        // Under libFuzzer's own `main` nobody has told the kernel that EPIPE is enough.
        let _ = Linux.sigprocmask(Signal::PIPE.into());
    },
    |plan: &[u8]| law::any_program_sees_the_same(plan)
);
