//! Operation of a server by others: what a service manager passes and wants to know, the server
//! that takes over the sockets of another, the page of figures, and what the server may still do.
//!
//! Knows no server model: the models ask here for sockets, and tell when they listen and stop.

pub(crate) mod activation;
mod exposition;
pub(crate) mod handover;
mod http;
pub(crate) mod notify;
pub(crate) mod privileges;
pub(crate) mod reload;
pub(crate) mod sandbox;
pub(crate) mod scrape;
mod sys;
pub(crate) mod takeover;
