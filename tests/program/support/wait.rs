//! Bounded waiting for a condition: no test sleeps to synchronize.

use core::time::Duration;
use std::thread;
use std::time::Instant;

/// How long anything may take before it counts as hung. It bounds, it does not measure: a busy
/// machine takes seconds for what takes milliseconds.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Delay between two polls. Short against everything that is waited for, long against the poll
/// itself.
const POLL_INTERVAL: Duration = Duration::from_millis(3);

/// Lets an interval pass to measure over. Nothing is waited for: a busy machine makes the interval
/// longer, and the measured property must hold over any.
pub(crate) fn settle_time() {
    thread::sleep(Duration::from_millis(200));
}

/// Polls until `poll` returns a value.
pub(crate) fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(start.elapsed() < TIMEOUT, "timed out after {TIMEOUT:?} waiting for {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Polls until `holds` is true.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Polls until `figure` has been the same `polls` times in a row, and returns it.
pub(crate) fn until_still<T: PartialEq>(
    what: &str,
    polls: u32,
    mut figure: impl FnMut() -> T,
) -> T {
    let mut last = figure();
    let mut same = 0;
    until(what, || {
        let now = figure();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same >= polls
    });
    last
}
