//! Waiting for something to become true, with a bound: no test sleeps to be in step.

use core::time::Duration;
use std::thread;
use std::time::Instant;

/// How long anything may take before it counts as hung. It bounds, it does not measure: a busy
/// machine takes seconds for what takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks. Short against everything that is waited for, long against the look itself.
const BETWEEN_LOOKS: Duration = Duration::from_millis(3);

/// Lets a stretch of time pass to measure over. Nothing is waited for: a busy machine makes the
/// stretch longer, and what is measured must hold over any.
pub(crate) fn a_while() {
    thread::sleep(Duration::from_millis(200));
}

/// Looks until `look` has an answer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting after {PATIENCE:?}: {what}");
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Looks until `holds` is true.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Looks until `figure` has been the same for `looks` looks, and says it.
pub(crate) fn until_still<T: PartialEq>(
    what: &str,
    looks: u32,
    mut figure: impl FnMut() -> T,
) -> T {
    let mut last = figure();
    let mut same = 0;
    until(what, || {
        let now = figure();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= looks
    });
    last
}
