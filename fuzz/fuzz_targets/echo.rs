//! The echo machine under any split, driven by fuzzer input. The property is in
//! `tests/properties/echo.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/echo.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::echoes_a_prefix(plan));
