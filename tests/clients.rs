//! Clients that others wrote: each sends 64 MiB, half-closes, and gets every byte back.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "clients/datagrams.rs"]
mod datagrams;
#[path = "clients/reflection.rs"]
mod reflection;
#[path = "clients/streams.rs"]
mod streams;
