//! An end for tests that wait: of a child, of the real kernel, of each other.

use std::process::exit;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// How long the tests of one file may take together before one of them counts as hung. The longest
/// take half a minute; a busy, emulated machine takes twenty times as long.
const DEADLINE: Duration = Duration::from_secs(900);

/// Ends this process, with a word, when its tests are not over in time. Said by whatever helper the
/// tests of a file have in common; only the first call counts.
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
