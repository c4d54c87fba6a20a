//! Command lines, driven by fuzzer input. The property is in
//! `tests/properties/args.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/args.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::are_parsed_or_rejected_in_one_line(plan));
