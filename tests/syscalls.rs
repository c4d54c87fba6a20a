//! How many system calls an echo takes, and that the program does not count in its own favour.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "syscalls/counted.rs"]
mod counted;
#[path = "syscalls/observed.rs"]
mod observed;
#[path = "syscalls/traced.rs"]
mod traced;
