//! The servers as libraries: their interface, listeners shared with other epolls, and bugs found in
//! review.

mod api;
mod buffer_total;
mod bulk;
mod connection;
#[path = "../program/support/deadline.rs"]
mod deadline;
mod decisions;
mod early_returns;
mod limits;
mod regressions;
mod running;
mod scarce_buffers;
mod shared_listener;
