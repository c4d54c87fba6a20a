//! `load` and `merge` as a program, against correct servers and misbehaving ones.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod addresses;
mod churn;
mod correct;
mod corrupt;
mod errors;
mod merging;
mod outputs;
mod refused;
mod stall;
mod support;
