//! The reactor on the real kernel: triggers, stale tokens, deadlines, wakers and errors, one module
//! each. No test sleeps: readiness is waited for, and a deadline in the past polls without waiting.

#![cfg(feature = "std")]

mod blocking;
mod connect;
#[path = "../program/support/deadline.rs"]
mod deadline;
mod deadlines;
mod forked;
mod interrupted;
mod masks;
mod nested;
mod ownership;
mod pause;
mod register_errors;
mod requeue;
mod spin;
mod stale;
mod support;
mod timers;
mod triggers;
mod vectored;
mod waiting;
mod waker;
