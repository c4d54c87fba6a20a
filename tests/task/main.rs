//! What the executor guarantees, fact by fact: on the simulated kernel with controlled time and
//! randomness, and on the real kernel.

mod cancellation;
mod limits;
mod lines;
mod messages;
mod names;
mod one_port;
mod remote;
mod scheduling;
mod sockets;
mod support;
mod time;
mod wakers;
