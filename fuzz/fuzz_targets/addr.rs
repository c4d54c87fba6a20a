//! Hostile bytes and texts as addresses, with plans of the fuzzer's: the law is
//! `tests/laws/addr.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/addr.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| {
    law::hostile_bytes_never_panic_and_reencode(plan);
    law::hostile_text_never_panics(&String::from_utf8_lossy(plan));
});
