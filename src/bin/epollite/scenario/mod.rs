//! Simulated scenarios of a stream server: clients connect, send, pause, half-close, abort and
//! reconnect; the kernel takes any action it is allowed to; the invariants are checked at each
//! step.
//!
//! Uses only the library's public API: the tests and the fuzzer compile these files too, with their
//! own source of choices, or with a server of their own in which a bug is seeded.

pub(crate) mod client;
pub(crate) mod config;
mod drain;
mod run;
pub(crate) mod server;

pub(crate) use run::run;
