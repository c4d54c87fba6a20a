//! Ctrl-C while servers are compared: the slice that runs is the last one, and what was found until
//! then is told and written. It knows that somebody asked for the end, and nothing of what ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of who was interrupted, as shells have it.
pub const CODE: u8 = 130;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT and SIGTERM are remembered; a second one ends the program at once, and the
/// kernel its children.
///
/// # Errors
/// When the kernel refuses, which it should not.
pub fn heed() -> Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds that nobody has asked yet.
        flag::register_conditional_shutdown(signal, CODE.into(), Arc::clone(asked))
            .and_then(|_| flag::register(signal, Arc::clone(asked)))
            .context("cannot heed signals")?;
    }
    Ok(())
}

/// Whether somebody has asked for the end.
#[must_use]
pub fn is_asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
