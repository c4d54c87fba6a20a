//! Parses the command line. Pure: it reads no environment, resolves no name and opens no file.
//!
//! One file for each command, one for the argument parser, one for addresses.

mod audit;
mod command;
mod echo;
pub(crate) mod help;
mod limits;
mod nc;
mod parser;
mod sim;
mod study;
mod suggest;
mod target;
mod trace;
mod units;
mod user;

pub(crate) use audit::{AuditTarget, DoctorOptions};
pub(crate) use command::{Command, parse};
pub(crate) use echo::EchoOptions;
pub(crate) use limits::LimitOptions;
pub(crate) use nc::{Endpoint, Mode, NcOptions};
pub(crate) use sim::SimOptions;
pub(crate) use study::{Kernels, Pictures, StudyCommand, StudyOptions, Trigger, View};
pub(crate) use suggest::nearest_names;
pub(crate) use target::{Target, parse_unix};
pub(crate) use trace::TraceTarget;
pub(crate) use user::User;
