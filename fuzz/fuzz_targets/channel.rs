//! The executor's channel against a queue, driven by fuzzer input. The property is in
//! `tests/properties/channel.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/channel.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agrees_with_a_queue(plan));
