//! Ctrl-C while servers are compared: the slice that runs is the last one, and what was found until
//! then is told and written. It knows that somebody asked for the end, and nothing of what ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of who was interrupted, as shells have it.
pub const EXIT_CODE: u8 = 130;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether a signal was ignored at the start, as a script has it for its background jobs and nohup
/// for SIGHUP: it stays ignored then. (To heed a signal is to change that: ask before.)
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// From now on SIGTERM, and SIGINT unless it was ignored, are remembered; a second one ends the
/// program at once, and the kernel its children.
///
/// # Errors
/// When the kernel refuses, which it should not.
pub fn install_handlers() -> Result<()> {
    let asked = INTERRUPTED.get_or_init(Arc::default);
    let signals = [SIGINT, SIGTERM];
    for signal in signals.into_iter().filter(|&signal| signal == SIGTERM || !is_ignored(signal)) {
        // In this order: the first signal finds that nobody has asked yet.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(asked))
            .and_then(|_| flag::register(signal, Arc::clone(asked)))
            .context("cannot heed signals")?;
    }
    Ok(())
}

/// Whether somebody has asked for the end.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
