//! Operation of a server by others: what a service manager passes and wants to know, the server
//! that takes over the sockets of another, and the page of figures.
//!
//! Knows no server model: the models ask here for sockets, and tell when they listen and stop.

pub(crate) mod activation;
mod exposition;
pub(crate) mod handover;
mod http;
pub(crate) mod notify;
pub(crate) mod scrape;
pub(crate) mod takeover;
