//! A server that others operate: a service manager, and the server that takes its sockets over.

mod activation;
mod metrics;
mod notify;
mod takeover;
mod units;
