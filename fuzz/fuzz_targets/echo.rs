//! The echo machine under any split, with plans of the fuzzer's: the law is
//! `tests/laws/echo.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/echo.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::echoes_a_prefix(plan));
