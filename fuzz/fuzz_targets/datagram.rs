//! The datagram server on the simulated kernel, driven by fuzzer input. The property is in
//! `tests/properties/datagram.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/datagram.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::check_invariants(plan));
