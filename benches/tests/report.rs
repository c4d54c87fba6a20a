//! The page of a record: what is in it, what it does with records nobody wished for, and how it
//! looks to a browser. It measures nothing.

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
