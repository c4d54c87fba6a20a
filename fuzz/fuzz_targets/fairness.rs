//! Fairness in a crowd, with plans of the fuzzer's: the law is
//! `tests/laws/fairness.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/fairness.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::one_does_not_wait_for_many(plan));
