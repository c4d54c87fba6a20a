//! SIGHUP to a server that runs as a service: it opens the files of `--trace`, `--explain` and
//! `--recorder` again, as rotating them needs, and tells the service manager.
//!
//! There is no other configuration to be read again. A server that has no such file and no service
//! manager ends by SIGHUP, as a program of a terminal that was closed should.

use std::sync::OnceLock;

use super::notify;
use crate::instrument::trace::Trace;
use crate::output::log::Log;

/// The flags and their files.
static FILES: OnceLock<Vec<(&'static str, Trace)>> = OnceLock::new();

/// From here on SIGHUP means this, if there is a file or a service manager. A model that forks has
/// no `files` here: its children have files of their own, which stay those that they are.
pub(crate) fn start(files: Vec<(&'static str, Trace)>) {
    let files: Vec<_> = files.into_iter().filter(|(_, file)| file.can_reopen()).collect();
    if !files.is_empty() || notify::is_on() {
        _ = FILES.set(files);
    }
}

/// Whether SIGHUP does not end the server.
pub(crate) fn is_on() -> bool {
    FILES.get().is_some()
}

/// Opens the files. One that cannot be opened stays the one that it is.
pub(crate) fn run(log: &Log) {
    let Some(files) = FILES.get() else { return };
    notify::reloading();
    let mut reopened = 0;
    for (flag, file) in files {
        match file.reopen() {
            Ok(()) => reopened += 1,
            Err(error) => {
                let text = format!("{flag}: not opened again: {error}");
                log.event("reload_failed", &text, &error.to_string());
            }
        }
    }
    let text = format!("reloaded: {reopened} files opened again");
    log.event("reloaded", &text, "SIGHUP");
    notify::reloaded();
}
