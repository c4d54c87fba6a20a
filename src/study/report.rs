//! What an experiment showed: a result for each step, or why it did not run.
//!
//! Values only.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::value::Value;
use crate::errno::Errno;
use crate::instant::Instant;
use crate::instrument::SyscallRecord;
use crate::sim::Version;

/// What happened in one step.
#[derive(Clone, PartialEq, Debug)]
pub struct StepReport {
    /// The calls that were made, in the form of strace(1). A step that fills or drains a buffer
    /// records the last one.
    pub calls: Vec<SyscallRecord>,
    /// The result; `None` when a descriptor is missing because an earlier step has failed.
    pub observed: Option<Value>,
    /// Whether the result is as expected.
    pub agrees: bool,
    /// When the step began: earlier packets had arrived.
    pub start: Instant,
    /// How long it took. A wait of another thread may have begun before the step that ends it: see
    /// the times of its call.
    pub duration: Duration,
}

/// What happened in an experiment.
#[derive(Clone, PartialEq, Debug)]
pub struct ExperimentReport {
    /// A report for each step; none when it was skipped.
    pub steps: Vec<StepReport>,
    /// Why it did not run.
    pub skipped: Option<Skipped>,
}

/// Why an experiment did not run.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// The kernel is older than this version.
    TooOld(Version),
    /// A call that is not a [`Kernel`](crate::Kernel)'s is not there, or not permitted.
    Unsupported {
        /// The step.
        call: String,
        /// Its error.
        errno: Errno,
    },
    /// The process or the machine has no descriptors or memory left: nothing is known of the
    /// kernel, and the next experiment would show the same.
    Exhausted {
        /// The step.
        call: String,
        /// Its error.
        errno: Errno,
    },
    /// The model does not have what it needs.
    NotModelled,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld(since) => write!(f, "skipped: needs Linux {since}"),
            Self::Unsupported { call, errno } | Self::Exhausted { call, errno } => {
                write!(f, "skipped: {call}: {errno:?}")
            }
            Self::NotModelled => f.write_str("not modelled"),
        }
    }
}

impl ExperimentReport {
    /// Whether it ran, and every result was as expected. Cost: O(steps).
    #[must_use]
    pub fn agrees(&self) -> bool {
        !self.is_skipped() && !self.differs()
    }

    /// Whether a result was not as expected. Cost: O(steps).
    #[must_use]
    pub fn differs(&self) -> bool {
        self.steps.iter().any(|step| !step.agrees)
    }

    /// Whether it did not run: neither agrees nor differs. Cost: O(1).
    #[must_use]
    pub const fn is_skipped(&self) -> bool {
        self.skipped.is_some()
    }
}
