//! Coroutines in a simulated world, with plans of the fuzzer's: the law is `tests/laws/task.rs`,
//! the one proptest drives too. An odd plan has a fault in it.

#![no_main]

#[path = "../../tests/laws/task.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|plan: &[u8]| match plan.split_first() {
    Some((first, rest)) if first % 2 == 1 => law::keeps_its_promises_under_faults(rest),
    Some((_, rest)) => law::keeps_its_promises(rest),
    None => {}
});
