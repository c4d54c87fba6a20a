//! How a session of nc ended.

use epollite::kernel::Signal;

/// How the run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Done,
    /// By a signal that was read from a signalfd, because a socket file had to be removed first.
    KilledBySignal(Signal),
}
