//! What every model needs before it serves: descriptors, blocked signals, the line that tells the
//! address.
//!
//! Knows no model.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use epollite::kernel::{Resource, Rlimit, Signal};
use epollite::{Errno, Kernel, Linux};

use crate::exit::{CliError, failed};
use crate::instrument::trace::Trace;
use crate::listen::Place;
use crate::operation::privileges::Identity;
use crate::output::json::named;
use crate::output::log::Log;
use crate::signals;

/// Descriptors that are not connections: standard streams, signals, and a reserve for name
/// resolution and files the C library opens temporarily.
pub(crate) const OTHER_DESCRIPTORS: u64 = 16;

/// The assumed limit of descriptors where it cannot be queried: the kernel's maximum, the default
/// of `fs.nr_open`.
const LIMIT_UNKNOWN: u64 = 1 << 20;

/// What is set up before the first socket is opened.
pub(crate) struct Start {
    /// The limit of descriptors.
    pub(crate) limit: u64,
    pub(crate) trace: Trace,
    pub(crate) explain: Trace,
    pub(crate) places: Vec<Place>,
    /// The user to become when the sockets are bound.
    pub(crate) identity: Option<Identity>,
    /// How often a service manager has to be told that the server is alive.
    pub(crate) watchdog: Option<Duration>,
}

/// Blocks these signals until they are read. Called before the first socket is bound, or a signal
/// could leave its file behind; and before any thread is started, since threads inherit the mask.
pub(crate) fn block_signals(kernel: &mut dyn Kernel, signals: &[Signal]) -> Result<(), CliError> {
    kernel.sigprocmask(signals::set(signals)).map(drop).map_err(failed("sigprocmask"))
}

/// Checks that `count` more descriptors are available, now that all others are open. A server
/// without a free descriptor would listen but never serve a client.
pub(crate) fn check_spare_fds(count: usize) -> Result<(), CliError> {
    // Not traced: this is not part of the service. dup(2) only needs a free descriptor number.
    let stream = std::io::stderr();
    let taken: std::io::Result<Vec<_>> =
        (0..count).map(|_| stream.as_fd().try_clone_to_owned()).collect();
    let Err(error) = taken else { return Ok(()) };
    let errno = error.raw_os_error().and_then(Errno::new);
    let line = match (errno, Linux.prlimit(Resource::Nofile, None)) {
        (Some(Errno::EMFILE), Ok(Rlimit { soft, .. })) => {
            format!("the limit is {soft} (ulimit -n)")
        }
        (Some(errno), _) => format!("dup: {errno}"),
        (None, _) => error.to_string(),
    };
    Err(CliError::run(format!("no descriptor left for clients: {line}")))
}

pub(crate) fn log_listening(log: &Log, transport: &str, address: &OsStr) {
    if !log.is_quiet {
        log.print_result(
            || [b"listening on ", transport.as_bytes(), b" ", address.as_bytes()].concat(),
            || {
                let address = named("address", address);
                format!("{{\"event\":\"listening\",\"transport\":\"{transport}\",{address}}}")
            },
        );
    }
}

/// Raises the soft limit of descriptors to the hard limit, and returns the limit in effect.
pub(crate) fn raise_nofile_limit(log: &Log) -> u64 {
    let Rlimit { soft, hard } = match Linux.prlimit(Resource::Nofile, None) {
        Ok(limit) => limit,
        Err(errno) => {
            // With an unknown limit, accept4(2) fails when it is reached: then accepting is paused.
            let text = format!("the descriptor limit is not known: prlimit: {errno}");
            log.event("nofile_raised", &text, &errno.to_string());
            return LIMIT_UNKNOWN;
        }
    };
    let raised = Rlimit { soft: hard, hard };
    if soft >= hard || Linux.prlimit(Resource::Nofile, Some(raised)).is_err() {
        return soft;
    }
    log.message(
        || format!("epollite: raised the descriptor limit from {soft} to {hard}"),
        || format!("{{\"event\":\"nofile_raised\",\"from\":{soft},\"to\":{hard}}}"),
    );
    hard
}
