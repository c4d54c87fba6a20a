//! The slab against a map, with plans of the fuzzer's: the law is
//! `tests/laws/slab.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/slab.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::agrees_with_a_map(plan));
