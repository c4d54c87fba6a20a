//! The reactor against a naive model, on the simulated kernel, driven by fuzzer input. The property
//! is in `tests/properties/reactor.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/reactor.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agrees_with_a_naive_model(plan));
