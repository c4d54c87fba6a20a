//! `load` and `merge` as a program, against correct servers and misbehaving ones.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

#[path = "program/addresses.rs"]
mod addresses;
#[path = "program/churn.rs"]
mod churn;
#[path = "program/correct.rs"]
mod correct;
#[path = "program/corrupt.rs"]
mod corrupt;
#[path = "program/errors.rs"]
mod errors;
#[path = "program/merging.rs"]
mod merging;
#[path = "program/outputs.rs"]
mod outputs;
#[path = "program/refused.rs"]
mod refused;
#[path = "program/stall.rs"]
mod stall;
#[path = "program/support.rs"]
mod support;
