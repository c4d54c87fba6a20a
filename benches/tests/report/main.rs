//! The report: what its page contains, how it handles malformed result files, and how it renders in
//! a browser. It measures nothing.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

mod browser;
mod command;
mod malformed;
mod pictures;
mod support;
mod words;
