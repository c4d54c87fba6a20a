//! Ctrl-C during a comparison: the running slice is completed, and results up to then are printed
//! and written. This module only records that a signal was received.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code after SIGINT, as in shells.
pub const EXIT_CODE: u8 = 130;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether a signal was ignored at the start, as for background jobs of a script, or SIGHUP under
/// nohup: it stays ignored then. (Installing a handler changes that: call this first.)
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Records SIGTERM, and SIGINT unless it was ignored; a second signal ends the program at once, and
/// the kernel ends its children.
///
/// # Errors
/// If the kernel refuses, which is not expected.
pub fn install_handlers() -> Result<()> {
    let interrupted = INTERRUPTED.get_or_init(Arc::default);
    let signals = [SIGINT, SIGTERM];
    for signal in signals.into_iter().filter(|&signal| signal == SIGTERM || !is_ignored(signal)) {
        // In this order: at the first signal the flag is not set yet.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), Arc::clone(interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(interrupted)))
            .context("cannot install signal handlers")?;
    }
    Ok(())
}

/// Whether a termination signal was received.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}
