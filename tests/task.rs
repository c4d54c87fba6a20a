//! What coroutines promise, fact by fact: in the simulated world where time and chance are ours,
//! and on the real kernel.

#[path = "task/ends.rs"]
mod ends;
#[path = "task/limits.rs"]
mod limits;
#[path = "task/narrow.rs"]
mod narrow;
#[path = "task/sockets.rs"]
mod sockets;
#[path = "task/time.rs"]
mod time;
#[path = "task/turns.rs"]
mod turns;
#[path = "task/world.rs"]
mod world;
