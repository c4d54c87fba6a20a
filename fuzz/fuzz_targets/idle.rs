//! The idle timeout, driven by fuzzer input. The property is in `tests/properties/idle.rs`, shared
//! with proptest.

#![no_main]

#[path = "../../tests/properties/idle.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::only_silent_clients_are_idle(plan));
