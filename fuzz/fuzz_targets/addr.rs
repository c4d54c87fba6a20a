//! Arbitrary bytes and texts as addresses, driven by fuzzer input. The property is in
//! `tests/properties/addr.rs`, shared with proptest.

#![no_main]

#[path = "../../tests/properties/addr.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| {
    property::arbitrary_bytes_never_panic_and_reencode(plan);
    property::arbitrary_text_never_panics(&String::from_utf8_lossy(plan));
});
