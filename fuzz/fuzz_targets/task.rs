//! Coroutines in a simulated world, with plans of the fuzzer's: the law is `tests/laws/task.rs`,
//! the one proptest drives too. An odd plan has a fault in it.

#![no_main]

#[path = "../../tests/laws/task.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| law::keeps_its_promises_either_way(plan));
