//! A deadline for tests that wait for a child, the real kernel or each other.

use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time without a new test after which the running ones count as hung. The longest take half a
/// minute; a busy, emulated machine takes twenty times as long.
const DEADLINE: Duration = Duration::from_secs(900);

/// When [`arm`] was last called.
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

/// Aborts this process with a message when this is not called again within [`DEADLINE`] and the
/// tests have not ended. Called by the common helpers of a test file.
pub(crate) fn arm() {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.replace(Instant::now()).is_none() {
        thread::spawn(watch);
    }
}

fn watch() {
    loop {
        let last = *LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = last.map_or(Duration::ZERO, |last| last.elapsed());
        let Some(rest) = DEADLINE.checked_sub(passed) else { break };
        thread::sleep(rest);
    }
    let name = std::env::args().next().unwrap_or_default();
    eprintln!("{name}: a test hangs: not over after {DEADLINE:?}");
    exit(101);
}
