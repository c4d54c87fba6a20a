//! Bugs found in review of the library, one test each.

mod datagrams;
mod fault_script;
mod idle;
mod listeners;
mod passed_over;
mod shutdown;
mod unread_replies;
mod waits;
