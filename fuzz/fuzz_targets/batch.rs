//! A batch against a list, with plans of the fuzzer's: the law is
//! `tests/laws/batch.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/batch.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::agrees_with_a_list(plan));
