//! A server that others operate: a service manager, and the server that takes its sockets over.

mod activation;
mod first_process;
mod metrics;
mod notify;
mod privileges;
mod reload;
mod sandbox;
mod takeover;
mod units;
mod workers;
