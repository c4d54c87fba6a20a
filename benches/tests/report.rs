//! The report: what its page contains, how it handles malformed result files, and how it renders in
//! a browser. It measures nothing.

#![expect(clippy::unwrap_used, reason = "in a test, what fails should stop it")]

#[path = "report/browser.rs"]
mod browser;
#[path = "report/command.rs"]
mod command;
#[path = "report/malformed.rs"]
mod malformed;
#[path = "report/pictures.rs"]
mod pictures;
#[path = "report/support.rs"]
mod support;
#[path = "report/words.rs"]
mod words;
