//! Fairness under load, driven by fuzzer input. The property is in `tests/properties/fairness.rs`,
//! shared with proptest.

#![no_main]

#[path = "../../tests/properties/fairness.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::light_clients_are_not_starved(plan));
