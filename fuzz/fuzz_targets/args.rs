//! Command lines, with plans of the fuzzer's: the law is
//! `tests/laws/args.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/args.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::are_read_or_refused_in_one_line(plan));
