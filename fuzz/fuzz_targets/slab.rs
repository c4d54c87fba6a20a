//! The slab against a map, driven by fuzzer input. The property is in
//! `tests/properties/slab.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/slab.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::agrees_with_a_map(plan));
