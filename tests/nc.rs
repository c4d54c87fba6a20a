//! `epollite nc` as its user meets it: between others' netcats, files, pipes, and ends.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "nc/crowds.rs"]
mod crowds;
#[path = "nc/datagrams.rs"]
mod datagrams;
#[path = "nc/ends.rs"]
mod ends;
#[path = "nc/flags.rs"]
mod flags;
#[path = "nc/lines.rs"]
mod lines;
#[path = "nc/much.rs"]
mod much;
#[path = "nc/others.rs"]
mod others;
#[path = "nc/scene.rs"]
mod scene;
