//! Malicious or vanished clients, and machines short of every resource.
//!
//! After each of them the server serves others, and has leaked neither memory nor descriptors.

mod ancillary;
mod disconnects;
mod fd_exhaustion;
mod many_clients;
mod sigstop;
mod slow_readers;
