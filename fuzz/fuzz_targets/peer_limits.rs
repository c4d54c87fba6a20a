//! Limits of peers by their addresses, driven by fuzzer input. The property is in
//! `tests/properties/peer_limits.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/peer_limits.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agree_with_a_naive_model(plan));
