//! The program, its examples and its pages, tested from outside: every module starts processes and
//! observes them. Modules of this file test arguments, listeners, output and exit; a folder has one
//! subject.

mod adversarial;
mod arguments;
mod bind_errors;
mod binding;
mod check;
mod clients;
mod errnos;
mod examples;
mod inherited;
mod injected;
mod limits;
mod logging;
mod machine;
mod models;
mod nc;
mod operation;
mod peer_limits;
mod reach;
mod readme;
mod regressions;
mod seeing;
mod shutdown;
mod streams;
mod study;
mod support;
mod syscalls;
mod tutorial;
mod unread;
