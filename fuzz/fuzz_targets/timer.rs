//! Deadlines against a sorted list, driven by fuzzer input. The property is in
//! `tests/properties/timer.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/timer.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agrees_with_a_sorted_list(plan));
