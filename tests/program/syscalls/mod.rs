//! How many system calls an echo takes, and that the program's own count is honest.

mod counted;
mod observed;
mod traced;
