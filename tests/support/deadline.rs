//! A deadline for tests that wait for a child, the real kernel or each other.

use std::process::exit;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// Time limit for all tests of one file together before they count as hung. The longest take half a
/// minute; a busy, emulated machine takes twenty times as long.
const DEADLINE: Duration = Duration::from_secs(900);

/// Aborts this process with a message when its tests exceed the limit. Called by the common helpers
/// of a test file; only the first call has an effect.
pub(crate) fn arm() {
    static ARMED: OnceLock<()> = OnceLock::new();
    ARMED.get_or_init(|| {
        let watch = || {
            thread::sleep(DEADLINE);
            let name = std::env::args().next().unwrap_or_default();
            eprintln!("{name}: a test hangs: not over after {DEADLINE:?}");
            exit(101);
        };
        thread::spawn(watch);
    });
}
