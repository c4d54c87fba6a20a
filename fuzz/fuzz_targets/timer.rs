//! Deadlines against a sorted list, with plans of the fuzzer's: the law is
//! `tests/laws/timer.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/timer.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::agrees_with_a_sorted_list(plan));
