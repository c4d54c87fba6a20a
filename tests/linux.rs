//! The real kernel, verb by verb: each happy path once, and one errno that its man page names.

#![cfg(feature = "std")]

#[path = "linux/datagrams.rs"]
mod datagrams;
#[path = "linux/descriptors.rs"]
mod descriptors;
#[path = "linux/epoll.rs"]
mod epoll;
#[path = "linux/options.rs"]
mod options;
#[path = "linux/process.rs"]
mod process;
#[path = "linux/simulated.rs"]
mod simulated;
#[path = "linux/sockets.rs"]
mod sockets;
#[path = "linux/world.rs"]
mod world;
