//! Coroutines on the simulated kernel, driven by fuzzer input. The property is in
//! `tests/properties/task/mod.rs`, shared with proptest. An odd first byte injects a fault.

#![no_main]

#[path = "../../tests/properties/task/mod.rs"]
mod property;
#[expect(dead_code, unused_imports, reason = "only its clients are used")]
#[path = "../../src/bin/epollite/scenario/mod.rs"]
mod scenario;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::check_invariants_either_way(plan));
