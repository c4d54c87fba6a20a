//! Experiments: every built-in one on Linux and on the model, what the notation rejects, and that a
//! wrong rule or a wrong expectation is found.

#![cfg(feature = "std")]

mod built_in;
mod notation;
mod runner;
mod wrong_kernel;

/// The program's own way of running an experiment.
#[path = "../../src/bin/epollite/study/kernels.rs"]
#[expect(dead_code, reason = "reports of several kernels are compared by the program only")]
mod kernels;
