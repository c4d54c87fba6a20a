//! The reactor on the real kernel: what it promises about triggers, stale tokens, deadlines,
//! wakers and refusals, one module each. Nothing sleeps: readiness is waited for, and a deadline
//! that has passed already asks without waiting.

#![cfg(feature = "std")]

#[path = "reactor/again.rs"]
mod again;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "reactor/deadlines.rs"]
mod deadlines;
#[path = "reactor/interrupted.rs"]
mod interrupted;
#[path = "reactor/masks.rs"]
mod masks;
#[path = "reactor/nested.rs"]
mod nested;
#[path = "reactor/owning.rs"]
mod owning;
#[path = "reactor/refusals.rs"]
mod refusals;
#[path = "reactor/stale.rs"]
mod stale;
#[path = "reactor/triggers.rs"]
mod triggers;
#[path = "reactor/waiting.rs"]
mod waiting;
#[path = "reactor/waker.rs"]
mod waker;
#[path = "reactor/world.rs"]
mod world;
