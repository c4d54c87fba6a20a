//! The stream server on the simulated kernel, driven by fuzzer input. The property is in
//! `tests/properties/server.rs`, shared with proptest. An odd first byte injects a fault.

#![no_main]

#[path = "../../tests/properties/server.rs"]
mod property;
#[allow(dead_code, reason = "its choices come from the fuzzer")]
#[path = "../../src/bin/epollite/scenario/mod.rs"]
mod scenario;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::check_invariants_either_way(plan));
