//! The idle time, with plans of the fuzzer's: the property is `tests/laws/idle.rs`, the one
//! proptest drives too.

#![no_main]

#[path = "../../tests/laws/idle.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| property::only_the_silent_are_idle(plan));
