//! How many system calls an echo takes, and that the program's own count is honest.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
#[path = "../support/mod.rs"]
mod support;

mod counted;
mod observed;
mod traced;
