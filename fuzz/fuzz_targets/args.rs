//! Command lines, driven by fuzzer input. The property is in
//! `tests/properties/args/mod.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/args/mod.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::are_parsed_or_rejected_in_one_line(plan));
