//! A batch against a list, driven by fuzzer input. The property is in
//! `tests/properties/batch.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/batch.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agrees_with_a_list(plan));
