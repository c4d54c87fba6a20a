//! The program as its user meets it: arguments, listeners, what it says, how it ends.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "program/arguments.rs"]
mod arguments;
#[path = "program/binding.rs"]
mod binding;
#[path = "program/check.rs"]
mod check;
#[path = "program/ending.rs"]
mod ending;
#[path = "program/errnos.rs"]
mod errnos;
#[path = "program/inherited.rs"]
mod inherited;
#[path = "program/limits.rs"]
mod limits;
#[path = "program/reach.rs"]
mod reach;
#[path = "program/refused.rs"]
mod refused;
#[path = "program/regressions.rs"]
mod regressions;
#[path = "program/streams.rs"]
mod streams;
#[path = "program/telling.rs"]
mod telling;
#[path = "program/unread.rs"]
mod unread;
