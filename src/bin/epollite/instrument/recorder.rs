//! The flight recorder: the last calls and decisions of each thread, printed when they are asked
//! for (SIGUSR2) and when a thread panics.
//!
//! Knows where to print; `ring.rs` keeps them.

use std::sync::OnceLock;
use std::time::Duration;

use crate::instrument::ring;
use crate::instrument::trace::Trace;

/// How long a dump waits for a slow reader.
const DUMP_TIMEOUT: Duration = Duration::from_secs(1);

static OUTPUT: OnceLock<Trace> = OnceLock::new();

/// Switches the recorder on, once; from here on a panic prints it.
pub(crate) fn start(output: Trace) {
    if OUTPUT.set(output).is_err() {
        return;
    }
    ring::start();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        dump();
    }));
}

/// Prints the rings of all threads.
pub(crate) fn dump() {
    let Some(output) = OUTPUT.get() else { return };
    for text in ring::texts() {
        output.write_text(&text, DUMP_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TraceTarget;
    use crate::instrument::entry::Entry;
    use epollite::kernel::{Decision, ListenerDecision};

    #[test]
    fn a_panic_prints_what_its_thread_did_last() {
        let path = std::env::temp_dir().join(format!("epollite-recorder-{}", std::process::id()));
        let target = TraceTarget::File(path.clone());
        start(Trace::open("--recorder", Some(&target)).unwrap());
        let thread = std::thread::spawn(|| {
            let what = ListenerDecision::QueueEmpty { accepted: 77 };
            ring::keep(&Entry::Decision(Decision::Listener { fd: 7, what }));
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("flight recorder, thread "), "{text}");
        assert!(text.contains("listener 7: 77 accepted"), "{text}");
    }
}
