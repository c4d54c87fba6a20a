//! Bugs found in review of the library, one test each.

mod datagrams;
pub(crate) mod fault_script;
mod idle;
mod listeners;
mod shutdown;
mod unread_replies;
mod unreported_readiness;
mod waits;
