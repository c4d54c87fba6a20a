//! The reactor against a naive one, in a simulated world, with plans of the fuzzer's: the law is
//! `tests/laws/reactor.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/reactor.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::agrees_with_a_naive_one(plan));
