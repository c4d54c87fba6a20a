//! Experiments: a few system calls each, with the results that Linux is expected to give and those
//! that most people expect.
//!
//! An [`Experiment`] is parsed from a text in a notation of its own: one call a line, descriptors
//! by name. [`run`] performs it on any [`Kernel`](crate::Kernel) and compares every result. Needs
//! neither the reactor nor the real kernel. A file uses only those of the lines below its own:
//!
//! ```text
//!  built_in     the experiments of this crate, in the order of a course
//!  runner       performs the calls of an experiment on a kernel
//!  parser       a file: its header, and its steps
//!  notation     one call, one expectation
//!  names        the descriptors of an experiment, by name
//!  cursor       a line, read word by word; errors have a line and a column
//!  experiment   Experiment, ExperimentStep, Action: what is parsed
//!  expectation  which results agree
//!  value        what a call returned
//!  probe        waits until everything sent over the loopback interface has arrived
//! ```

mod built_in;
mod cursor;
mod expectation;
mod experiment;
mod names;
mod notation;
mod parser;
mod probe;
mod runner;
mod value;

pub use built_in::{BUILT_IN, built_in};
pub use cursor::ParseError;
pub use expectation::{Expectation, Pattern};
pub use experiment::{Experiment, ExperimentStep};
pub use parser::parse;
pub use runner::{ExperimentReport, StepReport, run};
pub use value::{Reported, Value};
