//! `epollite nc` as seen by its user: other netcats, files, pipes, exit codes.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
#[path = "../support/mod.rs"]
mod support;

mod bulk;
mod datagrams;
mod exit;
mod flags;
mod harness;
mod interop;
mod lines;
mod many_clients;
