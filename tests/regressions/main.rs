//! Bugs found in review of the library, one test each.

mod datagrams;
#[path = "../support/deadline.rs"]
mod deadline;
mod fault_script;
mod idle;
mod listeners;
mod mute;
mod passed_over;
mod shutdown;
mod waits;
