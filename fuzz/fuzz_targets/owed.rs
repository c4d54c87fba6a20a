//! What is owed against a queue, with plans of the fuzzer's: the law is
//! `tests/laws/owed.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/owed.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::agrees_with_a_queue(plan));
