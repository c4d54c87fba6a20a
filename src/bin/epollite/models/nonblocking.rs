//! **nonblocking**: one thread asks every socket in turn whether it has something, for ever.
//!
//! What it teaches: `O_NONBLOCK` and `EAGAIN` are enough to serve many clients with one thread.
//! No call ever waits; nobody can hold up the others; a client that never reads is left alone
//! until it does, with at most 64 KiB owed to it.
//!
//! What it costs: a whole processor, busy or not. With a thousand silent clients it makes a
//! thousand calls a turn to be told `EAGAIN` a thousand times (`--count` shows them), and the
//! one who does speak waits for the other 999 to be asked.
//!
//! Where it breaks: nowhere, if you do not pay for electricity. Out of descriptors it stops
//! accepting for a while, as every model does.

use super::crowd::Crowd;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::report::Snapshot;

/// Serves until a signal has ended it.
pub(super) fn run<K: Meter>(mut crowd: Crowd<K>) -> Result<Snapshot, Failure> {
    while crowd.goes_on() {
        for at in 0..crowd.len() {
            // Ready or not: only the call itself can tell.
            crowd.serve(at);
        }
    }
    crowd.sum()
}
