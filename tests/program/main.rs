//! The program as seen by its user: arguments, listeners, output, exit.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod bind_errors;
mod binding;
mod check;
mod errnos;
mod inherited;
mod limits;
mod logging;
mod reach;
mod regressions;
mod shutdown;
mod streams;
mod unread;
