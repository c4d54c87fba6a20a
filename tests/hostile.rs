//! Clients that mean no good, or no longer exist, and machines that are short of everything.
//!
//! After each of them the server serves others, and has kept neither memory nor descriptors.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "hostile/crowds.rs"]
mod crowds;
#[path = "hostile/ends.rs"]
mod ends;
#[path = "hostile/odd.rs"]
mod odd;
#[path = "hostile/short.rs"]
mod short;
#[path = "hostile/stopped.rs"]
mod stopped;
#[path = "hostile/stuck.rs"]
mod stuck;
