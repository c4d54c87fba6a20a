//! Experiments: a few system calls each, with the results that Linux is expected to give and those
//! that most people expect.
//!
//! An [`Experiment`] is parsed from a text in a notation of its own: one call a line, descriptors
//! by name. [`run`] performs it on any [`Kernel`](crate::Kernel) and compares every result. Needs
//! neither the reactor nor the real kernel; what a kernel lacks (other kinds of descriptors,
//! threads) comes with the [`Environment`]. A file uses only those of the lines below its own:
//!
//! ```text
//!  built_in      the experiments of this crate, in the order of a course
//!  runner        performs the steps of an experiment on a kernel
//!  kernel_calls  device_calls  actor_calls   the calls of Kernel, of Devices, of Actors
//!  connections   calls that connect several sockets
//!  run_state     the descriptors of an experiment that runs
//!  environment   what belongs to a kernel: its version, its devices, its threads
//!  actors        Actors: other threads and processes
//!  report        what happened in each step, or why there was none
//!  parser        a file: its header, and its steps
//!  notation      one call, one expectation
//!  device_notation   the calls of Devices and Actors
//!  names         the descriptors of an experiment, by name
//!  literals      numbers, texts, names of errors
//!  cursor        a line, read word by word; errors have a line and a column
//!  experiment    Experiment, ExperimentStep, Action: what is parsed
//!  expectation   which results agree
//!  value         what a call returned
//!  probe         waits until everything sent over the loopback interface has arrived
//! ```

mod actor_calls;
mod actors;
mod built_in;
mod connections;
mod cursor;
mod device_calls;
mod device_notation;
mod environment;
mod expectation;
mod experiment;
mod kernel_calls;
mod literals;
mod names;
mod notation;
mod parser;
mod probe;
mod report;
mod run_state;
mod runner;
mod value;

pub use actors::{Actors, Returned, Waited};
pub use built_in::{BUILT_IN, SECTIONS, Section, built_in};
pub use cursor::ParseError;
pub use environment::Environment;
pub use expectation::{Expectation, Pattern};
pub use experiment::{Experiment, ExperimentStep};
pub use parser::parse;
pub use report::{ExperimentReport, Skipped, StepReport};
pub use runner::run;
pub use value::{Reported, Value};
