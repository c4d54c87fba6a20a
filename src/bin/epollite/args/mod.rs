//! From words on the command line to a command. Pure: it reads no environment, resolves no
//! name and touches no file.
//!
//! Here is only who is who: a file for each command, one for words, one for addresses.

mod command;
mod echo;
mod nc;
mod sim;
mod target;
mod words;

pub(crate) use command::{Command, parse};
pub(crate) use echo::Echo;
pub(crate) use nc::{Mode, Nc, Place};
pub(crate) use sim::Sim;
pub(crate) use target::{Target, unix};
