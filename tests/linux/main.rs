//! The real kernel, call by call: each success case once, and one errno from its man page.

#![cfg(feature = "std")]

mod datagrams;
mod descriptors;
mod epoll;
mod messages;
mod options;
mod process;
mod simulated;
mod sockets;
mod support;
mod tracer;
