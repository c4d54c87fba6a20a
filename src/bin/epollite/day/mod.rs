//! A simulated day of the stream server: clients come, talk, fall silent, half-close, vanish
//! and come back, the kernel does what a kernel may do, and the laws are checked at each step.
//!
//! Knows the library's public face only: the tests and the fuzzer use these very files, with
//! plans of their own.

mod evening;
mod life;
pub(crate) mod weather;

pub(crate) use life::live;
