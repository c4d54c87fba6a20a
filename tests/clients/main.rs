//! Third-party clients: each sends 64 MiB, half-closes, and gets every byte back.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
#[path = "../support/mod.rs"]
mod support;

mod datagrams;
mod reflection;
mod streams;
