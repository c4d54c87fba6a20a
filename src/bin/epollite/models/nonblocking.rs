//! **nonblocking**: one thread tries every socket in turn, in a busy loop.
//!
//! What it teaches: `O_NONBLOCK` and `EAGAIN` are enough to serve many clients with one thread. No
//! call ever blocks; no client can delay the others; a client that never reads is skipped until it
//! does, with at most 64 KiB in its write buffer.
//!
//! What it costs: a whole processor, busy or not. With a thousand silent clients it makes a
//! thousand calls per iteration that return `EAGAIN` (`--syscall-summary` shows them), and an
//! active client waits for the other 999 to be tried.
//!
//! Where it breaks: nowhere, if electricity is free. Out of descriptors it pauses accepting, as
//! every model does.

use super::fd_list::FdList;
use crate::echo::stats::StatsSnapshot;
use crate::exit::CliError;
use crate::instrument::InstrumentedKernel;

/// Serves until a signal ends it.
pub(super) fn run<K: InstrumentedKernel>(
    mut fd_list: FdList<K>,
) -> Result<StatsSnapshot, CliError> {
    while fd_list.finish_iteration() {
        for at in 0..fd_list.len() {
            // Ready or not: only the call itself shows it.
            fd_list.dispatch(at);
        }
    }
    fd_list.into_stats()
}
