//! Third-party clients: each sends 64 MiB, half-closes, and gets every byte back.

mod datagrams;
mod reflection;
mod streams;
