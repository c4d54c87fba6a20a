//! The model against the real kernel, with plans of the fuzzer's: the law is `tests/laws/sim_vs_linux.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/sim_vs_linux.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::any_program_sees_the_same(plan));
