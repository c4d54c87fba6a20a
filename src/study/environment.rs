//! What an experiment needs beside a kernel: its version, other devices, other threads.

use core::fmt;

use super::actors::Actors;
use crate::kernel::Devices;
use crate::sim::Version;

/// What belongs to a kernel on which experiments run.
pub struct Environment<'e> {
    /// The version of Linux whose rules are expected.
    pub version: Version,
    /// Whether it is a model: what it lacks is "not modelled".
    pub is_model: bool,
    /// How long a wait that expects an event waits for it: [`WAIT_MILLIS`](Self::WAIT_MILLIS).
    pub wait_millis: u32,
    /// Called several times before a call whose result may depend on packets, for what only the
    /// caller can wait for. On a model nothing is needed.
    pub settle: &'e mut dyn FnMut(),
    /// The calls that a [`Kernel`](crate::Kernel) lacks; `()` has none.
    pub devices: &'e mut dyn Devices,
    /// Threads and processes; `()` has none.
    pub actors: &'e mut dyn Actors,
}

impl Environment<'_> {
    /// Long enough for a segment that is sent twice. What was sent has arrived before, so that an
    /// event is there at once unless the expectation is wrong.
    pub const WAIT_MILLIS: u32 = 5_000;
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("version", &self.version)
            .field("is_model", &self.is_model)
            .finish_non_exhaustive()
    }
}
