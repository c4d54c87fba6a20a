//! `epollite nc` as seen by its user: other netcats, files, pipes, exit codes.

mod bulk;
mod datagrams;
mod exit;
mod flags;
mod harness;
mod interop;
mod lines;
mod many_clients;
