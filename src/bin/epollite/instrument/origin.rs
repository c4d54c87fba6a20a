//! Where a call was made.

use std::fmt;

/// The thread or process that made a call, where there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TraceOrigin {
    Thread(u64),
    Process(u32),
    SignalThread,
}

impl fmt::Display for TraceOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(number) => write!(f, "thread {number}"),
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::SignalThread => f.write_str("signal thread"),
        }
    }
}
