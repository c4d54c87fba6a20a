//! The datagram server in a simulated world, with plans of the fuzzer's: the law is
//! `tests/laws/datagram.rs`, the one proptest drives too.

#![no_main]

#[path = "../../tests/laws/datagram.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::keeps_its_promises(plan));
