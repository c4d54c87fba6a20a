//! Every server model through the same black-box suite, and the table of their capabilities.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
#[path = "../support/mod.rs"]
mod support;

mod children;
mod late;
mod limits;
mod refused;
mod shut;
mod suite;
mod table;
