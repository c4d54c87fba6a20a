//! Ctrl-C during a comparison: the running slice is completed, and results up to then are printed
//! and written. This module only records that a signal was received.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use procfs::process::Process;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code after SIGINT, as in shells.
pub(crate) const EXIT_CODE: u8 = 130;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether a signal was ignored at the start, as for background jobs of a script, or SIGHUP under
/// nohup: it stays ignored then. (Installing a handler changes that: call this first.)
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign >> (signal - 1) & 1 == 1)
}

/// Records SIGTERM, and SIGINT unless it was ignored; a second signal ends the program at once, and
/// the kernel ends its children.
pub(crate) fn install_handlers() -> Result<()> {
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
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}
